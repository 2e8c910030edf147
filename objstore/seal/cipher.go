package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
)

// ContentID names a content. It is random and never reused.
type ContentID [16]byte

// NewContentID makes an id from 128 random bits.
func NewContentID() (id ContentID) {
	rand.Read(id[:])
	return id
}

// MACSize is the length of a version record's MAC in bytes.
const MACSize = sha256.Size

// derivedPerCipher is how many derived keys a layer remembers, 1.3 KB each. A file written in one go has one.
const derivedPerCipher = 4

// Cipher seals and opens the chunks of one content, and authenticates its version records. Everything but
// [Cipher.Wipe] may be called concurrently.
type Cipher struct {
	layers  []layer // innermost first: one, or two for dsse
	macKey  []byte
	scratch sync.Pool // *scratch
}

// layer is one encryption of a chunk.
type layer struct {
	name  Layer
	label byte // tells the layers' associated data apart
	key   *xaes
}

// scratch holds what would otherwise escape to the heap at each call.
type scratch struct {
	aad [aadSize]byte
	mid []byte // a chunk between the layers
}

// New makes the cipher of a data key: of 32 bytes for one layer, of 64 for two layers with independent keys
// (aws:kms:dsse). The data key is not kept; the caller wipes it. Any other length is [ErrKeySize].
func New(dataKey []byte) (*Cipher, error) {
	c := &Cipher{}
	c.scratch.New = func() any { return new(scratch) }
	if n := len(dataKey); n != keySize && n != 2*keySize {
		return nil, fmt.Errorf("seal: %w: data key has %d bytes, want %d or %d", ErrKeySize, n, keySize, 2*keySize)
	}
	all := extract(dataKey)
	defer clear(all)
	c.macKey = all.derive(labelMAC)
	if len(dataKey) == keySize {
		c.layers = []layer{newLayer(LayerChunk, 0, all, labelChunk)}
		return c, nil
	}
	first, second := extract(dataKey[:keySize]), extract(dataKey[keySize:])
	defer clear(first)
	defer clear(second)
	c.layers = []layer{newLayer(LayerInner, 1, first, labelInner), newLayer(LayerOuter, 2, second, labelOuter)}
	return c, nil
}

func newLayer(name Layer, label byte, s secret, info string) layer {
	key := s.derive(info)
	defer clear(key)
	return layer{name: name, label: label, key: newXAES(key, derivedPerCipher)}
}

// Layers is 1, or 2 for a data key of 64 bytes.
func (c *Cipher) Layers() int { return len(c.layers) }

// Overhead is the number of bytes that sealing adds to a chunk.
func (c *Cipher) Overhead() int { return len(c.layers) * LayerOverhead }

// Seal appends the sealed chunk to dst and returns the result; dst must not overlap plaintext. With enough
// capacity in dst nothing is allocated. Sealing twice gives different bytes. It panics after Wipe.
func (c *Cipher) Seal(dst, plaintext []byte, id ContentID, slot, index uint64) []byte {
	return c.seal(dst, plaintext, id, slot, index, nil)
}

func (c *Cipher) seal(dst, plaintext []byte, id ContentID, slot, index uint64, b *Batch) []byte {
	c.mustHaveKeys()
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	dst = slices.Grow(dst, len(plaintext)+c.Overhead())
	start := len(dst) + (len(c.layers)-1)*nonceSize // where the innermost layer begins
	out := dst[:start]
	for i, l := range c.layers {
		aad := s.appendAAD(l.label, id, slot, index)
		if i > 0 {
			plaintext = out[start:]
			start -= nonceSize
			out = out[:start]
		}
		out = l.key.seal(out, plaintext, aad, b.draw())
	}
	return out
}

// Open appends the plaintext of a sealed chunk to dst and returns the result; dst must not overlap sealed. The
// id, slot and index must be those it was sealed with. Every refusal wraps [ErrAuth] and releases no plaintext.
func (c *Cipher) Open(dst, sealed []byte, id ContentID, slot, index uint64) ([]byte, error) {
	c.mustHaveKeys()
	if len(sealed) < c.Overhead() {
		return nil, &AuthError{LayerSize}
	}
	s := c.scratch.Get().(*scratch)
	defer c.scratch.Put(s)
	for i := len(c.layers) - 1; i > 0; i-- {
		l := c.layers[i]
		mid, err := l.key.open(s.mid[:0], sealed, s.appendAAD(l.label, id, slot, index))
		if err != nil {
			return nil, &AuthError{l.name}
		}
		s.mid, sealed = mid, mid
	}
	l := c.layers[0]
	out, err := l.key.open(dst, sealed, s.appendAAD(l.label, id, slot, index))
	if err != nil {
		return nil, &AuthError{l.name}
	}
	return out, nil
}

const aadSize = len(labelChunk) + 1 + len(ContentID{}) + 8 + 8

// appendAAD builds the associated data of one layer of a chunk. All parts have fixed lengths.
func (s *scratch) appendAAD(label byte, id ContentID, slot, index uint64) []byte {
	b := append(s.aad[:0], labelChunk...)
	b = append(b, label)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, slot)
	return binary.BigEndian.AppendUint64(b, index)
}

// MAC authenticates a version record: HMAC-SHA-256 under a key derived from the data key.
func (c *Cipher) MAC(record []byte) (mac [MACSize]byte) {
	c.mustHaveKeys()
	h := hmac.New(sha256.New, c.macKey)
	h.Write(record)
	h.Sum(mac[:0])
	return mac
}

// Verify compares mac with that of record in constant time. A difference wraps [ErrAuth].
func (c *Cipher) Verify(record []byte, mac [MACSize]byte) error {
	if want := c.MAC(record); !hmac.Equal(want[:], mac[:]) {
		return &AuthError{LayerMAC}
	}
	return nil
}

// Wipe overwrites the keys that are held as bytes and drops the AES key schedules, which the standard library
// gives no access to. No other call may be running or follow.
func (c *Cipher) Wipe() {
	clear(c.macKey)
	for _, l := range c.layers {
		l.key.wipe()
	}
	c.macKey, c.layers = nil, nil
}

// mustHaveKeys stops a use after Wipe: sealing under a wiped key would be silent plaintext.
func (c *Cipher) mustHaveKeys() {
	if c.macKey == nil {
		panic("seal: internal error: Cipher used after Wipe")
	}
}
