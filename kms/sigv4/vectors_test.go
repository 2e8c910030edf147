package sigv4_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/stretchr/testify/require"

	"kmsfs/kms/sigv4"
)

// vector is one file of testdata/sigv4.
type vector struct {
	name string
	head map[string]string
	raw  []byte // the request
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("../../testdata/sigv4/*.vec")
	require.NoError(t, err)
	require.NotEmpty(t, files, "no vectors: generate them as testdata/sigv4/README.md says")
	var out []vector
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		head, raw, ok := strings.Cut(string(text), "\n\n")
		require.True(t, ok, file)
		v := vector{name: strings.TrimSuffix(filepath.Base(file), ".vec"), head: map[string]string{}, raw: []byte(raw)}
		for line := range strings.SplitSeq(head, "\n") {
			k, value, ok := strings.Cut(line, ": ")
			require.True(t, ok, line)
			v.head[k] = value
		}
		out = append(out, v)
	}
	return out
}

// request reads the vector's request. By hand, because some have a space in the path, which net/http does not read.
func (v vector) request(t testing.TB) (*http.Request, []byte) {
	t.Helper()
	r := bufio.NewReader(bytes.NewReader(v.raw))
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	method, rest, _ := strings.Cut(line, " ")
	target := strings.TrimSuffix(rest, " HTTP/1.1\n")
	header, err := textproto.NewReader(r).ReadMIMEHeader()
	require.NoError(t, err)
	body, err := io.ReadAll(r)
	require.NoError(t, err)
	path, query, _ := strings.Cut(target, "?")
	req := &http.Request{Method: method, RequestURI: target, URL: &url.URL{Path: path, RawQuery: query},
		Host: header.Get("Host"), Header: http.Header(header)}
	req.Header.Del("Host")
	return req, body
}

func (v vector) scheme() sigv4.Scheme {
	return sigv4.Scheme{Service: v.head["service"], Region: v.head["region"], PlainPath: v.head["service"] == "s3"}
}

func (v vector) credentials() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: v.head["access-key"], Secret: []byte(v.head["secret"]), User: "alice"}
}

func (v vector) time(t testing.TB) time.Time {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", v.head["time"])
	require.NoError(t, err)
	return at
}

func (v vector) presigned() bool { return bytes.Contains(v.raw, []byte("X-Amz-Algorithm=")) }

func (v vector) authorization() string {
	return "AWS4-HMAC-SHA256 Credential=" + v.head["access-key"] + "/" + v.head["time"][:8] + "/" + v.head["region"] + "/" +
		v.head["service"] + "/aws4_request, SignedHeaders=" + v.head["signed-headers"] + ", Signature=" + v.head["signature"]
}

// signed is the request with its signature.
func (v vector) signed(t testing.TB) *http.Request {
	r, _ := v.request(t)
	if v.presigned() {
		r.RequestURI += "&X-Amz-Signature=" + v.head["signature"]
		r.URL.RawQuery += "&X-Amz-Signature=" + v.head["signature"]
	} else {
		r.Header.Set("Authorization", v.authorization())
	}
	return r
}

// oneKey knows one access key.
type oneKey sigv4.Credentials

var errTrouble = errors.New("the disk is on fire")

func (k oneKey) Lookup(_ context.Context, id string) (sigv4.Credentials, error) {
	switch id {
	case k.AccessKeyID:
		k.Secret = bytes.Clone(k.Secret)
		return sigv4.Credentials(k), nil
	case "AKIATROUBLE":
		return sigv4.Credentials{}, errTrouble
	}
	return sigv4.Credentials{}, sigv4.ErrNoKey
}

func (v vector) verifier(t testing.TB) *sigv4.Verifier {
	at := v.time(t)
	return &sigv4.Verifier{Scheme: v.scheme(), Keys: oneKey(v.credentials()), Now: func() time.Time { return at }}
}

