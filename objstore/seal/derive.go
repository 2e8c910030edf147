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

// secret is HKDF's pseudorandom key of some input: what all keys that are derived from it have in common.
type secret []byte

// extract is the first half of HKDF-SHA-256, without salt. The caller wipes the answer.
func extract(ikm []byte) secret { return must(hkdf.Extract(sha256.New, ikm, nil)) }

// derive is the second half. The caller wipes the answer.
func (s secret) derive(info string) []byte { return must(hkdf.Expand(sha256.New, s, info, keySize)) }
