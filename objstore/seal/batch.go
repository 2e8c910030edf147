package seal

import (
	"crypto/rand"
	"sync/atomic"
)

// Batch seals several chunks of one write with random bytes that are drawn at once: asking the kernel for each chunk costs a third
// of sealing 4 KiB. It is made for the write and dropped behind it, so that a copy of the machine in memory is no more likely
// to have drawn bytes than between the drawing and the sealing of one chunk.
type Batch struct {
	c      *Cipher
	random []byte
	used   atomic.Int64
}

const suffixSize = nonceSize - prefixSize

// Batch makes a batch of n chunks.
func (c *Cipher) Batch(n int) *Batch {
	b := &Batch{c: c, random: make([]byte, n*c.Layers()*suffixSize)}
	rand.Read(b.random) // never fails
	return b
}

// Seal is [Cipher.Seal]. It may be called concurrently, also more often than was announced.
func (b *Batch) Seal(dst, plaintext []byte, id ContentID, slot, index uint64) []byte {
	return b.c.seal(dst, plaintext, id, slot, index, b)
}

// draw gives random bytes that nobody else is given, nil when none are left, or for no batch.
func (b *Batch) draw() []byte {
	if b == nil {
		return nil
	}
	end := b.used.Add(suffixSize)
	if end > int64(len(b.random)) {
		return nil
	}
	return b.random[end-suffixSize : end]
}
