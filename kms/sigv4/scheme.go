package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"
)

// Limits of AWS.
const (
	MaxSkew    = 15 * time.Minute   // between a request's date and the clock, either way
	MaxExpires = 7 * 24 * time.Hour // of a presigned request
)

// Values of x-amz-content-sha256 that are no hash.
const (
	UnsignedPayload         = "UNSIGNED-PAYLOAD"
	StreamingPayload        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingPayloadTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingTrailer        = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dayFormat  = "20060102"
)

// Scheme is what one service does with the protocol.
type Scheme struct {
	Service, Region string
	// PlainPath is S3's way: the path is taken as it is, percent-encoded once. All others resolve dots and double slashes,
	// and encode the path of the wire once more.
	PlainPath bool
}

func (s Scheme) scope(day string) string {
	return day + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// Credentials are an access key. They print without the secret.
type Credentials struct {
	AccessKeyID string
	Secret      []byte
	User        string // whose key it is; not part of the signature
}

// String leaves the secret out.
func (c Credentials) String() string { return c.AccessKeyID + " of " + c.User }

// GoString leaves the secret out.
func (c Credentials) GoString() string { return c.String() }

// LogValue leaves the secret out.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ErrNoKey is what [Keys] answers for an access key id that nobody has.
var ErrNoKey = errors.New("no such access key")

// Keys finds access keys.
type Keys interface {
	// Lookup returns the key with this id. The caller wipes Secret, which is its own copy. The error wraps [ErrNoKey]
	// when there is none; any other error is trouble of the server. It may be called concurrently.
	Lookup(ctx context.Context, accessKeyID string) (Credentials, error)
}

// signingKey derives the key of one day, region and service from a secret.
func (s Scheme) signingKey(secret []byte, day string) []byte {
	first := append([]byte("AWS4"), secret...)
	defer clear(first)
	key := first
	for _, part := range []string{day, s.Region, s.Service, terminator} {
		next := mac(key, part)
		clear(key)
		key = next
	}
	return key
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// PayloadHash is the lower-case hex SHA-256 of a body.
func PayloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// stringToSign is the text that is signed for a canonical request.
func (s Scheme) stringToSign(t time.Time, canonical string) string {
	return algorithm + "\n" + t.Format(timeFormat) + "\n" + s.scope(t.Format(dayFormat)) + "\n" + PayloadHash([]byte(canonical))
}
