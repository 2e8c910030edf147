package kv

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Progress is how far a Check has come. Total may grow while it runs.
type Progress struct {
	Done, Total int64 // bytes
}

// Check reads everything: both copies of badger's files, every block of them, every
// value. It calls found with a CorruptError for each damage; damaged second copies are
// made anew and counted in Stats. progress may be nil. The error is not about damage: it
// is ctx's, or says that checking itself failed.
func (db *DB) Check(ctx context.Context, progress func(Progress), found func(error)) error {
	if err := db.Checkpoint(); err != nil && !errors.Is(err, ErrNoSpace) {
		return err
	}
	if progress == nil {
		progress = func(Progress) {}
	}
	st := db.Stats()
	c := &checker{ctx: ctx, db: db, progress: progress, found: found,
		state: Progress{Total: 3*st.MetaBytes + st.DataBytes}}
	if err := c.copies(); err != nil {
		return err
	}
	if err := db.meta.verifyChecksum(); err != nil {
		found(&CorruptError{What: "meta", Err: err})
	}
	err := c.values()
	var corrupt *CorruptError
	if errors.As(err, &corrupt) { // badger's own reading failed: its verification has said so, or this does
		found(corrupt)
		return nil
	}
	return err
}

func (e *engine) verifyChecksum() (err error) {
	defer recovered("meta", &err)
	return e.db.VerifyChecksum()
}

type checker struct {
	ctx      context.Context
	db       *DB
	progress func(Progress)
	found    func(error)
	state    Progress
}

func (c *checker) advance(n int) {
	c.state.Done += int64(n)
	c.progress(c.state)
}

// copies compares both copies of every file of the index.
func (c *checker) copies() error {
	m := c.db.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, want := range m.index.Files {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := m.verifyBoth(name, want); err != nil {
			c.found(err)
		}
		c.advance(2 * int(want.Size))
	}
	return nil
}

// verifyBoth reads both copies and mends the second one. The first one is in use by
// badger and is mended at the next Open.
func (m *mirror) verifyBoth(name string, want fileSum) error {
	path, twin := m.primary(name), m.copyOf(name)
	good, twinGood := matches(path, want), matches(twin, want)
	switch {
	case good && twinGood:
		return nil
	case good:
		return m.heal(name, path, twin, want)
	case twinGood && m.isGone(name):
		return nil
	case twinGood:
		return &CorruptError{What: name, Err: errors.New("damaged; restart to replace it by its good copy")}
	}
	return &CorruptError{What: name, Err: errors.New("both copies are damaged or missing")}
}

// isGone reports whether badger dropped the table since the index was written.
func (m *mirror) isGone(name string) bool {
	id, isTable := tableID(name)
	if !isTable {
		return false
	}
	tables, err := manifestTables(m.primary("meta"))
	return err == nil && !tables[id]
}

// values opens every value, and what it names in packs.
func (c *checker) values() (err error) {
	defer recovered("meta", &err)
	b := newBase(c.db.meta, c.db.packs)
	defer b.release()
	it := b.meta.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		key := it.Item().KeyCopy(nil)
		if len(key) == 0 {
			c.found(&CorruptError{What: "meta", Err: fmt.Errorf("empty key")})
			continue
		}
		if err := c.value(b, it.Item(), key); err != nil {
			c.found(corruptKey(key, err))
		}
	}
	return nil
}

func (c *checker) value(b *base, it *badger.Item, key []byte) error {
	return it.Value(func(sealed []byte) error {
		val, err := c.db.sealer.open(nil, sealed, key)
		c.advance(len(key) + len(sealed))
		if err != nil || key[0] != prefixData {
			return err
		}
		l, err := decodeLocation(val)
		if err != nil {
			return err
		}
		c.advance(int(l.length))
		_, err = c.db.openPacked(b, l, key)
		return err
	})
}
