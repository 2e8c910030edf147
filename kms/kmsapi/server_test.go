package kmsapi_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/kms/kmstest"
)

// raw connects to d and sends text.
func (d *door) raw(text string) net.Conn {
	d.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	require.NoError(d.t, err)
	d.t.Cleanup(func() { c.Close() })
	_, err = io.WriteString(c, text)
	require.NoError(d.t, err)
	return c
}

// head is a signed request's header as it goes over the wire, for a body of n bytes; -1 is a chunked body.
func (d *door) head(n int) string {
	r := d.request("ListKeys", "{}")
	var b strings.Builder
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nHost: %s\r\n", r.URL.Host)
	if n < 0 {
		b.WriteString("Transfer-Encoding: chunked\r\n")
	} else {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", n)
	}
	require.NoError(d.t, r.Header.Write(&b))
	return b.String() + "\r\n"
}

// TestSlowClients: whoever sends slowly is cut off, and what he was to use up is free again.
func TestSlowClients(t *testing.T) {
	const limit = 300 * time.Millisecond
	d := newDoorWith(t, httpdoor.Options{HeaderTimeout: limit, ReadTimeout: limit, IdleTimeout: limit, MaxConnections: 2}, nil)
	for name, text := range map[string]string{
		"nothing": "", "half a line": "POST / HT", "half a head": "POST / HTTP/1.1\r\nHost: x\r\n",
		"half a body": d.head(100) + "{", "half a chunk": d.head(-1) + "64\r\n{", "idle": "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			c := d.raw(text)
			require.NoError(t, c.SetReadDeadline(start.Add(10*time.Second)))
			answer, err := io.ReadAll(c)
			require.NoError(t, err, "the server closes the connection")
			if strings.Contains(name, "body") || strings.Contains(name, "chunk") {
				require.Contains(t, string(answer), "HTTP/1.1 408 ")
				require.Contains(t, string(answer), `{"__type":"RequestTimeoutException","message":"The request body came too slowly."}`)
			}
			require.Less(t, time.Since(start), 5*time.Second)
		})
	}
	for range 2 { // both places are taken for a while
		d.raw("POST / HT")
	}
	require.Empty(t, d.call("ListKeys", "{}")["Keys"])
}

func TestOversizedBodies(t *testing.T) {
	d := newDoor(t)
	big := `{"KeyId":"` + strings.Repeat("x", kmsapi.MaxBody) + `"}`
	d.refused(d.request("DescribeKey", big), 413, "RequestEntityTooLargeException", "message", "The request body has more than 262144 bytes.")
	chunked := d.request("DescribeKey", big)
	chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(big)), -1
	d.refused(chunked, 413, "RequestEntityTooLargeException", "message", "The request body has more than 262144 bytes.")

	// said to be long, and refused before any of it is sent
	c := d.raw(d.head(1 << 40))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 413, resp.StatusCode)

	// chunked is as good as any other form
	small := d.request("ListKeys", "{}")
	small.Body, small.ContentLength = io.NopCloser(strings.NewReader("{}")), -1
	require.Equal(t, 200, d.send(small).status)
}

// TestStrangersSendNoBody: without a known access key the answer comes before the body.
func TestStrangersSendNoBody(t *testing.T) {
	d := newDoor(t)
	for _, authorization := range []string{"", "Authorization: x\r\n"} {
		c := d.raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n" + authorization + "\r\n")
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		require.Equal(t, 400, resp.StatusCode)
		require.True(t, resp.Close)
	}
}

func TestHugeHeader(t *testing.T) {
	d := newDoor(t)
	c := d.raw("POST / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 431, resp.StatusCode)
}

func TestWrongPlace(t *testing.T) {
	d := newDoor(t)
	for _, alter := range []func(*http.Request){
		func(r *http.Request) { r.Method = http.MethodPut },
		func(r *http.Request) { r.URL.Path = "/other" },
		func(r *http.Request) { r.Header.Set("Content-Type", "application/json") },
		func(r *http.Request) { r.Header.Set("X-Amz-Target", "ListKeys") },
		func(r *http.Request) { r.Header.Set("X-Amz-Target", "TrentService.listkeys") },
	} {
		r := d.request("ListKeys", "{}")
		alter(r)
		d.sign(r, "{}", time.Now())
		d.refused(r, 400, "UnknownOperationException", "message", "")
	}
}

// TestCaller: the audit record names the user and the door.
func TestCaller(t *testing.T) {
	d := newDoor(t)
	d.key()
	r := d.request("CreateKey", `{}`)
	r.Header.Set("User-Agent", strings.Repeat("x", 2000))
	require.Equal(t, http.StatusOK, d.send(r).status)
	events := d.audit.Events()
	require.Len(t, events, 2)
	want := kms.Caller{Principal: "arn:aws:iam::000000000000:user/alice", Via: "kms", SourceIP: "127.0.0.1", UserAgent: "Go-http-client/1.1"}
	require.Equal(t, want, events[0].Caller)
	require.Equal(t, strings.Repeat("x", 1024), events[1].Caller.UserAgent, "strangers' words are bounded")
}

// TestLog: strangers and trouble are logged, secrets are not.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	fault := kmstest.NewFault(kmstest.NewBackend(t))
	d := newDoorWith(t, httpdoor.Options{}, fault)
	id, _ := d.key()
	h := kmsapi.NewHandler(kmsapi.Options{Service: d.service, Keys: d.users, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	send := func(r *http.Request) string {
		log.Reset()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Contains(t, log.String()+w.Header().Get("X-Amzn-RequestId"), w.Header().Get("X-Amzn-RequestId"))
		return log.String()
	}
	encrypt := `{"KeyId":"` + id + `","Plaintext":"c2VjcmV0"}`
	require.Empty(t, send(d.request("Encrypt", encrypt)))
	require.Empty(t, send(d.request("Encrypt", `{"KeyId":"alias/none","Plaintext":"c2VjcmV0"}`)), "the audit records have it")
	unsigned := d.request("Encrypt", encrypt)
	unsigned.Header.Del("Authorization")
	unsigned.RemoteAddr = "192.0.2.1:1234"
	require.Regexp(t, `level=WARN msg="KMS request refused" request=\S+ from=192.0.2.1:1234 reason=.*MissingSignature`, send(unsigned))
	fault.Add(kmstest.FailAll(errors.New("the disk is on fire")))
	text := send(d.request("Encrypt", encrypt))
	require.Contains(t, text, "the disk is on fire")
	require.Contains(t, text, "TrentService.Encrypt")
	for _, secret := range []string{"c2VjcmV0", string(d.alice.Secret), "Credential="} {
		require.NotContains(t, text, secret)
	}
}
