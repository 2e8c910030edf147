package badgerstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"kmsfs/objstore/badgerstore/backup"
	"kmsfs/objstore/badgerstore/content"
	"kmsfs/objstore/badgerstore/kv"
)

// restoringName is a file that stands in a directory from the first to the last change of a restore.
const restoringName = "kmsfs.restoring"

// Restored describes what a backup gave back.
type Restored struct {
	Point   *backup.Point
	Records int64
	Bytes   int64 // of ciphertext
}

// Restore makes a store in dir from a backup. dir must be missing or empty; what a restore left that did not come to its end
// is removed first. The header is written last, so that the directory is no store until all is in place and durable. After
// an error the directory is as empty as before.
//
// Errors: backup's, before anything is written if the key is wrong; ErrNotEmpty, ErrLocked.
func Restore(ctx context.Context, dir string, src *backup.Source, o Options) (*Restored, error) {
	keys, err := backup.NewKeys(o.Secret)
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	if err := src.Opens(keys); err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := unusedDir(dir); err != nil {
		return nil, err
	}
	lf, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer lf.Close()
	r := &restorer{dir: dir, src: src, keys: keys, o: o}
	rep, err := r.run(ctx)
	if err != nil {
		return nil, errors.Join(err, emptyDir(dir))
	}
	return rep, nil
}

// unusedDir refuses a directory with a store, or with files that no restore left.
func unusedDir(dir string) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	used, left := false, false
	for _, e := range names {
		if slices.Contains(headerNames[:], e.Name()) {
			return fmt.Errorf("%s: there is a store already: %w", dir, ErrNotEmpty)
		}
		left = left || e.Name() == restoringName
		used = used || e.Name() != lockName
	}
	if used && !left {
		return fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	return nil
}

// emptyDir removes all that a restore made: the header first, so that it is no store, and the sign of a restore last.
func emptyDir(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	order := append([]string{}, headerNames[:]...)
	for _, e := range names {
		if e.Name() != lockName && e.Name() != restoringName {
			order = append(order, e.Name())
		}
	}
	for _, name := range append(order, restoringName) {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

type restorer struct {
	dir  string
	src  *backup.Source
	keys *backup.Keys
	o    Options
}

func (r *restorer) run(ctx context.Context) (*Restored, error) {
	if err := emptyDir(r.dir); err != nil {
		return nil, err
	}
	if err := replaceFile(filepath.Join(r.dir, restoringName), nil); err != nil {
		return nil, err
	}
	rep, err := r.fill(ctx)
	if err != nil {
		return nil, err
	}
	for name, b := range r.src.Files {
		if !isSealedFile(name) {
			return nil, &backup.DamageError{File: r.src.Name(), Err: fmt.Errorf("%q is no file of a store", name)}
		}
		if err := replaceFile(filepath.Join(r.dir, name), b); err != nil {
			return nil, err
		}
	}
	h := header{version: storeVersion, id: r.src.Store}
	h.check = h.expect(r.o.Secret)
	if err := writeHeader(r.dir, h); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(r.dir, restoringName)); err != nil {
		return nil, err
	}
	return rep, syncDir(r.dir)
}

// fill writes the database and the content files, and makes both durable.
func (r *restorer) fill(ctx context.Context) (rep *Restored, err error) {
	data, err := content.Open(filepath.Join(r.dir, "content"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, data.Close()) }()
	db, err := kv.Open(r.dir, r.o.Secret, kv.Options{Logger: r.o.Logger, SyncEvery: r.o.SyncEvery, BeforeSync: data.Sync})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }() // makes all durable
	b := newBuilder(storeSink{db, data})
	if rep, err = b.build(ctx, r.src, r.keys); err != nil {
		return nil, err
	}
	return rep, db.Sync()
}

// VerifyBackup reads all of a backup as Restore would, and writes nothing.
func VerifyBackup(ctx context.Context, src *backup.Source, secret []byte) (*Restored, error) {
	keys, err := backup.NewKeys(secret)
	if err != nil {
		return nil, err
	}
	defer keys.Wipe()
	return newBuilder(noSink{}).build(ctx, src, keys)
}

// sink takes what a restore reads.
type sink interface {
	records(pairs [][2][]byte) error
	chunks(ids, sealed [][]byte) error
	length(id [16]byte, n int64) error
	slots(id [16]byte, off int64, data []byte) error
}

