package kmsapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/local"
	"kmsfs/kms/sigv4"
	"kmsfs/kms/users"
)

// door is a served key service with one user, alice.
type door struct {
	t       testing.TB
	url     string
	service *kms.Service
	audit   *kmstest.Audit
	users   *users.Store
	alice   sigv4.Credentials
	skew    atomic.Int64 // of the provider's clock, nanoseconds
}

func newDoor(t testing.TB) *door { return newDoorWith(t, httpdoor.Options{}, nil) }

// newDoorWith listens on a loopback port, with TLS where o has certificates. backend nil is a local provider whose clock is d.skew ahead.
func newDoorWith(t testing.TB, o httpdoor.Options, backend kms.Backend) *door {
	t.Helper()
	d := &door{t: t}
	if backend == nil {
		p, err := local.Open(&kmstest.Records{}, bytes.Repeat([]byte{7}, kms.KeySize), local.Options{Now: func() time.Time {
			return time.Now().Add(time.Duration(d.skew.Load()))
		}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		backend = p
	}
	d.service, d.audit = kmstest.NewService(t, backend, kms.Options{})
	var err error
	d.users, err = users.Open(&kmstest.Records{}, bytes.Repeat([]byte{8}, kms.KeySize), nil)
	require.NoError(t, err)
	d.alice, err = d.users.Create("alice")
	require.NoError(t, err)
	o.Handler = kmsapi.NewHandler(kmsapi.Options{Service: d.service, Keys: d.users})
	addr := "127.0.0.1:0"
	if o.Certificates != nil {
		addr = "https://" + addr
	}
	d.url = serve(t, httpdoor.New(o), addr)
	return d
}

// serve runs s on addr until the end of the test.
func serve(t testing.TB, s *httpdoor.Server, addr string) string {
	t.Helper()
	url, err := s.Listen(addr)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(t, s.Shutdown(ctx))
		require.NoError(t, <-done)
	})
	return url
}

// request makes a request, signed by alice.
func (d *door) request(op, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, d.url+"/", strings.NewReader(body))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService."+op)
	d.sign(r, body, time.Now())
	return r
}

func (d *door) sign(r *http.Request, body string, at time.Time) {
	s := sigv4.Signer{Scheme: sigv4.Scheme{Service: "kms", Region: kms.DefaultRegion}, Credentials: d.alice}
	require.NoError(d.t, s.Sign(r, sigv4.PayloadHash([]byte(body)), at))
}

// signNow is sign for requests that are made by the thousand.
func (d *door) signNow(r *http.Request, body string) {
	s := sigv4.Signer{Scheme: sigv4.Scheme{Service: "kms", Region: kms.DefaultRegion}, Credentials: d.alice}
	if err := s.Sign(r, sigv4.PayloadHash([]byte(body)), time.Now()); err != nil {
		d.t.Error(err)
	}
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (d *door) send(r *http.Request) reply {
	d.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	require.Regexp(d.t, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", resp.Header.Get("X-Amzn-Requestid"))
	require.Equal(d.t, "application/x-amz-json-1.1", resp.Header.Get("Content-Type"))
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// call does op, which has to succeed, and returns its answer.
func (d *door) call(op, body string) map[string]any {
	d.t.Helper()
	got := d.send(d.request(op, body))
	require.Equal(d.t, http.StatusOK, got.status, got.body)
	if got.body == "" {
		return nil
	}
	var out map[string]any
	require.NoError(d.t, json.Unmarshal([]byte(got.body), &out))
	return out
}

// key makes a key and returns its id and ARN.
func (d *door) key() (id, arn string) {
	d.t.Helper()
	m := d.call("CreateKey", `{}`)["KeyMetadata"].(map[string]any)
	return m["KeyId"].(string), m["Arn"].(string)
}

// keyAs makes a key as the request says and returns its ARN.
func (d *door) keyAs(request string) string {
	d.t.Helper()
	return d.call("CreateKey", request)["KeyMetadata"].(map[string]any)["Arn"].(string)
}

// refused sends r and checks the exception, to the letter.
func (d *door) refused(r *http.Request, status int, code, textKey, text string) {
	d.t.Helper()
	got := d.send(r)
	require.Equal(d.t, status, got.status, got.body)
	want := map[string]string{"__type": code}
	if text != "" {
		want[textKey] = text
	}
	var have map[string]string
	require.NoError(d.t, json.Unmarshal([]byte(got.body), &have))
	require.Equal(d.t, want, have)
}
