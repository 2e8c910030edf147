package kv

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	indexName    = "INDEX"
	indexMagic   = "KMSFSIDX"
	indexVersion = 2
)

// index says which files a store consists of. It is sealed, and kept twice.
type index struct {
	Version  int
	Sequence uint64 // of two that can be read, the higher counts

	// Clean is true after an orderly close: then Files holds every file that badger needs.
	// While the store is open, or after a crash, it holds only files that never change, and
	// Manifests the state of those that grow.
	Clean     bool
	Unclean   int                // openings since the last orderly close, beyond the first
	Files     map[string]fileSum // by path relative to the store
	Manifests map[string]fileSum // a beginning of the file
}

type fileSum struct {
	Size   int64
	SHA256 []byte
}

func (s fileSum) equal(o fileSum) bool {
	return s.Size == o.Size && string(s.SHA256) == string(o.SHA256)
}

func newIndex() index {
	return index{Version: indexVersion, Files: map[string]fileSum{}, Manifests: map[string]fileSum{}}
}

func (m *mirror) indexPaths() []string {
	return []string{filepath.Join(m.dir, indexName), filepath.Join(m.dir, "meta.copy", indexName)}
}

// loadIndex returns the newest readable index. os.ErrNotExist: there is none at all;
// CorruptError: there is one, but neither copy can be read.
func (m *mirror) loadIndex() (index, error) {
	var best index
	var errs []error
	missing := 0
	for _, path := range m.indexPaths() {
		x, err := m.readIndex(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			missing++
		case err != nil:
			m.healed.Add(1)
			errs = append(errs, err)
		case best.Version == 0 || x.Sequence > best.Sequence:
			best = x
		}
	}
	switch {
	case best.Version != 0:
		return best, nil
	case missing == len(m.indexPaths()):
		return best, os.ErrNotExist
	}
	return best, &CorruptError{What: indexName, Err: fmt.Errorf(
		"neither copy can be read, or the root key is not this store's: %w", errors.Join(errs...))}
}

func (m *mirror) readIndex(path string) (index, error) {
	var x index
	raw, err := os.ReadFile(path)
	if err != nil {
		return x, err
	}
	n := len(indexMagic)
	if len(raw) < n+m.aead.NonceSize() || string(raw[:n]) != indexMagic {
		return x, errAuth
	}
	nonce := raw[n : n+m.aead.NonceSize()]
	plain, err := m.aead.Open(nil, nonce, raw[n+len(nonce):], raw[:n])
	if err != nil {
		return x, errAuth
	}
	if err := json.Unmarshal(plain, &x); err != nil {
		return x, err
	}
	if x.Version != indexVersion {
		return x, fmt.Errorf("kv: %s has version %d, this program knows %d: use the kmsfs that made the store", indexName, x.Version, indexVersion)
	}
	return x, nil
}

// saveIndex replaces both copies, durably.
func (m *mirror) saveIndex(x index) error {
	x.Sequence = m.index.Sequence + 1
	plain, err := json.Marshal(x)
	if err != nil {
		return err
	}
	raw := append([]byte(indexMagic), make([]byte, m.aead.NonceSize())...)
	if _, err := rand.Read(raw[len(indexMagic):]); err != nil {
		return err
	}
	raw = m.aead.Seal(raw, raw[len(indexMagic):], plain, raw[:len(indexMagic)])
	for _, path := range m.indexPaths() {
		if err := replaceFile(path, raw); err != nil {
			return fmt.Errorf("kv: write %s: %w", indexName, err)
		}
	}
	m.index = x
	return nil
}

// indexAEAD: a random 96-bit nonce is safe, an index is written a few times a minute at most.
func indexAEAD(key []byte) (cipher.AEAD, error) { return newGCM(key) }
