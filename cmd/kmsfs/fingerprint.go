package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
)

// fingerprint names a public key in few characters.
func fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}
