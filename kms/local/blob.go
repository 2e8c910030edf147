package local

import (
	"encoding/hex"
	"errors"
	"strings"

	"kmsfs/kms"
)

// The parts of a ciphertext blob, in bytes. FORMAT.md has the picture.
const (
	blobMagic      = "kmb\x01" // format and version
	idSize         = 16
	idSizeMaterial = 32
	blobHeaderSize = len(blobMagic) + idSize + idSizeMaterial
	blobOverhead   = blobHeaderSize + kms.SealOverhead
	labelBlob      = "kmsfs kms blob v1"
)

var errBlob = errors.New("not a ciphertext blob of this provider")

// blobHeader is what a blob says before its sealed part.
type blobHeader struct {
	keyID    [idSize]byte
	material [idSizeMaterial]byte
}

func (h blobHeader) append(b []byte) []byte {
	b = append(b, blobMagic...)
	b = append(b, h.keyID[:]...)
	return append(b, h.material[:]...)
}

// parseBlob splits a blob. It refuses one that has another version or no plaintext.
func parseBlob(blob []byte) (h blobHeader, sealed []byte, err error) {
	if len(blob) <= blobOverhead || string(blob[:len(blobMagic)]) != blobMagic {
		return h, nil, errBlob
	}
	rest := blob[len(blobMagic):]
	copy(h.keyID[:], rest)
	copy(h.material[:], rest[idSize:])
	return h, rest[idSize+idSizeMaterial:], nil
}

// sealBlob wraps plaintext: the header in clear, then the sealed part, with header and context authenticated.
func sealBlob(k *key, c kms.Context, plaintext []byte) []byte {
	m := k.current()
	blob := blobHeader{k.rawID, m.id}.append(make([]byte, 0, blobOverhead+len(plaintext)))
	aad := c.AppendCanonical(blob[:blobHeaderSize:blobHeaderSize])
	return kms.Seal(blob, m.secret[:], labelBlob, aad, plaintext)
}

// openBlob unwraps with the material that the header names. Every failure is [kms.InvalidCiphertextException] without a
// message, as AWS answers it.
func openBlob(k *key, h blobHeader, sealed []byte, c kms.Context) ([]byte, *material, error) {
	for i := range k.materials {
		m := &k.materials[i]
		if m.id != h.material {
			continue
		}
		aad := c.AppendCanonical(h.append(nil))
		plaintext, err := kms.Open(nil, m.secret[:], labelBlob, aad, sealed)
		if err != nil {
			return nil, nil, &kms.Error{Code: kms.InvalidCiphertextException}
		}
		return plaintext, m, nil
	}
	return nil, nil, &kms.Error{Code: kms.InvalidCiphertextException}
}

// multiRegion begins the id of a multi-Region key.
const multiRegion = "mrk-"

// parseID reads the 16 bytes of a key id: a lower-case UUID, or mrk- and the same digits without dashes.
func parseID(id string) (raw [idSize]byte, err error) {
	digits, many := strings.CutPrefix(id, multiRegion)
	if !many && len(id) == 36 {
		digits = id[:8] + id[9:13] + id[14:18] + id[19:23] + id[24:]
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != idSize {
		return raw, errors.New("not a key id")
	}
	copy(raw[:], b)
	if formatID(raw) != id && formatMultiRegion(raw) != id {
		return raw, errors.New("not a key id")
	}
	return raw, nil
}

func formatMultiRegion(raw [idSize]byte) string { return multiRegion + hex.EncodeToString(raw[:]) }

func formatID(raw [idSize]byte) string {
	var b [36]byte
	hex.Encode(b[:8], raw[:4])
	hex.Encode(b[9:13], raw[4:6])
	hex.Encode(b[14:18], raw[6:8])
	hex.Encode(b[19:23], raw[8:10])
	hex.Encode(b[24:], raw[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}
