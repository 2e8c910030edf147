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

// Check reads everything: both copies of meta's files, every block of both badgers, every
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
	for _, e := range []*engine{db.meta, db.data} {
		if err := e.verifyChecksum(); err != nil {
			found(&CorruptError{What: tableOf(e), Err: err})
		}
		err := c.values(e)
		var corrupt *CorruptError
		if errors.As(err, &corrupt) { // badger's own reading failed: its verification has said so, or this does
			found(corrupt)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func tableOf(e *engine) string {
	if e.dir[len(e.dir)-4:] == "data" {
		return "data"
	}
	return "meta"
}

func (e *engine) verifyChecksum() (err error) {
	defer recovered(tableOf(e), &err)
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

// values opens every value of an instance.
func (c *checker) values(e *engine) (err error) {
	defer recovered(tableOf(e), &err)
	txn := e.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		key := it.Item().KeyCopy(nil)
		if len(key) == 0 {
			c.found(&CorruptError{What: tableOf(e), Err: fmt.Errorf("empty key")})
			continue
		}
		err := it.Item().Value(func(sealed []byte) error {
			_, err := c.db.sealer.open(nil, sealed, key)
			c.advance(len(key) + len(sealed))
			return err
		})
		if err != nil {
			c.found(corruptKey(key, err))
		}
	}
	return nil
}
