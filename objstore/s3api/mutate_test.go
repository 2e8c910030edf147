package s3api_test

import (
	"encoding/xml"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/sigv4"
	"kmsfs/objstore"
	"kmsfs/objstore/s3api"
)

// mutator makes requests of parts that are odd in one way or another, from a fixed seed.
type mutator struct{ *rand.Rand }

func (m mutator) of(list ...string) string { return list[m.IntN(len(list))] }

func (m mutator) request(d *door) *http.Request {
	nasty := func() string {
		return m.of("", "x", "-1", "99999999999999999999", "%", "\xff", "a\x01b", strings.Repeat("k", 1100), "alias/x", "aws:kms", "AES256", "true", "*", `"x"`,
			"bytes=0-", "bytes=-9", "bytes=5-2", "/bkt/a", "/bkt/a?versionId=", "bkt", "e30=", b64(`{"a":"b"}`), "REPLACE", "url", "2", "1000")
	}
	path := "/" + m.of("", "bkt", "bkt/", "none", "BKT", "..") + m.of("", "/a", "/a/b", "/", "//", "/../a", "/"+nasty())
	query := url.Values{}
	for range m.IntN(3) {
		query.Set(m.of("versionId", "versions", "encryption", "versioning", "location", "delete", "acl", "uploads", "uploadId", "partNumber", "list-type", "prefix",
			"delimiter", "marker", "max-keys", "encoding-type", "continuation-token", "start-after", "key-marker", "version-id-marker", "response-expires", "x-id"), nasty())
	}
	body := m.of("", "hello", "<a/>", "<Delete><Object><Key>a</Key></Object></Delete>", encryptionXML("aws:kms", nasty(), true), "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n",
		strings.Repeat("<a>", 3000), "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
	r := httptest.NewRequest(m.of("GET", "GET", "PUT", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"), "http://door/", strings.NewReader(body))
	r.URL = &url.URL{Scheme: "http", Host: "door", Path: path, RawQuery: query.Encode()}
	r.RequestURI = ""
	for range m.IntN(4) {
		r.Header.Set(m.of(sse, sseKey, sseContext, sseBucketKey, sse+"-customer-key", "x-amz-copy-source", "x-amz-metadata-directive", "Range", "If-Match", "If-None-Match",
			"If-Modified-Since", "Content-MD5", "Content-Type", "x-amz-meta-a", "x-amz-checksum-crc32", "x-amz-checksum-", "x-amz-trailer", "x-amz-decoded-content-length",
			"x-amz-sdk-checksum-algorithm", "x-amz-acl", "x-amz-storage-class", "Content-Encoding", "x-amz-copy-source-if-match", "If-Range"), nasty())
	}
	payload := m.of(sigv4.PayloadHash([]byte(body)), sigv4.UnsignedPayload, sigv4.StreamingPayload, sigv4.StreamingPayloadTrailer, sigv4.StreamingTrailer, nasty())
	if err := d.signer().Sign(r, payload, time.Now()); err != nil {
		d.t.Error(err)
	}
	return r
}

// TestMutatedRequests: whatever a known client sends, the door answers it, an error in the form of one, and never as trouble of its own.
func TestMutatedRequests(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt/a", "hello")
	h := s3api.NewHandler(s3api.Options{Store: d.store, Keys: d.users})
	m := mutator{rand.New(rand.NewPCG(1, 2))}
	answers := map[int]int{}
	for range 5000 {
		r := m.request(d)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		answers[w.Code]++
		what := r.Method + " " + r.URL.String()
		require.Less(t, w.Code, 502, what)
		require.NotEqual(t, 500, w.Code, "%s %v: %s", what, r.Header, w.Body)
		if w.Code >= 400 && r.Method != http.MethodHead {
			require.NoError(t, xml.Unmarshal(w.Body.Bytes(), &failure{}), w.Body.String())
		}
	}
	require.Greater(t, answers[200], 100, "some requests have to be good: %v", answers)
	require.Greater(t, answers[400], 100)
}

// TestDirectory: a directory of a mount is an empty object with a slash at its end.
func TestDirectory(t *testing.T) {
	d := newDoor(t)
	b, err := d.store.HeadBucket(t.Context(), "bkt")
	require.NoError(t, err)
	_, err = d.store.Create(root(), b.Root, "dir", objstore.NodeInit{Mode: 0o040750})
	require.NoError(t, err)
	require.Equal(t, []string{"dir/"}, d.list().names())
	got := d.ok("GET", "/bkt/dir/", "")
	require.Empty(t, got.body)
	require.Equal(t, "application/x-directory", got.header.Get("Content-Type"))
	require.Equal(t, "16872", got.header.Get("x-amz-meta-mode"))
	require.Equal(t, 404, d.do("GET", "/bkt/dir", "").status)
	d.ok("PUT", "/bkt/dir/a", "x")
	d.ok("DELETE", "/bkt/dir/", "")
	require.Equal(t, []string{"dir/a"}, d.list().names())
}
