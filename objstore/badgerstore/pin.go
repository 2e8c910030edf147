package badgerstore

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/backup"
	"kmsfs/objstore/badgerstore/kv"
)

// pin keeps the ciphertext of a state: no slot that its records use is given back while it is held. Records and chunks of
// the data table stay as long as the snapshot is open. It is in memory only, and so ends with the process at the latest.
type pin struct {
	lsn  uint64
	snap *kv.Snapshot
	run  backup.Run
	past []backup.Run // that the store has been through, the newest first
	// files are the sealed files that go with the state.
	files map[string][]byte
}

// maxRuns is how many backups a store remembers having been through.
const maxRuns = 64

// pin takes the present state. With remember, the store notes the run first, so that the state has it.
func (s *Store) pin(remember bool) (*pin, error) {
	before, err := s.sealedFiles()
	if err != nil {
		return nil, err
	}
	for {
		p, err := s.pinRecords(remember)
		if err != nil {
			return nil, err
		}
		if p.files, err = s.sealedFiles(); err == nil && maps.EqualFunc(before, p.files, bytes.Equal) {
			return p, nil
		}
		s.unpin(p) // they were changed: which of them fit the records?
		if err != nil {
			return nil, err
		}
		before = p.files
	}
}

func (s *Store) pinRecords(remember bool) (*pin, error) {
	p := &pin{}
	rand.Read(p.run[:])
	var err error
	uerr := s.update("Backup", func(t *txn) error {
		if remember {
			p.past = readRuns(t)
			runs := append([]backup.Run{p.run}, p.past...)
			t.Put([]byte{kRuns}, marshalRuns(runs[:min(len(runs), maxRuns)]))
		}
		t.after(func() { err = s.takeState(p) })
		return nil
	})
	if uerr != nil {
		return nil, uerr
	}
	return p, wrap("Backup", err)
}

// sealedFiles reads the files that the owner of the secret keeps in the store's directory, sealed: without them the root key
// does not give the secret.
func (s *Store) sealedFiles() (map[string][]byte, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if !isSealedFile(e.Name()) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) { // it is being replaced
			continue
		}
		if err != nil {
			return nil, err
		}
		files[e.Name()] = b
	}
	return files, nil
}

func isSealedFile(name string) bool { return name == keyringPrefix || name == keyringPrefix+".copy" }

// takeState runs before the next change can begin.
func (s *Store) takeState(p *pin) (err error) {
	if p.snap, err = s.db.Snapshot(); err != nil {
		return err
	}
	p.lsn = p.snap.LSN()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pins[p] = struct{}{}
	return nil
}

// unpin gives back what waited.
func (s *Store) unpin(p *pin) {
	p.snap.Close()
	s.mu.Lock()
	delete(s.pins, p)
	waiting := s.waiting
	s.mu.Unlock()
	if waiting >= freeSoon {
		s.tryFree()
	}
}

func (s *Store) pinned() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pins) > 0
}

// held is how many bytes cannot be given back while states are pinned.
func (s *Store) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// readRuns reads the backups that the store has been through. A damaged record costs one full backup.
func readRuns(r getter) []backup.Run {
	rec, err := r.Get([]byte{kRuns})
	if err != nil || len(rec) == 0 || rec[0] != recordVersion || len(rec)%16 != 1 {
		return nil
	}
	var runs []backup.Run
	for part := range slices.Chunk(rec[1:], 16) {
		runs = append(runs, backup.Run(part))
	}
	return runs
}

func marshalRuns(runs []backup.Run) []byte {
	rec := []byte{recordVersion}
	for _, r := range runs {
		rec = append(rec, r[:]...)
	}
	return rec
}

// begin lets a backup run until the store closes.
func (s *Store) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return fail(objstore.InternalError, "the store is about to close")
	}
	s.workers.Add(1)
	return nil
}
