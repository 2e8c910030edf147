package seal

// ChunkSize is the unit of encryption: plaintext bytes of every chunk but the last of a file.
const ChunkSize = 4 << 10

// Sizes in bytes of what sealing adds.
const (
	nonceSize = 24
	tagSize   = 16
	// LayerOverhead is what each layer adds to a chunk or record: nonce and tag.
	LayerOverhead = nonceSize + tagSize
)

// SealedSize is the length of plain bytes under layers layers (1, or 2 for aws:kms:dsse).
func SealedSize(plain, layers int) int { return plain + layers*LayerOverhead }

// PlainSize is the reverse of [SealedSize]; it is negative when sealed is too short to be a sealed chunk.
func PlainSize(sealed, layers int) int { return sealed - layers*LayerOverhead }

// SlotSize is the room of a full sealed chunk, the step of a content file.
func SlotSize(layers int) int { return SealedSize(ChunkSize, layers) }

// SlotOffset is where slot begins in a content file of slotSize steps.
func SlotOffset(slot uint64, slotSize int) int64 { return int64(slot) * int64(slotSize) }

// ChunkCount is the number of chunks that size bytes of plaintext take. An empty file has none.
func ChunkCount(size int64) int64 { return (size + ChunkSize - 1) / ChunkSize }

// ChunkLen is the plaintext length of chunk index in a file of size bytes; 0 behind its end.
func ChunkLen(size, index int64) int {
	return int(max(0, min(ChunkSize, size-index*ChunkSize)))
}

// ChunkAt is the chunk that holds the byte at off, and where in it.
func ChunkAt(off int64) (index int64, within int) {
	return off / ChunkSize, int(off % ChunkSize)
}
