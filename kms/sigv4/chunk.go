package sigv4

import (
	"crypto/hmac"
	"encoding/hex"
)

// Chunks verifies the chunks of a body in S3's aws-chunked form. Each chunk's signature covers the one before it, so
// that none can be left out, doubled or moved. It is not for concurrent use.
type Chunks struct {
	scheme Scheme
	head   string // date and scope
	key    []byte
	last   string
}

// Chunks begins with the signature of the request, whose payload hash was [StreamingPayload] or [StreamingPayloadTrailer].
// It shares s's key.
func (s *Signature) Chunks() *Chunks {
	head := s.Time.Format(timeFormat) + "\n" + s.scheme.scope(s.Time.Format(dayFormat)) + "\n"
	return &Chunks{scheme: s.scheme, head: head, key: s.key, last: hex.EncodeToString(s.sum)}
}

// Verify tells whether signature (hex) is that of the next chunk, whose data has this [PayloadHash]. The last chunk is empty.
// The error is [SignatureMismatch].
func (c *Chunks) Verify(dataHash, signature string) error {
	return c.next(algorithm+"-PAYLOAD\n"+c.head+c.last+"\n"+PayloadHash(nil)+"\n"+dataHash, signature)
}

// VerifyTrailer does it for the trailing headers, behind the last chunk: lines "name:value\n" in ascending order of name.
func (c *Chunks) VerifyTrailer(trailer, signature string) error {
	return c.next(algorithm+"-TRAILER\n"+c.head+c.last+"\n"+PayloadHash([]byte(trailer)), signature)
}

func (c *Chunks) next(text, signature string) error {
	got, err := hex.DecodeString(signature)
	sum := mac(c.key, text)
	if err != nil || !hmac.Equal(sum, got) {
		return refuse(SignatureMismatch, textMismatch)
	}
	c.last = hex.EncodeToString(sum)
	return nil
}
