package backup

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Sizes in bytes.
const (
	keySize  = 32
	saltSize = 32
	tagSize  = 16
	idSize   = sha256.Size
)

// errAuth is the cause of whatever does not authenticate.
var errAuth = errors.New("it does not authenticate: it was changed, or belongs to another root key")

// Keys seal and name what a backup holds.
type Keys struct{ secret, page []byte }

// NewKeys derives the keys from the store's secret, at least 32 bytes, which is not kept.
func NewKeys(secret []byte) (*Keys, error) {
	if len(secret) < keySize {
		return nil, errors.New("backup: the secret is shorter than 32 bytes")
	}
	base, err := hkdf.Key(sha256.New, secret, nil, "kmsfs backup v1", keySize)
	if err != nil {
		return nil, err
	}
	page, err := hkdf.Key(sha256.New, base, nil, "kmsfs backup page id v1", keySize)
	return &Keys{base, page}, err
}

// Wipe forgets the keys.
func (k *Keys) Wipe() {
	clear(k.secret)
	clear(k.page)
}

// Check proves that the keys are those of a store's backups.
func (k *Keys) Check(store string) string {
	return hex.EncodeToString(k.mac(k.secret, []byte("kmsfs backup check\x00"+store)))
}

func (k *Keys) mac(key, data []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(data)
	return m.Sum(nil)
}

// aead is the cipher that seals one thing only: salt is random, or says what is sealed.
func (k *Keys) aead(salt []byte, label string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, k.secret, salt, label, keySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// sealed answers salt and ciphertext.
func (k *Keys) sealed(label string, plain, aad []byte) ([]byte, error) {
	out := make([]byte, saltSize, saltSize+len(plain)+tagSize)
	rand.Read(out)
	c, err := k.aead(out, label)
	if err != nil {
		return nil, err
	}
	return c.Seal(out, make([]byte, c.NonceSize()), plain, aad), nil
}

// open is the inverse of sealed.
func (k *Keys) open(label string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < saltSize+tagSize {
		return nil, errAuth
	}
	c, err := k.aead(sealed[:saltSize], label)
	if err != nil {
		return nil, err
	}
	plain, err := c.Open(nil, make([]byte, c.NonceSize()), sealed[saltSize:], aad)
	if err != nil {
		return nil, errAuth
	}
	return plain, nil
}

const labelPage = "kmsfs backup page v1"

// pageID names a page by what it holds.
func (k *Keys) pageID(plain []byte) [idSize]byte { return [idSize]byte(k.mac(k.page, plain)) }

// sealPage appends the sealed page to dst.
func (k *Keys) sealPage(dst []byte, id [idSize]byte, plain []byte) ([]byte, error) {
	c, err := k.aead(id[:], labelPage)
	if err != nil {
		return nil, err
	}
	return c.Seal(dst, make([]byte, c.NonceSize()), plain, id[:]), nil
}

func (k *Keys) openPage(id [idSize]byte, sealed []byte) ([]byte, error) {
	c, err := k.aead(id[:], labelPage)
	if err != nil {
		return nil, err
	}
	plain, err := c.Open(nil, make([]byte, c.NonceSize()), sealed, id[:])
	if err != nil || k.pageID(plain) != id {
		return nil, errAuth
	}
	return plain, nil
}
