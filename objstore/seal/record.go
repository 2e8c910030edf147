package seal

import "fmt"

// derivedPerRecordCipher is how many derived keys a RecordCipher remembers: one is made at each start of the
// program and after each 2^20 records.
const derivedPerRecordCipher = 64

// RecordCipher seals records of the database and its journal. Everything but Wipe may be called concurrently.
type RecordCipher struct{ key *xaes }

// NewRecordCipher derives an independent key from the store's secret (32 bytes or more, else [ErrKeySize])
// for each label. The secret is not kept.
func NewRecordCipher(storeSecret []byte, label string) (*RecordCipher, error) {
	if n := len(storeSecret); n < keySize {
		return nil, fmt.Errorf("seal: %w: secret has %d bytes, want at least %d", ErrKeySize, n, keySize)
	}
	s := extract(storeSecret)
	defer clear(s)
	key := s.derive(labelRecord + label)
	defer clear(key)
	return &RecordCipher{key: newXAES(key, derivedPerRecordCipher)}, nil
}

// Overhead is the number of bytes that sealing adds to a record.
func (r *RecordCipher) Overhead() int { return LayerOverhead }

// Seal appends the sealed record to dst. The associated data aad is bound to it but not contained: table and key.
// dst must not overlap plaintext or aad.
func (r *RecordCipher) Seal(dst, plaintext, aad []byte) []byte {
	return r.key.seal(dst, plaintext, aad, nil)
}

// Open appends the plaintext of a sealed record to dst. A refusal wraps [ErrAuth].
func (r *RecordCipher) Open(dst, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < LayerOverhead {
		return nil, &AuthError{LayerSize}
	}
	out, err := r.key.open(dst, sealed, aad)
	if err != nil {
		return nil, &AuthError{LayerRecord}
	}
	return out, nil
}

// Wipe drops the key; no other call may be running or follow.
func (r *RecordCipher) Wipe() { r.key.wipe() }
