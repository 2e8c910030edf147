package kv

import (
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"kmsfs/objstore/badgerstore/uncached"
)

// mirror keeps second copies of the files that a store cannot do without, and the index
// that tells which of two copies is right.
type mirror struct {
	dir    string
	aead   cipher.AEAD
	log    *slog.Logger
	mu     sync.Mutex
	index  index        // GUARDED_BY(mu): as on disk
	seen   state        // GUARDED_BY(mu): of the manifest that the index is up to date with
	healed atomic.Int64 // files replaced by their other copy

	wasClean bool // the last close was orderly; set by verify
}

func newMirror(dir string, key []byte, log *slog.Logger) (*mirror, error) {
	aead, err := indexAEAD(key)
	if err != nil {
		return nil, err
	}
	return &mirror{dir: dir, aead: aead, log: log, index: newIndex()}, nil
}

func (m *mirror) primary(name string) string { return filepath.Join(m.dir, name) }

// copyOf maps meta/X to meta.copy/X.
func (m *mirror) copyOf(name string) string {
	table, base := filepath.Split(name)
	return filepath.Join(m.dir, strings.TrimSuffix(table, "/")+".copy", base)
}

// vouched reports that the index knows the table. After verify, it is what the index says.
func (m *mirror) vouched(id uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.index.Files[fmt.Sprintf("meta/%06d.sst", id)]
	return ok
}

// manifests are the files that grow while badger runs.
func manifests() []string { return []string{"meta/MANIFEST"} }

// fixedFiles lists the files that never change and that a store cannot do without: the key
// registry, and the tables in the manifest, which are complete.
func (m *mirror) fixedFiles() ([]string, error) {
	names := []string{"meta/KEYREGISTRY"}
	tables, err := manifestTables(m.primary("meta"))
	if err != nil {
		return nil, err
	}
	for id := range tables {
		names = append(names, fmt.Sprintf("meta/%06d.sst", id))
	}
	return names, nil
}

// update copies the files that the index does not name yet, and forgets those that are gone.
func (m *mirror) update() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := stateOf(m.primary(manifests()[0]))
	if now == m.seen && now != (state{}) {
		return nil
	}
	names, err := m.fixedFiles()
	if err != nil {
		return err
	}
	if err := m.copyNew(names); err != nil {
		return err
	}
	m.seen = now
	return nil
}

// state tells whether a file was changed: one that grows, or is replaced.
type state struct{ size, modified int64 }

// stateOf is zero if it cannot be told.
func stateOf(path string) state {
	fi, err := os.Stat(path)
	if err != nil {
		return state{}
	}
	return state{fi.Size(), fi.ModTime().UnixNano()}
}

// copyNew LOCKS_REQUIRED(mu).
func (m *mirror) copyNew(names []string) (err error) {
	next := newIndex()
	next.Unclean = m.index.Unclean
	changed := m.index.Clean
	for _, name := range names {
		sum, known := m.index.Files[name]
		if !known {
			if sum, err = m.duplicate(name); errors.Is(err, errGone) {
				continue
			} else if err != nil {
				return err
			}
			changed = true
		}
		next.Files[name] = sum
	}
	if !changed && len(next.Files) == len(m.index.Files) {
		return nil
	}
	if err := m.addManifests(next.Manifests); err != nil {
		return err
	}
	return m.replace(next)
}

// replace saves the index when the copies that it names are there for good, then removes those that it no longer names.
func (m *mirror) replace(next index) error {
	old := m.index.Files
	if err := syncPath(filepath.Join(m.dir, "meta.copy")); err != nil {
		return err
	}
	if err := m.saveIndex(next); err != nil {
		return err
	}
	for name := range old {
		if _, kept := next.Files[name]; !kept && !next.isManifest(name) {
			_ = os.Remove(m.copyOf(name))
		}
	}
	return nil
}

func (x index) isManifest(name string) bool {
	_, ok := x.Manifests[name]
	return ok
}

func (m *mirror) addManifests(sums map[string]fileSum) error {
	for _, name := range manifests() {
		sum, err := m.duplicateFile(m.primary(name), m.copyOf(name))
		if err != nil {
			return err
		}
		sums[name] = sum
	}
	return nil
}

// close records the final state of a store whose instances have been closed.
func (m *mirror) close() error {
	if err := m.update(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := newIndex()
	for name, sum := range m.index.Files {
		next.Files[name] = sum
	}
	if err := m.addManifests(next.Files); err != nil {
		return err
	}
	next.Clean = true
	return m.replace(next)
}

// unclean returns how often in a row the store was opened without an orderly close before.
func (m *mirror) unclean() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index.Unclean
}

// errGone says that badger removed the file meanwhile.
var errGone = errors.New("file is gone")

// duplicate copies a finished file. Badger truncates a file before it removes it, so a
// copy counts only if the file is still there, in full, afterwards.
func (m *mirror) duplicate(name string) (fileSum, error) {
	path := m.primary(name)
	before, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return fileSum{}, errGone
	}
	if err != nil {
		return fileSum{}, err
	}
	sum, err := m.duplicateFile(path, m.copyOf(name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return sum, err
	}
	after, serr := os.Stat(path)
	if serr != nil || err != nil || !os.SameFile(before, after) || after.Size() != sum.Size || before.Size() != sum.Size {
		_ = os.Remove(m.copyOf(name))
		return sum, errGone
	}
	return sum, nil
}

// duplicateFile copies from to to, atomically, and returns the sum of what it copied. That is durable when the directory has
// been synced.
func (m *mirror) duplicateFile(from, to string) (sum fileSum, err error) {
	in, err := os.Open(from)
	if err != nil {
		return sum, err
	}
	defer in.Close()
	tmp := to + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	w := io.NewOffsetWriter(uncached.New(out), 0) // a copy is read to heal only
	n, err := io.CopyBuffer(io.MultiWriter(w, h), struct{ io.Reader }{in}, make([]byte, 256<<10))
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		_ = os.Remove(tmp)
		return sum, err
	}
	return fileSum{Size: n, SHA256: h.Sum(nil)}, os.Rename(tmp, to)
}

// sumFile hashes the first size bytes of a file; a shorter file has a smaller Size.
func sumFile(path string, size int64) (fileSum, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileSum{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{io.LimitReader(f, size)}, make([]byte, 64<<10))
	return fileSum{Size: n, SHA256: h.Sum(nil)}, err
}

// matches reports whether the file has exactly the content of want. An unreadable file does not.
func matches(path string, want fileSum) bool {
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != want.Size {
		return false
	}
	sum, err := sumFile(path, want.Size)
	return err == nil && sum.equal(want)
}
