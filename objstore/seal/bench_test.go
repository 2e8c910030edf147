package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"
)

var benchSizes = []int{100, ChunkSize, 64 << 10}

func BenchmarkSeal(b *testing.B) {
	for _, layers := range layerCases {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("layers=%d/%d", layers, n), func(b *testing.B) {
				c := newTestCipher(b, layers)
				plain, room := make([]byte, n), make([]byte, 0, SealedSize(n, layers))
				b.SetBytes(int64(n))
				b.ReportAllocs()
				for b.Loop() {
					c.Seal(room, plain, ContentID{}, 1, 2)
				}
			})
		}
	}
}

// BenchmarkSealBatch seals a MiB of chunks.
func BenchmarkSealBatch(b *testing.B) {
	c := newTestCipher(b, 1)
	plain, dst := make([]byte, ChunkSize), make([]byte, 0, SlotSize(1))
	const chunks = 1 << 20 / ChunkSize
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		batch := c.Batch(chunks)
		for k := range uint64(chunks) {
			batch.Seal(dst, plain, ContentID{}, k, k)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, layers := range layerCases {
		for _, n := range benchSizes {
			b.Run(fmt.Sprintf("layers=%d/%d", layers, n), func(b *testing.B) {
				c := newTestCipher(b, layers)
				sealed := c.Seal(nil, make([]byte, n), ContentID{}, 1, 2)
				benchOpen(b, n, func() (*Cipher, []byte) { return c, sealed })
			})
		}
	}
}

// BenchmarkOpenUnknownPrefix meets a nonce prefix that is not remembered, so that the key is derived each time.
func BenchmarkOpenUnknownPrefix(b *testing.B) {
	c := newTestCipher(b, 1)
	var sealed [2][]byte
	for i := range sealed {
		nonce := make([]byte, nonceSize)
		nonce[1] = byte(i)
		var s scratch
		sealed[i] = c.layers[0].key.sealAt(nil, nonce, make([]byte, 4096), s.appendAAD(0, ContentID{}, 1, 2))
	}
	i := 0
	benchOpen(b, 4096, func() (*Cipher, []byte) { i ^= 1; return c, sealed[i] })
}

func benchOpen(b *testing.B, n int, next func() (*Cipher, []byte)) {
	room := make([]byte, 0, n)
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		c, sealed := next()
		if _, err := c.Open(room, sealed, ContentID{}, 1, 2); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRawGCM is what the hardware and the standard library give.
func BenchmarkRawGCM(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			aead := must(cipher.NewGCM(must(aes.NewCipher(make([]byte, keySize)))))
			nonce, plain, room := make([]byte, 12), make([]byte, n), make([]byte, 0, n+tagSize)
			b.SetBytes(int64(n))
			for b.Loop() {
				aead.Seal(room, nonce, plain, nil)
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	key := make([]byte, keySize)
	for b.Loop() {
		if _, err := New(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMAC(b *testing.B) {
	c := newTestCipher(b, 1)
	record := make([]byte, 500)
	for b.Loop() {
		c.MAC(record)
	}
}
