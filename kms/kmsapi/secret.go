package kmsapi

import (
	"encoding/base64"

	"kmsfs/kms"
)

// secret is bytes that are wiped as they are marshalled, to base64. It can be marshalled once.
type secret []byte

// MarshalJSON is json.Marshaler's.
func (s secret) MarshalJSON() ([]byte, error) {
	defer kms.Wipe(s)
	b := make([]byte, 0, base64.StdEncoding.EncodedLen(len(s))+2)
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), s), '"'), nil
}