func TestVectorsSign(t *testing.T) {
	for _, v := range vectors(t) {
		if v.presigned() {
			continue // TestPresign
		}
		t.Run(v.name, func(t *testing.T) {
			r, body := v.request(t)
			require.Equal(t, v.head["payload-hash"], sigv4.PayloadHash(body))
			s := sigv4.Signer{Scheme: v.scheme(), Credentials: v.credentials()}
			require.NoError(t, s.Sign(r, v.head["payload-hash"], v.time(t)))
			require.Equal(t, v.authorization(), r.Header.Get("Authorization"))
		})
	}
}

func TestVectorsVerify(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			require.Equal(t, "success", v.head["expect"])
			got, err := v.verifier(t).Verify(v.signed(t), v.head["payload-hash"])
			require.NoError(t, err)
			require.Equal(t, v.head["access-key"], got.AccessKeyID)
			require.Equal(t, "alice", got.User)
			require.Equal(t, v.presigned(), got.Presigned)
		})
	}
}

// TestVectorsRefused alters each vector's request in one way.
func TestVectorsRefused(t *testing.T) {
	for name, alter := range map[string]func(r *http.Request, hash *string){
		"method":     func(r *http.Request, _ *string) { r.Method = "PUT " },
		"path":       func(r *http.Request, _ *string) { r.RequestURI = "/x" + r.RequestURI },
		"query":      func(r *http.Request, _ *string) { addQuery(r, "x=1") },
		"host":       func(r *http.Request, _ *string) { r.Host += ".example.org" },
		"body":       func(_ *http.Request, hash *string) { *hash = sigv4.PayloadHash([]byte("other")) },
		"x-amz-date": func(r *http.Request, _ *string) { r.Header.Set("X-Amz-Date", "20150830T123601Z") },
	} {
		t.Run(name, func(t *testing.T) {
			for _, v := range vectors(t) {
				r, hash := v.signed(t), v.head["payload-hash"]
				alter(r, &hash)
				_, err := v.verifier(t).Verify(r, hash)
				require.Error(t, err, v.name)
				_, refused := sigv4.CodeOf(err)
				require.True(t, refused, "%s: %v", v.name, err)
			}
		})
	}
}

func addQuery(r *http.Request, pair string) {
	if strings.Contains(r.RequestURI, "?") {
		r.RequestURI, r.URL.RawQuery = r.RequestURI+"&"+pair, r.URL.RawQuery+"&"+pair
		return
	}
	r.RequestURI, r.URL.RawQuery = r.RequestURI+"?"+pair, pair
}

// TestVectorsSDK has AWS's own signer sign the same requests. It neither resolves dots in a path nor reads what is not
// encoded, so those go in as their canonical form.
func TestVectorsSDK(t *testing.T) {
	checked := 0
	for _, v := range vectors(t) {
		if v.presigned() || v.name == "s3-odd-name" { // the SDK takes the path of S3 as it is
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			r, _ := v.request(t)
			r.URL = &url.URL{Scheme: "https", Host: r.Host, Path: cleanPath(r.URL.Path), RawPath: strings.ReplaceAll(cleanPath(r.URL.Path), "$", "%24"), RawQuery: r.URL.RawQuery}
			r.RequestURI = ""
			signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
			c := v.credentials()
			err := signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: string(c.Secret)}, r,
				v.head["payload-hash"], v.head["service"], v.head["region"], v.time(t))
			require.NoError(t, err)
			require.Equal(t, v.authorization(), r.Header.Get("Authorization"))
			checked++
		})
	}
	require.GreaterOrEqual(t, checked, 25)
}

// cleanPath is the path of a vector without dots and double slashes, written out so that nothing is shared with what is tested.
func cleanPath(path string) string {
	known := map[string]string{"//": "/", "//example//": "/example/", "/./": "/", "/./example": "/example", "/example/..": "/", "/example1/example2/../..": "/"}
	if clean, ok := known[path]; ok {
		return clean
	}
	return path
}
