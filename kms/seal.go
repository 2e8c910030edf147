package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// Sizes of [Seal], in bytes.
const (
	KeySize      = 32
	saltSize     = 16
	nonceSize    = 12
	tagSize      = 16
	SealOverhead = saltSize + nonceSize + tagSize
)

// ErrSealed is why [Open] refuses: another key, label or additional data, or altered bytes.
var ErrSealed = errors.New("authentication failed: other key, other additional data, or altered bytes")

// Seal appends salt, nonce, ciphertext and tag of plaintext to dst. The AES-256-GCM key is derived from key for this
// one call, with a random 128-bit salt, and the nonce is random too: there is no limit to how often a key is used.
// key has 32 uniformly random bytes; label separates the uses of one key. Layout: FORMAT.md.
func Seal(dst, key []byte, label string, aad, plaintext []byte) []byte {
	n := len(dst)
	dst = append(dst, make([]byte, saltSize+nonceSize)...)
	head := dst[n:]
	rand.Read(head) // never fails: crypto/rand aborts the program instead
	return aead(key, label, head[:saltSize]).Seal(dst, head[saltSize:], plaintext, aad)
}

// Open appends the plaintext of what [Seal] made to dst. The error is [ErrSealed]; nothing is released then.
func Open(dst, key []byte, label string, aad, sealed []byte) ([]byte, error) {
	if len(sealed) < SealOverhead {
		return nil, ErrSealed
	}
	salt, nonce := sealed[:saltSize], sealed[saltSize:saltSize+nonceSize]
	out, err := aead(key, label, salt).Open(dst, nonce, sealed[saltSize+nonceSize:], aad)
	if err != nil {
		return nil, ErrSealed
	}
	return out, nil
}

// aead derives the key of one call. Expand without Extract: key is uniformly random already (RFC 5869, 3.3).
func aead(key []byte, label string, salt []byte) cipher.AEAD {
	if len(key) != KeySize {
		panic("kms: internal error: a sealing key has 32 bytes")
	}
	k, err := hkdf.Expand(sha256.New, key, label+string(salt), KeySize)
	if err != nil {
		panic("kms: internal error: " + err.Error())
	}
	defer Wipe(k)
	block, err := aes.NewCipher(k)
	if err != nil {
		panic("kms: internal error: " + err.Error())
	}
	g, err := cipher.NewGCM(block)
	if err != nil {
		panic("kms: internal error: " + err.Error())
	}
	return g
}

// Wipe overwrites b, which held a secret.
func Wipe(b []byte) { clear(b) }
