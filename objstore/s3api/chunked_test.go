package s3api_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore"
	"kmsfs/objstore/s3api"
)

// chunkSigner signs chunks as the S3 API Reference says, apart from package sigv4: its key is derived here.
type chunkSigner struct {
	key         []byte
	head, last  string
	trailerHash string
}

func hmacOf(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (d *door) chunkSigner(r *http.Request) *chunkSigner {
	date := r.Header.Get("X-Amz-Date")
	key := []byte("AWS4" + string(d.alice.Secret))
	for _, part := range []string{date[:8], region, "s3", "aws4_request"} {
		key = hmacOf(key, part)
	}
	_, seed, ok := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	require.True(d.t, ok)
	return &chunkSigner{key: key, head: date + "\n" + date[:8] + "/" + region + "/s3/aws4_request\n", last: seed}
}

func (c *chunkSigner) sign(kind, text string) string {
	c.last = hex.EncodeToString(hmacOf(c.key, "AWS4-HMAC-SHA256-"+kind+"\n"+c.head+c.last+"\n"+text))
	return c.last
}

func (c *chunkSigner) chunk(data string) string {
	signature := c.sign("PAYLOAD", sigv4.PayloadHash(nil)+"\n"+sigv4.PayloadHash([]byte(data)))
	line := fmt.Sprintf("%x;chunk-signature=%s\r\n", len(data), signature)
	if data == "" {
		return line
	}
	return line + data + "\r\n"
}

// streaming makes a PUT of bkt/a whose body, in chunks, make makes after the request was signed.
func (d *door) streaming(payload string, decoded int, make func(c *chunkSigner) string, headers ...string) reply {
	d.t.Helper()
	r, err := http.NewRequest("PUT", d.url+"/bkt/a", nil)
	require.NoError(d.t, err)
	r.Header.Set("x-amz-decoded-content-length", strconv.Itoa(decoded))
	r.Header.Set("Content-Encoding", "aws-chunked")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	d.sign(r, payload)
	body := make(d.chunkSigner(r))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return d.send(r)
}

func TestSignedChunks(t *testing.T) {
	d := newDoor(t)
	long := strings.Repeat("0123456789abcdef", 5000)
	got := d.streaming(sigv4.StreamingPayload, 2*len(long)+1, func(c *chunkSigner) string {
		return c.chunk(long) + c.chunk("x") + c.chunk(long) + c.chunk("") + "\r\n"
	})
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, long+"x"+long, d.ok("GET", "/bkt/a", "").body)
	got = d.streaming(sigv4.StreamingPayload, 1, func(c *chunkSigner) string { return c.chunk("y") + c.chunk("") }) // without the last line
	require.Equal(t, 200, got.status, got.body)

	const mismatch = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	form := func(why string) string { return "The request body is not in the form of aws-chunked: " + why }
	for name, row := range map[string]struct {
		make       func(c *chunkSigner) string
		status     int
		code, text string
	}{
		"altered chunk": {func(c *chunkSigner) string {
			return strings.Replace(c.chunk("x"), "\nx", "\ny", 1) + c.chunk("") + "\r\n"
		}, 403, "SignatureDoesNotMatch", mismatch},
		"altered end":     {func(c *chunkSigner) string { return c.chunk("x") + strings.Replace(c.chunk(""), "=", "=0", 1) + "\r\n" }, 403, "SignatureDoesNotMatch", mismatch},
		"no signature":    {func(*chunkSigner) string { return "1\r\nx\r\n0\r\n\r\n" }, 403, "SignatureDoesNotMatch", mismatch},
		"no last chunk":   {func(c *chunkSigner) string { return c.chunk("x") }, 400, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"},
		"too short":       {func(c *chunkSigner) string { return c.chunk("") + "\r\n" }, 400, "IncompleteBody", form("it is shorter than x-amz-decoded-content-length")},
		"too long":        {func(c *chunkSigner) string { return c.chunk("xx") + c.chunk("") }, 400, "IncompleteBody", form("it is longer than x-amz-decoded-content-length")},
		"no size":         {func(*chunkSigner) string { return "z;chunk-signature=\r\nx\r\n" }, 400, "IncompleteBody", form("a chunk has no size")},
		"huge size":       {func(*chunkSigner) string { return "ffffffffffffffff;x\r\n" }, 400, "IncompleteBody", form("a chunk has no size")},
		"endless line":    {func(*chunkSigner) string { return strings.Repeat("1", 10_000) }, 400, "IncompleteBody", form("a line is too long")},
		"something extra": {func(c *chunkSigner) string { return c.chunk("x") + c.chunk("") + "\r\nGET / HTTP/1.1\r\n" }, 400, "IncompleteBody", form("there is something behind the last chunk")},
		"trailers":        {func(c *chunkSigner) string { return c.chunk("x") + c.chunk("") + "a:b\r\n\r\n" }, 400, "IncompleteBody", form("there is something behind the last chunk")},
	} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			d.refused(d.streaming(sigv4.StreamingPayload, 1, row.make), row.status, row.code, row.text)
			require.Equal(t, "y", d.ok("GET", "/bkt/a", "").body, "what was there before")
		})
	}
}

