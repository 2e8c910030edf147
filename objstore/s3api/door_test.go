package s3api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/sigv4"
	"kmsfs/kms/users"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
	"kmsfs/objstore/s3api"
)

const (
	region    = "us-east-1"
	keyPrefix = "arn:aws:kms:us-east-1:000000000000:key/"
	aliceARN  = "arn:aws:iam::000000000000:user/alice"

	sse          = "x-amz-server-side-encryption"
	sseKey       = "x-amz-server-side-encryption-aws-kms-key-id"
	sseContext   = "x-amz-server-side-encryption-context"
	sseBucketKey = "x-amz-server-side-encryption-bucket-key-enabled"
)

// door is a listening S3 door over a store on disk, with a bucket "bkt" and one user, alice.
type door struct {
	t     testing.TB
	url   string
	kms   *kms.Service
	keys  *kmstest.Fault
	audit *kmstest.Audit
	store *badgerstore.Store
	users *users.Store
	alice sigv4.Credentials
}

func newDoor(t testing.TB) *door { return newDoorWith(t, kms.Options{}, s3api.Options{}) }

func newDoorWith(t testing.TB, ko kms.Options, o s3api.Options) *door {
	t.Helper()
	d := &door{t: t, keys: kmstest.NewFault(kmstest.NewBackend(t))}
	d.kms, d.audit = kmstest.NewService(t, d.keys, ko)
	var err error
	d.store, err = badgerstore.Open(t.TempDir(), badgerstore.Options{Secret: make([]byte, 32)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.store.Close()) })
	d.store.SetKMS(d.kms)
	d.users, err = users.Open(&kmstest.Records{}, bytes.Repeat([]byte{8}, kms.KeySize), nil)
	require.NoError(t, err)
	d.alice, err = d.users.Create("alice")
	require.NoError(t, err)
	o.Store, o.Keys = d.store, d.users
	_, err = d.store.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt"})
	require.NoError(t, err)
	d.serve(s3api.NewHandler(o))
	return d
}

func (d *door) serve(h http.Handler) {
	s := httpdoor.New(httpdoor.Options{Handler: h})
	var err error
	d.url, err = s.Listen("127.0.0.1:0")
	require.NoError(d.t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	d.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		require.NoError(d.t, s.Shutdown(ctx))
		require.NoError(d.t, <-done)
	})
}

// root is the context of the account's root user, who may administer every key.
func root() context.Context {
	return kms.WithCaller(context.Background(), kms.Caller{Principal: kms.RootPrincipal(kms.DefaultAccount), Via: "cli"})
}

// key makes a key and answers its id.
func (d *door) key(in kms.CreateKeyInput) string {
	d.t.Helper()
	m, err := d.kms.CreateKey(root(), in)
	require.NoError(d.t, err)
	return m.ID
}

// headers are pairs of name and value.
func (d *door) request(method, path, body string, headers ...string) *http.Request {
	d.t.Helper()
	r, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	d.sign(r, sigv4.PayloadHash([]byte(body)))
	return r
}

func (d *door) sign(r *http.Request, payload string) {
	d.t.Helper()
	require.NoError(d.t, d.signer().Sign(r, payload, time.Now()))
}

func (d *door) signer() sigv4.Signer {
	return sigv4.Signer{Scheme: sigv4.Scheme{Service: "s3", Region: region, PlainPath: true}, Credentials: d.alice}
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
	require.Regexp(d.t, "^[0-9A-F]{16}$", resp.Header.Get("x-amz-request-id"))
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (d *door) do(method, path, body string, headers ...string) reply {
	d.t.Helper()
	return d.send(d.request(method, path, body, headers...))
}

// ok is do for what has to succeed.
func (d *door) ok(method, path, body string, headers ...string) reply {
	d.t.Helper()
	got := d.do(method, path, body, headers...)
	require.Less(d.t, got.status, 300, "%s %s: %s", method, path, got.body)
	return got
}

// failure is the XML of an error.
type failure struct {
	XMLName struct{} `xml:"Error"`
	Code    string
	Message string
	Rest    []struct {
		XMLName xml.Name
		Text    string `xml:",chardata"`
	} `xml:",any"`
}

func (f failure) get(name string) string {
	for _, e := range f.Rest {
		if e.XMLName.Local == name {
			return e.Text
		}
	}
	return ""
}

// refused checks that an answer is this error, to the letter.
func (d *door) refused(got reply, status int, code, text string) failure {
	d.t.Helper()
	require.Equal(d.t, status, got.status, got.body)
	require.Equal(d.t, "application/xml", got.header.Get("Content-Type"))
	var f failure
	require.NoError(d.t, xml.Unmarshal([]byte(got.body), &f), got.body)
	require.Equal(d.t, code, f.Code, got.body)
	require.Equal(d.t, text, f.Message)
	require.Equal(d.t, got.header.Get("x-amz-request-id"), f.get("RequestId"))
	require.Equal(d.t, got.header.Get("x-amz-id-2"), f.get("HostId"))
	return f
}

func (r reply) headerStatus() string { return strconv.Itoa(r.status) }

// all is the text of every element with a name, in order.
func all(document, name string) (out []string) {
	for _, part := range strings.Split(document, "<"+name+">")[1:] {
		text, _, _ := strings.Cut(part, "</")
		out = append(out, text)
	}
	return out
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// kmstestService records uses of objects.
func kmstestService(t *testing.T) (*kms.Service, *kmstest.Audit) {
	return kmstest.NewService(t, nil, kms.Options{})
}

// watcher notes what it is told.
type watcher struct{ seen []string }

func (w *watcher) watch(_ context.Context, bucket, key string) func() {
	w.seen = append(w.seen, "before "+bucket+"/"+key)
	return func() { w.seen = append(w.seen, "after "+bucket+"/"+key) }
}

func (w *watcher) bucketChanged(name string) { w.seen = append(w.seen, "bucket "+name) }
