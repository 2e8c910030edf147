package kv

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
)

// Sizes in bytes.
const (
	keySize       = 32
	saltSize      = 16
	tagSize       = 16
	valueOverhead = saltSize + 8 + tagSize
)

var errAuth = errors.New("authentication failed")

// secrets are the keys derived from the caller's secret, one per use.
type secrets struct {
	meta, values, journal, index []byte
}

func deriveSecrets(secret []byte) (secrets, error) {
	var s secrets
	if len(secret) < keySize {
		return s, errors.New("kv: the secret is shorter than 32 bytes")
	}
	for _, d := range []struct {
		key   *[]byte
		label string
	}{
		{&s.meta, "kmsfs kv badger meta v1"},
		{&s.values, "kmsfs kv values v1"},
		{&s.journal, "kmsfs kv journal v1"},
		{&s.index, "kmsfs kv index v1"},
	} {
		key, err := hkdf.Key(sha256.New, secret, nil, d.label, keySize)
		if err != nil {
			return s, err
		}
		*d.key = key
	}
	return s, nil
}

func (s *secrets) wipe() {
	for _, key := range [][]byte{s.meta, s.values, s.journal, s.index} {
		clear(key)
	}
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealer seals values. Each opening of the store has a random salt, hence a key of its
// own, under which a counter is the nonce: it cannot repeat, not even across crashes.
type sealer struct {
	master  []byte
	salt    [saltSize]byte
	own     cipher.AEAD
	counter atomic.Uint64

	mu    sync.RWMutex
	known map[[saltSize]byte]cipher.AEAD // GUARDED_BY(mu): salts that opened a value
}

func newSealer(master []byte) (*sealer, error) {
	s := &sealer{master: master, known: make(map[[saltSize]byte]cipher.AEAD)}
	if _, err := rand.Read(s.salt[:]); err != nil {
		return nil, err
	}
	own, err := s.derive(s.salt)
	if err != nil {
		return nil, err
	}
	s.own, s.known[s.salt] = own, own
	return s, nil
}

func (s *sealer) derive(salt [saltSize]byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.master, salt[:], "kmsfs kv value key v1", keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return newGCM(key)
}

// seal returns salt ‖ counter ‖ AES-256-GCM(plaintext, aad).
func (s *sealer) seal(plaintext, aad []byte) []byte {
	return s.append(make([]byte, 0, valueOverhead+len(plaintext)), plaintext, aad)
}

// append is seal, behind dst.
func (s *sealer) append(dst, plaintext, aad []byte) []byte {
	var nonce [12]byte
	binary.BigEndian.PutUint64(nonce[4:], s.counter.Add(1))
	dst = append(append(dst, s.salt[:]...), nonce[4:]...)
	return s.own.Seal(dst, nonce[:], plaintext, aad)
}

// open appends the plaintext to dst; errAuth if any byte of sealed or aad was changed.
func (s *sealer) open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < valueOverhead {
		return nil, errAuth
	}
	salt := [saltSize]byte(sealed)
	aead, known, err := s.lookup(salt)
	if err != nil {
		return nil, err
	}
	var nonce [12]byte
	copy(nonce[4:], sealed[saltSize:])
	plain, err := aead.Open(dst, nonce[:], sealed[saltSize+8:], aad)
	if err != nil {
		return nil, errAuth
	}
	if !known {
		s.mu.Lock()
		s.known[salt] = aead
		s.mu.Unlock()
	}
	return plain, nil
}

func (s *sealer) lookup(salt [saltSize]byte) (aead cipher.AEAD, known bool, err error) {
	s.mu.RLock()
	aead, known = s.known[salt]
	s.mu.RUnlock()
	if !known {
		aead, err = s.derive(salt)
	}
	return aead, known, err
}
