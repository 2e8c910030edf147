package sigv4

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The names of a presigned request's parameters.
const (
	queryAlgorithm  = "X-Amz-Algorithm"
	queryCredential = "X-Amz-Credential"
	queryDate       = "X-Amz-Date"
	queryExpires    = "X-Amz-Expires"
	querySigned     = "X-Amz-SignedHeaders"
	querySignature  = "X-Amz-Signature"
	queryToken      = "X-Amz-Security-Token"
)

const (
	headerDate    = "X-Amz-Date"
	headerPayload = "X-Amz-Content-Sha256"
)

// claim is what a request says of its signature.
type claim struct {
	accessKeyID, day, region, service, end string
	signed                                 []string // names, lower case, ascending
	signature                              []byte   // 32 bytes
	time                                   time.Time
	presigned                              bool
	expires                                time.Duration // of a presigned request
}

// parseClaim reads the claim from the Authorization header or else from the query.
func parseClaim(r *http.Request) (claim, error) {
	if r.Header.Get("X-Amz-Security-Token") != "" {
		return claim{}, refuse(UnknownToken, textToken)
	}
	if values := r.Header.Values("Authorization"); len(values) > 1 {
		return claim{}, refuse(Incomplete, "There is more than one Authorization header.")
	} else if len(values) == 1 {
		return parseHeader(r, values[0])
	}
	if !strings.Contains(r.URL.RawQuery, queryAlgorithm) {
		return claim{}, refuse(MissingSignature, "Missing Authentication Token")
	}
	return parseQuery(r)
}

const textToken = "The security token included in the request is invalid."

func parseHeader(r *http.Request, value string) (claim, error) {
	parts, err := authorizationParts(value)
	if err != nil {
		return claim{}, err
	}
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if parts[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	date, when, err := headerTime(r)
	if err != nil {
		return claim{}, err
	}
	if date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if missing != nil {
		return claim{}, refuse(Incomplete, strings.Join(missing, " "))
	}
	c := claim{time: when}
	if err := c.fill(parts["Credential"], parts["SignedHeaders"], parts["Signature"]); err != nil {
		return claim{}, err
	}
	if !slices.Contains(c.signed, date) {
		return claim{}, unsigned(date)
	}
	return c, nil
}

// authorizationParts splits "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...".
func authorizationParts(value string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(value, algorithm)
	if !ok || rest != "" && rest[0] != ' ' {
		return nil, refuse(Incomplete, "Unsupported Authorization header: it must begin with "+algorithm+".")
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if name == "" {
			continue
		}
		if _, twice := parts[name]; twice || !ok {
			return nil, refuse(Incomplete, "The Authorization header is not a list of distinct name=value parts.")
		}
		parts[name] = v
	}
	return parts, nil
}

// headerTime is the date of a request and the header that has it, lower case; "" when there is none.
func headerTime(r *http.Request) (name string, t time.Time, err error) {
	if v := r.Header.Get(headerDate); v != "" {
		if t, err = time.Parse(timeFormat, v); err != nil {
			return "", t, refuse(Incomplete, "Date must be in ISO-8601 'basic format'. Got '"+v+"'. See http://en.wikipedia.org/wiki/ISO_8601")
		}
		return "x-amz-date", t, nil
	}
	v := r.Header.Get("Date")
	if v == "" {
		return "", t, nil
	}
	if t, err = time.Parse(timeFormat, v); err == nil {
		return "date", t, nil
	}
	if t, err = http.ParseTime(v); err != nil {
		return "", t, refuse(Incomplete, "The Date header is not an HTTP date.")
	}
	return "date", t.UTC(), nil
}

func parseQuery(r *http.Request) (claim, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return claim{}, refuse(Incomplete, "The query is malformed.")
	}
	for _, name := range []string{queryAlgorithm, queryCredential, queryDate, queryExpires, querySigned, querySignature} {
		if len(q[name]) != 1 || q[name][0] == "" {
			return claim{}, refuse(Incomplete, "AWS query-string parameters must include '"+name+"', once.")
		}
	}
	if q.Has(queryToken) {
		return claim{}, refuse(UnknownToken, textToken)
	}
	if a := q.Get(queryAlgorithm); a != algorithm {
		return claim{}, refuse(Incomplete, "Unsupported X-Amz-Algorithm: it must be "+algorithm+".")
	}
	c := claim{presigned: true}
	if c.time, err = time.Parse(timeFormat, q.Get(queryDate)); err != nil {
		return claim{}, refuse(Incomplete, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	seconds, err := strconv.ParseUint(q.Get(queryExpires), 10, 32)
	if c.expires = time.Duration(seconds) * time.Second; err != nil || seconds == 0 || c.expires > MaxExpires {
		return claim{}, refuse(Incomplete, "X-Amz-Expires must be 1 to 604800 seconds.")
	}
	return c, c.fill(q.Get(queryCredential), q.Get(querySigned), q.Get(querySignature))
}

// fill parses the three parts that both forms have.
func (c *claim) fill(credential, signed, signature string) error {
	f := strings.Split(credential, "/")
	if len(f) != 5 {
		return refuse(Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'")
	}
	c.accessKeyID, c.day, c.region, c.service, c.end = f[0], f[1], f[2], f[3], f[4]
	c.signed = strings.Split(signed, ";")
	for i, name := range c.signed {
		if name == "" || name != strings.ToLower(name) || i > 0 && c.signed[i-1] >= name {
			return refuse(Incomplete, "SignedHeaders must be lower-case names in ascending order with ';' between them.")
		}
	}
	var err error
	if c.signature, err = hex.DecodeString(signature); err != nil || len(c.signature) != 32 {
		return refuse(SignatureMismatch, textMismatch)
	}
	return nil
}

// checkSigned refuses a request that has an unsigned header which says what the request does.
func (c *claim) checkSigned(r *http.Request) error {
	if !slices.Contains(c.signed, "host") {
		return refuse(UnsignedHeader, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(c.signed, lower) {
			return unsigned(lower)
		}
	}
	return nil
}

func unsigned(name string) *Error {
	return refuse(UnsignedHeader, "'"+name+"' must be a 'SignedHeader' in the AWS Authorization.")
}
