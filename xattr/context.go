package xattr

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"unicode/utf8"
)

// MaxContext is the longest canonical form of an encryption context, in bytes: what S3 lets a request's metadata
// take.
const MaxContext = 2 << 10

// serviceKey is the pair that the service adds to every context; a client must not set it.
const serviceKey = "aws:s3:arn"

// ParseContext reads an encryption context: a JSON object of strings, or the standard base64 of one, as
// x-amz-server-side-encryption-context has it. {} is the context without pairs. Errors wrap [ErrSyntax].
func ParseContext(value []byte) (map[string]string, error) {
	text := bytes.TrimSpace(value)
	if len(text) == 0 || text[0] != '{' {
		decoded, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil || len(decoded) == 0 {
			return nil, syntax(string(value), contextWant)
		}
		text = bytes.TrimSpace(decoded)
	}
	c, err := parseObject(text)
	if err != nil {
		return nil, err
	}
	return c, checkContext(c)
}

const contextWant = `a JSON object of strings such as {"team":"hr"}, or its base64`

// parseObject is stricter than json.Unmarshal: a pair that comes twice and text that is no UTF-8 are refused,
// for two readers could take them for different contexts.
func parseObject(text []byte) (map[string]string, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: it is not UTF-8; want %s", ErrSyntax, contextWant)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, syntax(string(text), contextWant)
	}
	c := map[string]string{}
	for dec.More() {
		if err := parsePair(dec, c); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, syntax(string(text), contextWant)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the object; want %s", ErrSyntax, contextWant)
	}
	if err := checkSurrogates(text, c); err != nil {
		return nil, err
	}
	return c, nil
}

// parsePair adds the next pair to c.
func parsePair(dec *json.Decoder, c map[string]string) error {
	k, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %v; want %s", ErrSyntax, err, contextWant)
	}
	v, err := dec.Token()
	if err != nil {
		return fmt.Errorf("%w: %v; want %s", ErrSyntax, err, contextWant)
	}
	key, isKey := k.(string)
	val, isString := v.(string)
	if !isKey || !isString {
		return fmt.Errorf("%w: the value of %q is not a string; want %s", ErrSyntax, k, contextWant)
	}
	if _, twice := c[key]; twice {
		return fmt.Errorf("%w: %q comes twice; want each key once", ErrSyntax, key)
	}
	c[key] = val
	return nil
}

// checkSurrogates refuses \ud800 and the like, which the decoder replaces by U+FFFD without a word.
func checkSurrogates(text []byte, c map[string]string) error {
	const replacement = "\uFFFD"
	if bytes.Contains(text, []byte(replacement)) || bytes.Contains(bytes.ToLower(text), []byte(`\ufffd`)) {
		return nil
	}
	for k, v := range c {
		if bytes.Contains([]byte(k+v), []byte(replacement)) {
			return fmt.Errorf(`%w: half of a surrogate pair (\ud800 to \udfff); want characters`, ErrSyntax)
		}
	}
	return nil
}

// checkContext is what a context may hold, however it was written.
func checkContext(c map[string]string) error {
	if _, ok := c[serviceKey]; ok {
		return fmt.Errorf("%w: %q is added by the service; leave it out", ErrSyntax, serviceKey)
	}
	if _, ok := c[""]; ok {
		return fmt.Errorf("%w: a key is empty; want a name for each pair", ErrSyntax)
	}
	if n := len(CanonicalContext(c)); n > MaxContext {
		return fmt.Errorf("%w: %d bytes; want at most %d", ErrSyntax, n, MaxContext)
	}
	return nil
}

// CanonicalContext writes a context as JSON: keys in ascending order of their UTF-8 bytes, no spaces, no escapes
// that JSON does not need, but for U+2028 and U+2029.
func CanonicalContext(c map[string]string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for n, k := range slices.Sorted(maps.Keys(c)) {
		if n > 0 {
			b.WriteByte(',')
		}
		writeString(&b, enc, k)
		b.WriteByte(':')
		writeString(&b, enc, c[k])
	}
	b.WriteByte('}')
	return b.Bytes()
}

// writeString drops the newline that an Encoder adds. Encoding a string cannot fail.
func writeString(b *bytes.Buffer, enc *json.Encoder, s string) {
	if err := enc.Encode(s); err != nil {
		panic("xattr: internal error: " + err.Error())
	}
	b.Truncate(b.Len() - 1)
}
