package seal

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// The labels of FORMAT.md, one per derived key.
const (
	labelChunk = "kmsfs chunk v1"
	labelInner = "kmsfs chunk v1 inner"
	labelOuter = "kmsfs chunk v1 outer"
	labelMAC   = "kmsfs version record v1"
	// labelRecord is followed by the caller's label.
	labelRecord = "kmsfs database record v1 "
)

// deriveKey is HKDF-SHA-256 without salt. The caller wipes the answer.
func deriveKey(ikm []byte, info string) []byte {
	return must(hkdf.Key(sha256.New, ikm, nil, info, keySize))
}
