package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"slices"
	"sync/atomic"
)

const (
	keySize    = 32
	prefixSize = 12 // the half of a nonce that chooses the derived key
)

// sealsPerPrefix bounds the messages under one derived key. Their nonces' second halves are 96 random bits:
// two of 2^20 collide with probability 2^-57. NIST's bound is 2^32 messages.
const sealsPerPrefix = 1 << 20

// xaes is XAES-256-GCM under one key. Deriving a key costs an AES key schedule and two allocations, so a writer
// keeps the random first half of its nonces for a while and a reader keeps derived keys it has met. Neither
// shows in the format: a reader takes any nonce. Safe for concurrent use.
type xaes struct {
	block  cipher.Block
	k1     [aes.BlockSize]byte
	writer atomic.Pointer[derived]
	known  []atomic.Pointer[derived] // by first byte of the prefix; length is a power of two
}

// derived is AES-256-GCM under the key that belongs to one nonce prefix.
type derived struct {
	prefix [prefixSize]byte
	aead   cipher.AEAD
	seals  atomic.Uint32
}

// newXAES takes a key of 32 bytes, which it does not keep, and the number of derived keys to remember.
func newXAES(key []byte, remember int) *xaes {
	block := must(aes.NewCipher(key))
	x := &xaes{block: block, known: make([]atomic.Pointer[derived], remember)}
	block.Encrypt(x.k1[:], x.k1[:])
	double(&x.k1)
	return x
}

// double multiplies by x in GF(2^128): NIST SP 800-38B, 6.1, steps 2 and 3. Constant time.
func double(b *[aes.BlockSize]byte) {
	msb := b[0] >> 7
	for i := range len(b) - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[len(b)-1] = b[len(b)-1]<<1 ^ 0x87&-msb
}

// seal appends nonce, ciphertext and tag of plaintext, which may lie at its place in dst already. suffix is the random half of
// the nonce, used nowhere else; nil: it is drawn here.
func (x *xaes) seal(dst, plaintext, aad, suffix []byte) []byte {
	w := x.writerKey()
	n := len(dst)
	dst = append(slices.Grow(dst, len(plaintext)+LayerOverhead), w.prefix[:]...)[:n+nonceSize]
	if suffix == nil {
		rand.Read(dst[n+prefixSize:]) // never fails: it ends the program instead
	} else {
		copy(dst[n+prefixSize:], suffix)
	}
	return w.aead.Seal(dst, dst[n+prefixSize:], plaintext, aad)
}

// sealAt is seal with a nonce of the caller's, for vectors.
func (x *xaes) sealAt(dst, nonce, plaintext, aad []byte) []byte {
	d := x.derive([prefixSize]byte(nonce))
	return d.aead.Seal(append(dst, nonce...), nonce[prefixSize:], plaintext, aad)
}

// open appends the plaintext of sealed, which has at least [LayerOverhead] bytes.
func (x *xaes) open(dst, sealed, aad []byte) ([]byte, error) {
	d := x.readerKey([prefixSize]byte(sealed))
	return d.aead.Open(dst, sealed[prefixSize:nonceSize], sealed[nonceSize:], aad)
}

// writerKey is the derived key to seal under now.
func (x *xaes) writerKey() *derived {
	if w := x.writer.Load(); w != nil && w.seals.Add(1) <= sealsPerPrefix {
		return w
	}
	var prefix [prefixSize]byte
	rand.Read(prefix[:])
	w := x.derive(prefix)
	w.seals.Store(1)
	x.remember(w)
	x.writer.Store(w)
	return w
}

// readerKey is the derived key for nonces that begin with prefix.
func (x *xaes) readerKey(prefix [prefixSize]byte) *derived {
	if d := x.slot(prefix).Load(); d != nil && d.prefix == prefix {
		return d
	}
	d := x.derive(prefix)
	x.remember(d)
	return d
}

func (x *xaes) remember(d *derived) { x.slot(d.prefix).Store(d) }

func (x *xaes) slot(prefix [prefixSize]byte) *atomic.Pointer[derived] {
	return &x.known[int(prefix[0])&(len(x.known)-1)]
}

// derive is steps 3 to 5 of the specification.
func (x *xaes) derive(prefix [prefixSize]byte) *derived {
	key := make([]byte, keySize)
	defer clear(key)
	for i := range 2 {
		m := key[i*aes.BlockSize : (i+1)*aes.BlockSize]
		m[1], m[2] = byte(i+1), 'X'
		copy(m[4:], prefix[:])
		for j := range m {
			m[j] ^= x.k1[j]
		}
		x.block.Encrypt(m, m)
	}
	return &derived{prefix: prefix, aead: must(cipher.NewGCM(must(aes.NewCipher(key))))}
}

// wipe drops the key schedules; the standard library offers no way to overwrite them.
func (x *xaes) wipe() {
	clear(x.k1[:])
	x.block = nil
	x.writer.Store(nil)
	for i := range x.known {
		x.known[i].Store(nil)
	}
}

// must is for standard library calls that fail on wrong key sizes only, which are checked before.
func must[T any](v T, err error) T {
	if err != nil {
		panic("seal: internal error: " + err.Error())
	}
	return v
}
