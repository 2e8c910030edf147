package kv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// verify checks the files of a closed store against the index, and replaces a damaged one
// by its copy. Afterwards the index on disk says that the store is in use.
//
// It returns a CorruptError that names the file if both copies are damaged.
func (m *mirror) verify() error {
	x, err := m.loadIndex()
	if errors.Is(err, os.ErrNotExist) {
		if _, serr := os.Stat(m.primary("meta/MANIFEST")); serr == nil {
			return &CorruptError{What: indexName, Err: errors.New("both copies are missing")}
		}
		return m.saveIndex(newIndex())
	}
	if err != nil {
		return err
	}
	m.index, m.wasClean = x, x.Clean
	if !x.Clean {
		if err := m.verifyManifests(); err != nil {
			return err
		}
	}
	needed, err := m.neededFiles()
	if err != nil {
		return err
	}
	if err := m.verifyFiles(needed); err != nil {
		return err
	}
	return m.markInUse()
}

// neededFiles are those that the index vouches for, less those that badger dropped since.
func (m *mirror) neededFiles() ([]string, error) {
	var names []string
	if m.index.Clean {
		for name := range m.index.Files {
			names = append(names, name)
		}
		return names, nil
	}
	tables, err := manifestTables(m.primary("meta"))
	if err != nil {
		return nil, err
	}
	for name := range m.index.Files {
		id, isTable := tableID(name)
		if !isTable || tables[id] {
			names = append(names, name)
		}
	}
	return names, nil
}

func (m *mirror) verifyFiles(names []string) error {
	work := make(chan string)
	errs := make(chan error, len(names))
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for name := range work {
				errs <- m.verifyFile(name, m.index.Files[name])
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// verifyFile checks the first copy, and the second one only as far as a Stat goes: reading
// both would double the time to open. Check reads both.
func (m *mirror) verifyFile(name string, want fileSum) error {
	path, twin := m.primary(name), m.copyOf(name)
	if !matches(path, want) {
		return m.heal(name, twin, path, want)
	}
	if fi, err := os.Stat(twin); err != nil || fi.Size() != want.Size {
		return m.heal(name, path, twin, want)
	}
	return nil
}

// heal replaces the file at bad by the one at good, which must match.
func (m *mirror) heal(name, good, bad string, want fileSum) error {
	if !matches(good, want) {
		return &CorruptError{What: name, Err: errors.New("both copies are damaged or missing")}
	}
	_, err := m.duplicateFile(good, bad)
	if err == nil {
		err = syncPath(filepath.Dir(bad))
	}
	if err != nil {
		return fmt.Errorf("kv: replace damaged %s by its copy: %w", name, err)
	}
	m.healed.Add(1)
	m.log.Warn("damaged file replaced by its copy", "file", bad)
	return nil
}

// markInUse drops from the index what will change, so that a crash cannot lead to a
// replacement of newer files by older copies.
func (m *mirror) markInUse() error {
	tables, err := manifestTables(m.primary("meta"))
	if err != nil {
		return err
	}
	next := newIndex()
	if !m.index.Clean {
		next.Unclean = m.index.Unclean + 1
	}
	for name, sum := range m.index.Files {
		id, isTable := tableID(name)
		switch {
		case filepath.Base(name) == badger.ManifestFilename:
			next.Manifests[name] = sum
		case !isTable || tables[id]:
			next.Files[name] = sum
		}
	}
	for name, sum := range m.index.Manifests {
		next.Manifests[name] = sum
	}
	return m.replace(next)
}

// verifyManifests repairs, after a crash, a damaged manifest: the beginning that has a
// copy is taken from there, what was added since from the file itself.
func (m *mirror) verifyManifests() error {
	for name, want := range m.index.Manifests {
		if err := m.verifyManifest(name, want); err != nil {
			return err
		}
	}
	return nil
}

func (m *mirror) verifyManifest(name string, want fileSum) error {
	path := m.primary(name)
	sum, err := sumFile(path, want.Size)
	if err == nil && sum.equal(want) {
		return nil
	}
	if _, end, err := replayManifest(path); err == nil && end == fileSize(path) {
		return nil // badger has rewritten it
	}
	return m.healManifest(name, want)
}

func (m *mirror) healManifest(name string, want fileSum) error {
	path, twin := m.primary(name), m.copyOf(name)
	if !matches(twin, want) {
		return &CorruptError{What: name, Err: errors.New("both copies are damaged or missing")}
	}
	begin, err := os.ReadFile(twin)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(have) > len(begin) {
		begin = append(begin, have[len(begin):]...)
	}
	if err := replaceFile(path, begin); err != nil {
		return err
	}
	if _, _, err := replayManifest(path); err != nil {
		return &CorruptError{What: name, Err: err}
	}
	m.healed.Add(1)
	m.log.Warn("damaged manifest mended", "file", path)
	return nil
}

// replayManifest returns the tables in a manifest, and where its last whole record ends.
func replayManifest(path string) (tables map[uint64]badger.TableManifest, end int64, err error) {
	defer recovered(filepath.Base(path), &err)
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	mf, end, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions("").WithLogger(nil))
	if err != nil {
		return nil, 0, err
	}
	return mf.Tables, end, nil
}

// fileSize returns the size in bytes, or -1 if it is unknown.
func fileSize(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return -1
	}
	return fi.Size()
}

// manifestTables returns the ids of the tables of the instance in dir; none if it is new.
func manifestTables(dir string) (map[uint64]bool, error) {
	ids := make(map[uint64]bool)
	tables, _, err := replayManifest(filepath.Join(dir, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return ids, nil
	}
	if err != nil {
		return nil, &CorruptError{What: filepath.Base(dir) + "/MANIFEST", Err: err}
	}
	for id := range tables {
		ids[id] = true
	}
	return ids, nil
}

// tableID parses the id out of the name of a table file.
func tableID(name string) (id uint64, ok bool) {
	base, ok := strings.CutSuffix(filepath.Base(name), ".sst")
	if !ok {
		return 0, false
	}
	if _, err := fmt.Sscanf(base, "%d", &id); err != nil {
		return 0, false
	}
	return id, true
}