type noSink struct{}

func (noSink) records([][2][]byte) error           { return nil }
func (noSink) chunks(_, _ [][]byte) error          { return nil }
func (noSink) length([16]byte, int64) error        { return nil }
func (noSink) slots([16]byte, int64, []byte) error { return nil }

type storeSink struct {
	db   *kv.DB
	data *content.Dir
}

func (s storeSink) records(pairs [][2][]byte) error {
	return s.db.Update(func(tx *kv.Tx) error {
		for _, p := range pairs {
			tx.Put(p[0], p[1])
		}
		return nil
	})
}

func (s storeSink) chunks(ids, sealed [][]byte) error {
	return s.db.Update(func(tx *kv.Tx) error {
		for i := range ids {
			tx.PutData(ids[i], sealed[i])
		}
		return nil
	})
}

func (s storeSink) length(id [16]byte, n int64) error { return s.data.Reserve(id, 1, uint64(n)) }

func (s storeSink) slots(id [16]byte, off int64, data []byte) error {
	return s.data.Place(id, off, data)
}

// builder puts a backup's pages and ciphertext to where they belong. Of the packs of a repository it takes only what the
// records use, and it counts that all of that was there.
type builder struct {
	to    sink
	found *collector
	needs needs
	rep   Restored
	// chunks of the data table that wait to be written together
	ids, sealed [][]byte
	waiting     int
}

func newBuilder(to sink) *builder { return &builder{to: to, found: newCollector()} }

func (b *builder) build(ctx context.Context, src *backup.Source, keys *backup.Keys) (*Restored, error) {
	point, err := src.Walk(ctx, keys, b)
	if err != nil {
		return nil, err
	}
	if err := b.flush(); err != nil {
		return nil, err
	}
	if n := b.needs.missing(); n > point.Lost {
		return nil, &backup.DamageError{File: src.Name(), Err: fmt.Errorf("%d chunks that its records use are not in it", n)}
	}
	b.rep.Point = point
	return &b.rep, nil
}

// Page implements backup.Visitor.
func (b *builder) Page(page []byte) error {
	var pairs [][2][]byte
	err := backup.EachRecord(page, func(kind backup.PageKind, k, v []byte) error {
		switch {
		case kind == backup.Records && len(k) > 0:
			b.found.see(k, v)
			pairs = append(pairs, [2][]byte{k, v})
			return nil
		case kind == backup.Lengths && len(k) == 16 && len(v) == 8 && v[0]&0x80 == 0:
			return b.to.length([16]byte(k), int64(binary.BigEndian.Uint64(v)))
		}
		return errRecord
	})
	if err != nil || len(pairs) == 0 {
		return err
	}
	b.rep.Records += int64(len(pairs))
	return b.to.records(pairs)
}

// PagesDone implements backup.Visitor.
func (b *builder) PagesDone() error {
	b.needs = newNeeds(b.found.resolve())
	b.found = nil
	return nil
}

// Slots implements backup.Visitor.
func (b *builder) Slots(r backup.Range, data []byte) error {
	if r.Size == 0 {
		if !b.needs.take(r) {
			return nil
		}
		b.rep.Bytes += int64(len(data))
		return b.chunk(dataID(r.Content, r.Slot), data)
	}
	return b.needs.parts(r, func(from, end uint64) error {
		first := (from - r.Slot) * uint64(r.Size)
		last := min((end-r.Slot)*uint64(r.Size), uint64(len(data)))
		b.rep.Bytes += int64(last - first)
		return b.to.slots(r.Content, int64(from)*int64(r.Size), data[first:last])
	})
}

// batch is how many bytes of chunks are written together.
const batch = 1 << 20

func (b *builder) chunk(id, sealed []byte) error {
	b.ids, b.sealed = append(b.ids, id), append(b.sealed, append([]byte(nil), sealed...))
	if b.waiting += len(sealed); b.waiting < batch {
		return nil
	}
	return b.flush()
}

func (b *builder) flush() error {
	if len(b.ids) == 0 {
		return nil
	}
	err := b.to.chunks(b.ids, b.sealed)
	b.ids, b.sealed, b.waiting = nil, nil, 0
	return err
}
