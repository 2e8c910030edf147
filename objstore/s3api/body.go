package s3api

import (
	"bytes"
	"crypto/md5" //nolint:gosec // Content-MD5
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"hash"
	"io"
	"strconv"
	"strings"
)

const (
	maxObject = 5 << 30 // bytes of one PutObject
	maxXML    = 2 << 20 // bytes of a document: a thousand of the longest keys
	streaming = "STREAMING-"
)

// check is a hash that a body has to have.
type check struct {
	hash.Hash
	want func() ([]byte, error) // known at the end of the body
	bad  func(got []byte) error
}

// checked is a body that ends well only when all its checks hold.
type checked struct {
	r      io.Reader
	checks []check
}

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	for _, k := range c.checks {
		k.Write(p[:n])
	}
	if err != io.EOF { //nolint:errorlint // io.Reader's
		return n, err
	}
	for _, k := range c.checks {
		want, err := k.want()
		if err != nil {
			return n, err
		}
		if got := k.Sum(nil); !bytes.Equal(got, want) {
			return n, k.bad(got)
		}
	}
	return n, io.EOF
}

// body is the decoded body of r with everything checked that r says of it, and its checksum's header for the answer.
func (q *request) body() (r io.Reader, sum *checksum, err error) {
	size, err := q.size()
	if err != nil {
		return nil, nil, err
	}
	if size > maxObject {
		return nil, nil, refuse("EntityTooLarge", "", pair{"MaxSizeAllowed", strconv.Itoa(maxObject)}, pair{"ProposedSize", strconv.FormatInt(size, 10)})
	}
	if sum, err = checksumOf(q.Header); err != nil {
		return nil, nil, err
	}
	checks, err := q.checks()
	if err != nil {
		return nil, nil, err
	}
	r = &patientReader{p: q.patient, r: q.Body}
	var trailer func(string) string
	if strings.HasPrefix(q.payload, streaming) {
		chunks := newChunked(r, size, strings.HasSuffix(q.payload, "-TRAILER"), q.signature)
		r, trailer = chunks, chunks.trailer
	}
	if sum != nil {
		checks = append(checks, sum.check(trailer))
	}
	return &checked{r, checks}, sum, nil
}

// size is how many bytes the decoded body has.
func (q *request) size() (int64, error) {
	if strings.HasPrefix(q.payload, streaming) {
		text := q.Header.Get("x-amz-decoded-content-length")
		n, err := strconv.ParseInt(text, 10, 64)
		if text == "" || err != nil || n < 0 {
			return 0, refuse(missingLength, "You must provide the x-amz-decoded-content-length HTTP header.")
		}
		return n, nil
	}
	if q.ContentLength < 0 {
		return 0, refuse(missingLength, "")
	}
	return q.ContentLength, nil
}

// checks are those of the signed hash and of Content-MD5.
func (q *request) checks() (out []check, err error) {
	if want, err := hex.DecodeString(q.payload); err == nil {
		out = append(out, fixed(sha256.New(), want, func([]byte) error { return refuse(contentSHA256Mismatch, "") }))
	}
	given := q.Header.Values("Content-MD5")
	if len(given) == 0 {
		return out, nil
	}
	want, err := base64.StdEncoding.DecodeString(given[0])
	if err != nil || len(want) != md5.Size {
		return nil, refuse(invalidDigest, "", pair{"Content-MD5", given[0]})
	}
	return append(out, fixed(md5.New(), want, func(got []byte) error { //nolint:gosec // see above
		return refuse(badDigest, "", pair{"ExpectedDigest", given[0]}, pair{"CalculatedDigest", base64.StdEncoding.EncodeToString(got)})
	})), nil
}

func fixed(h hash.Hash, want []byte, bad func([]byte) error) check {
	return check{h, func() ([]byte, error) { return want, nil }, bad}
}

// document reads an XML body into v.
func (q *request) document(v any) error {
	r, _, err := q.body()
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r, maxXML+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxXML:
		return refuse(malformedXML, "")
	case len(text) == 0:
		return refuse(malformedXML, "", pair{"additionalMessage", "The body is empty."})
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(v); err != nil {
		return &refusal{code: malformedXML, err: err}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(malformedXML, "")
	}
	return nil
}
