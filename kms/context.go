package kms

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxContextSize is the limit for the pairs that a client sets, in bytes of their JSON form. AWS documents
// none; this is S3's limit for system metadata of an object, where the context is kept.
const MaxContextSize = 2 << 10

// maxFullContextSize is the limit for what reaches a provider: the client's pairs and a resource ARN.
const maxFullContextSize = 8 << 10

// ARNKey is the name of the pair that S3 adds: the ARN of the object, or of the bucket with a bucket key.
const ARNKey = "aws:s3:arn"

// Context is an encryption context: pairs that are authenticated with a ciphertext blob. nil and empty are the same.
type Context map[string]string

// Canonical is the one byte string of these pairs, used as additional authenticated data: the number of pairs,
// then for each pair, in ascending order of name bytes, name and value, each behind its length. All numbers are
// 32 bit, big-endian. Vectors: testdata/context.
func (c Context) Canonical() []byte { return c.AppendCanonical(nil) }

// AppendCanonical appends [Context.Canonical] to b.
func (c Context) AppendCanonical(b []byte) []byte {
	n := 4
	for k, v := range c {
		n += 8 + len(k) + len(v)
	}
	b = binary.BigEndian.AppendUint32(slices.Grow(b, n), uint32(len(c)))
	var few [4]string // keeps the usual names off the heap
	for _, k := range c.appendNames(few[:0]) {
		b = appendSized(appendSized(b, k), c[k])
	}
	return b
}

func appendSized(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// appendNames appends the names in ascending order of bytes.
func (c Context) appendNames(names []string) []string {
	for k := range c {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// JSON is the compact JSON form with sorted names; {} for an empty context.
func (c Context) JSON() []byte {
	return c.appendJSON(nil)
}

func (c Context) appendJSON(b []byte) []byte {
	b = append(b, '{')
	var few [4]string
	for i, k := range c.appendNames(few[:0]) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendJSONString(b, k), ':')
		b = appendJSONString(b, c[k])
	}
	return append(b, '}')
}

// Validate refuses, with [ValidationException], what a client may not set: more than [MaxContextSize] bytes of
// JSON, an empty name, or text that is not UTF-8.
func (c Context) Validate() error { return c.validate(MaxContextSize) }

func (c Context) validate(limit int) error {
	size := 2
	for k, v := range c {
		if k == "" {
			return Errorf(ValidationException, "The encryption context has a pair without a name. Give every value a name.")
		}
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Errorf(ValidationException, "The encryption context pair %q is not valid UTF-8.", k)
		}
		size += jsonStringLen(k) + jsonStringLen(v) + 2
	}
	if len(c) > 0 {
		size--
	}
	if size > limit {
		return Errorf(ValidationException, "The encryption context has %d bytes as JSON; the limit is %d. Use shorter or fewer pairs.", size, limit)
	}
	return nil
}

// ParseContext reads a JSON object whose values are strings, or the standard base64 of one.
// Anything else, and a name that occurs twice, is [ValidationException].
func ParseContext(s string) (Context, error) {
	raw := []byte(strings.TrimSpace(s))
	if !bytes.HasPrefix(raw, []byte("{")) {
		dec, err := base64.StdEncoding.Strict().DecodeString(string(raw))
		if err != nil || len(dec) == 0 {
			return nil, Errorf(ValidationException, "The encryption context is neither a JSON object nor the base64 of one. Write it like {\"department\":\"hr\"}.")
		}
		raw = dec
	}
	if !utf8.Valid(raw) {
		return nil, Errorf(ValidationException, "The encryption context is not valid UTF-8.")
	}
	c, err := decodeObject(raw)
	if err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// decodeObject reads token by token, because encoding/json lets the last of two equal names win.
func decodeObject(raw []byte) (Context, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, Errorf(ValidationException, "The encryption context is not a JSON object.")
	}
	c := Context{}
	for d.More() {
		k, v, err := decodePair(d)
		if err != nil {
			return nil, err
		}
		if _, ok := c[k]; ok {
			return nil, Errorf(ValidationException, "The encryption context has the name %q twice.", k)
		}
		c[k] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, Errorf(ValidationException, "The encryption context is not complete JSON: %v.", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, Errorf(ValidationException, "The encryption context has text behind the JSON object.")
	}
	return c, c.refuseReplaced(raw)
}

func decodePair(d *json.Decoder) (string, string, error) {
	name, err := d.Token()
	if err != nil {
		return "", "", Errorf(ValidationException, "The encryption context is not valid JSON: %v.", err)
	}
	k, ok := name.(string)
	if !ok {
		return "", "", Errorf(ValidationException, "The encryption context is not a JSON object.")
	}
	value, err := d.Token()
	if err != nil {
		return "", "", Errorf(ValidationException, "The encryption context is not valid JSON: %v.", err)
	}
	v, ok := value.(string)
	if !ok {
		return "", "", Errorf(ValidationException, "The value of %q in the encryption context is not a string. Put it in quotes.", k)
	}
	return k, v, nil
}

// refuseReplaced refuses half a surrogate pair (\ud800), which encoding/json silently reads as U+FFFD.
func (c Context) refuseReplaced(raw []byte) error {
	if bytes.ContainsRune(raw, utf8.RuneError) || bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`)) {
		return nil
	}
	for k, v := range c {
		if strings.ContainsRune(k, utf8.RuneError) || strings.ContainsRune(v, utf8.RuneError) {
			return Errorf(ValidationException, "The encryption context pair %q has half a surrogate pair, which is no character.", k)
		}
	}
	return nil
}

// full is the context of a key use for a resource: the client's pairs and aws:s3:arn. A client may name the
// resource itself, but no other: the pair binds a data key to its place.
func (c Context) full(resource string) (Context, error) {
	if own, ok := c[ARNKey]; ok && own != resource {
		return nil, Errorf(ValidationException,
			"The encryption context has %s = %q, but the resource is %q. Leave the pair out; it is added.", ARNKey, own, resource)
	}
	f := make(Context, len(c)+1)
	maps.Copy(f, c)
	f[ARNKey] = resource
	return f, nil
}

// Clone is an independent copy; nil stays nil.
func (c Context) Clone() Context { return maps.Clone(c) }

// BucketARN is the ARN of a bucket.
func BucketARN(bucket string) string { return "arn:aws:s3:::" + bucket }

// ObjectARN is the ARN of an object.
func ObjectARN(bucket, key string) string { return "arn:aws:s3:::" + bucket + "/" + key }
