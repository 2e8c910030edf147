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

// Signer signs requests to one service with one access key.
type Signer struct {
	Scheme
	Credentials
}

// Sign sets X-Amz-Date and Authorization, and with S3's scheme X-Amz-Content-Sha256. All headers that r has are signed, but
// for those that a proxy may alter. payloadHash is [PayloadHash] of the body, or a value that the service takes instead.
// r is a client's request (RequestURI is empty) and not to be altered afterwards. The error is [Incomplete]: a query that cannot be parsed.
func (s Signer) Sign(r *http.Request, payloadHash string, t time.Time) error {
	t = t.UTC()
	r.Header.Set(headerDate, t.Format(timeFormat))
	if s.PlainPath {
		r.Header.Set(headerPayload, payloadHash)
	}
	r.Header.Del("Authorization")
	signed := signedNames(r)
	sum, err := s.sum(r, signed, payloadHash, t)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", algorithm+" Credential="+s.AccessKeyID+"/"+s.scope(t.Format(dayFormat))+
		", SignedHeaders="+strings.Join(signed, ";")+", Signature="+sum)
	return nil
}

// Presign puts the signature into r's query: whoever has the URL may send the request until expires after t (1 s to
// [MaxExpires]), with the headers that r has now. payloadHash is [UnsignedPayload] with S3.
func (s Signer) Presign(r *http.Request, payloadHash string, t time.Time, expires time.Duration) error {
	t = t.UTC()
	signed := signedNames(r)
	add := url.Values{
		queryAlgorithm:  {algorithm},
		queryCredential: {s.AccessKeyID + "/" + s.scope(t.Format(dayFormat))},
		queryDate:       {t.Format(timeFormat)},
		queryExpires:    {strconv.FormatInt(int64(expires/time.Second), 10)},
		querySigned:     {strings.Join(signed, ";")},
	}
	r.URL.RawQuery = strings.TrimPrefix(r.URL.RawQuery+"&"+add.Encode(), "&")
	sum, err := s.sum(r, signed, payloadHash, t)
	if err != nil {
		return err
	}
	r.URL.RawQuery += "&" + querySignature + "=" + sum
	return nil
}

func (s Signer) sum(r *http.Request, signed []string, payloadHash string, t time.Time) (string, error) {
	canonical, err := s.canonicalRequest(r, signed, payloadHash)
	if err != nil {
		return "", err
	}
	key := s.signingKey(s.Secret, t.Format(dayFormat))
	defer clear(key)
	return hex.EncodeToString(mac(key, s.stringToSign(t, canonical))), nil
}

func signedNames(r *http.Request) []string {
	signed := []string{"host"}
	for name := range r.Header {
		switch lower := strings.ToLower(name); lower {
		case "host", "authorization", "user-agent", "expect", "connection", "accept-encoding", "transfer-encoding", "x-amzn-trace-id":
		default:
			signed = append(signed, lower)
		}
	}
	slices.Sort(signed)
	return signed
}
