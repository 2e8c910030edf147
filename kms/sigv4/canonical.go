package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// canonicalRequest is the text whose hash is signed: method, path, query, the headers that signed lists (lower case, in
// ascending order), and the hash of the body, each in its one form. The error is [Incomplete]: a percent sign that begins no
// escape.
func (s Scheme) canonicalRequest(r *http.Request, signed []string, payloadHash string) (string, error) {
	path, query := wireTarget(r)
	path, err := s.canonicalPath(path)
	if err != nil {
		return "", err
	}
	if query, err = canonicalQuery(query); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range signed {
		b.WriteString(name + ":" + headerValue(r, name) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + payloadHash)
	return b.String(), nil
}

// wireTarget is path and query as they are on the wire: what a server got, or what a client is about to send.
func wireTarget(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") {
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery
}

func (s Scheme) canonicalPath(path string) (string, error) {
	if s.PlainPath {
		plain, err := unescape(path, false)
		if err != nil {
			return "", err
		}
		return escape(rooted(plain), true), nil
	}
	return escape(normalize(path), true), nil
}

func rooted(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// normalize resolves "." and ".." and drops empty segments; a slash at the end stays. RFC 3986, 6.2.2.3.
func normalize(path string) string {
	var out []string
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			out = out[:max(0, len(out)-1)]
		default:
			out = append(out, segment)
		}
	}
	clean := "/" + strings.Join(out, "/")
	if len(out) > 0 && strings.HasSuffix(path, "/") {
		clean += "/"
	}
	return clean
}

// canonicalQuery encodes every name and value anew and sorts the pairs. The signature of a presigned request is not part
// of what it signs.
func canonicalQuery(raw string) (string, error) {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name, true)
		if err != nil {
			return "", err
		}
		if value, err = unescape(value, true); err != nil {
			return "", err
		}
		if name != querySignature {
			pairs = append(pairs, pair{escape(name, false), escape(value, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p.name + "=" + p.value
	}
	return strings.Join(out, "&"), nil
}

// headerValue is the canonical value of a header: several values in their order with commas between them, each without
// spaces at its ends and with single spaces inside.
func headerValue(r *http.Request, name string) string {
	values := r.Header.Values(name)
	switch {
	case name == "host":
		values = []string{hostOf(r)}
	case name == "content-length" && len(values) == 0 && r.ContentLength >= 0:
		values = []string{strconv.FormatInt(r.ContentLength, 10)}
	case name == "transfer-encoding" && len(values) == 0:
		values = r.TransferEncoding
	}
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' || c == '\t' }), " ")
	}
	return strings.Join(out, ",")
}

func hostOf(r *http.Request) string {
	if r.Host == "" && r.URL != nil {
		return r.URL.Host // of a request that a client has not sent yet
	}
	return r.Host
}

const upperHex = "0123456789ABCDEF"

// escape percent-encodes all but the unreserved characters of RFC 3986, and slashes where keepSlash is set.
func escape(s string, keepSlash bool) string {
	plain := true
	for i := range len(s) {
		plain = plain && (unreserved(s[i]) || keepSlash && s[i] == '/')
	}
	if plain {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; unreserved(c) || keepSlash && c == '/' {
			b = append(b, c)
		} else {
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return string(b)
}

func unreserved(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// unescape resolves percent escapes, and in a query a plus sign for a space.
func unescape(s string, query bool) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) {
				return "", refuse(Incomplete, "The path or query has a percent sign that begins no escape.")
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", refuse(Incomplete, "The path or query has a percent sign that begins no escape.")
			}
			b = append(b, byte(v))
			i += 2
		case s[i] == '+' && query:
			b = append(b, ' ')
		default:
			b = append(b, s[i])
		}
	}
	return string(b), nil
}