// TestTrailers: a checksum behind the body, signed and not.
func TestTrailers(t *testing.T) {
	d := newDoor(t)
	const data, sum = "123456789", "x-amz-checksum-crc32:y/Q5Jg=="
	trailer := []string{"x-amz-trailer", "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm", "CRC32"}
	unsigned := func(trailer string) reply {
		return d.streaming(sigv4.StreamingTrailer, len(data), func(*chunkSigner) string { return "9\r\n" + data + "\r\n0\r\n" + trailer + "\r\n\r\n" },
			"x-amz-trailer", "x-amz-checksum-crc32")
	}
	got := unsigned(sum)
	require.Equal(t, 200, got.status, got.body)
	require.Equal(t, "y/Q5Jg==", got.header.Get("x-amz-checksum-crc32"))
	require.Equal(t, data, d.ok("GET", "/bkt/a", "").body)
	d.refused(unsigned("x-amz-checksum-crc32:AAAAAA=="), 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")
	d.refused(unsigned("x-amz-checksum-sha1:y/Q5Jg=="), 400, "InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid.")

	signed := func(sum, signature string) reply {
		return d.streaming(sigv4.StreamingPayloadTrailer, len(data), func(c *chunkSigner) string {
			body := c.chunk(data) + c.chunk("") + sum + "\r\n"
			own := c.sign("TRAILER", sigv4.PayloadHash([]byte(sum+"\n")))
			if signature == "" {
				signature = own
			}
			return body + "x-amz-trailer-signature:" + signature + "\r\n\r\n"
		}, trailer...)
	}
	got = signed(sum, "")
	require.Equal(t, 200, got.status, got.body)
	d.refused(signed(sum, strings.Repeat("0", 64)), 403, "SignatureDoesNotMatch",
		"The request signature we calculated does not match the signature you provided. Check your key and signing method.")
	d.refused(signed("x-amz-checksum-crc32:AAAAAA==", ""), 400, "BadDigest", "The CRC32 you specified did not match the calculated checksum.")
}

// raw sends a signed PUT of bkt/a with this length announced, and then text.
func (d *door) raw(length int, text string) *bufio.Reader {
	d.t.Helper()
	r := d.request("PUT", "/bkt/a", "")
	d.sign(r, sigv4.UnsignedPayload)
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	require.NoError(d.t, err)
	d.t.Cleanup(func() { c.Close() })
	require.NoError(d.t, c.SetDeadline(time.Now().Add(30*time.Second)))
	var head strings.Builder
	fmt.Fprintf(&head, "PUT /bkt/a HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.URL.Host, length)
	require.NoError(d.t, r.Header.Write(&head))
	_, err = io.WriteString(c, head.String()+"\r\n"+text)
	require.NoError(d.t, err)
	return bufio.NewReader(c)
}

// TestSlowClient: who sends nothing more is answered and cut off, and nothing of his is there.
func TestSlowClient(t *testing.T) {
	d := newDoorWith(t, kms.Options{}, s3api.Options{Patience: time.Second})
	resp, err := http.ReadResponse(d.raw(1000, "half"), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, string(body), "<Code>RequestTimeout</Code>")
	_, err = d.store.HeadObject(t.Context(), "bkt", "a", "")
	require.ErrorIs(t, err, objstore.NoSuchKey)
}

// TestLengths: what is too long is refused before it comes, and a length there has to be.
func TestLengths(t *testing.T) {
	d := newDoor(t)
	resp, err := http.ReadResponse(d.raw(6<<30, ""), nil)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, 400, resp.StatusCode)
	require.Contains(t, string(body), "<Code>EntityTooLarge</Code>")
	r := d.request("PUT", "/bkt/a", "")
	d.sign(r, sigv4.UnsignedPayload)
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), -1
	d.refused(d.send(r), 411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
	r = d.request("PUT", "/bkt/a", "")
	d.sign(r, sigv4.StreamingPayload)
	d.refused(d.send(r), 411, "MissingContentLength", "You must provide the x-amz-decoded-content-length HTTP header.")
}
