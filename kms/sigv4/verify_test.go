package sigv4_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/encoding/httpbinding"
	"github.com/stretchr/testify/require"

	"kmsfs/kms/sigv4"
)

var ( // constants of this test
	kmsScheme = sigv4.Scheme{Service: "kms", Region: "us-east-1"}
	s3Scheme  = sigv4.Scheme{Service: "s3", Region: "us-east-1", PlainPath: true}
)

const testBody = `{"KeyId":"alias/x"}`

func testKey() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "AKIATEST", Secret: []byte("secret of alice"), User: "alice"}
}

func testNow() time.Time { return time.Date(2026, 11, 28, 3, 15, 0, 0, time.UTC) }

func newRequest(target string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(testBody))
	r.Header.Set("X-Amz-Target", "TrentService.Decrypt")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	return r
}

func signedRequest(t testing.TB, s sigv4.Scheme, key sigv4.Credentials, at time.Time) *http.Request {
	t.Helper()
	r := newRequest("/")
	require.NoError(t, sigv4.Signer{Scheme: s, Credentials: key}.Sign(r, sigv4.PayloadHash([]byte(testBody)), at))
	return r
}

func verifier(s sigv4.Scheme) *sigv4.Verifier {
	return &sigv4.Verifier{Scheme: s, Keys: oneKey(testKey()), Now: testNow}
}

// TestRefusals has one fault a row.
func TestRefusals(t *testing.T) {
	edit := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	del := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }
	for name, c := range map[string]struct {
		alter func(*http.Request)
		code  sigv4.Code
		text  string
	}{
		"not signed":           {del("Authorization"), sigv4.MissingSignature, "Missing Authentication Token"},
		"version 2":            {set("Authorization", "AWS AKIATEST:sig"), sigv4.Incomplete, "must begin with AWS4-HMAC-SHA256"},
		"bearer":               {set("Authorization", "Bearer x"), sigv4.Incomplete, "must begin with"},
		"nothing behind it":    {set("Authorization", "AWS4-HMAC-SHA256"), sigv4.Incomplete, "requires 'Credential' parameter. Authorization header requires 'Signature' parameter."},
		"two headers":          {func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, sigv4.Incomplete, "more than one"},
		"twice a part":         {edit("Signature=", "Credential=a/b/c/d/e, Signature="), sigv4.Incomplete, "distinct"},
		"no equals sign":       {edit("Signature=", "Signature, x="), sigv4.Incomplete, "distinct"},
		"no date":              {del("X-Amz-Date"), sigv4.Incomplete, "existence of either a 'X-Amz-Date' or a 'Date' header"},
		"bad date":             {set("X-Amz-Date", "yesterday"), sigv4.Incomplete, "Got 'yesterday'"},
		"four scope parts":     {edit("/kms/", "/"), sigv4.Incomplete, "exactly 5 slash-delimited elements"},
		"headers unsorted":     {edit("content-type;host", "host;content-type"), sigv4.Incomplete, "ascending order"},
		"header twice":         {edit("host;", "host;host;"), sigv4.Incomplete, "ascending order"},
		"upper case":           {edit("host;", "Host;"), sigv4.Incomplete, "lower-case"},
		"host not signed":      {edit("host;", ""), sigv4.UnsignedHeader, "'Host' or ':authority' must be a 'SignedHeader'"},
		"date not signed":      {edit("x-amz-date;", ""), sigv4.UnsignedHeader, "'x-amz-date' must be a 'SignedHeader'"},
		"target not signed":    {edit(";x-amz-target", ""), sigv4.UnsignedHeader, "'x-amz-target' must be"},
		"x-amz header added":   {set("X-Amz-Grant", "x"), sigv4.UnsignedHeader, "'x-amz-grant' must be"},
		"session token":        {set("X-Amz-Security-Token", "x"), sigv4.UnknownToken, "security token included in the request is invalid"},
		"unknown key":          {edit("AKIATEST", "AKIAOTHER"), sigv4.UnknownAccessKey, "security token included in the request is invalid"},
		"other region":         {edit("us-east-1", "eu-west-1"), sigv4.WrongScope, "valid region"},
		"other service":        {edit("/kms/", "/s3/"), sigv4.WrongScope, "correct service: 'kms'"},
		"other terminator":     {edit("aws4_request", "aws5_request"), sigv4.WrongScope, "terminator"},
		"other day":            {edit("/20261128/", "/20261127/"), sigv4.WrongScope, "'20261127' != '20261128'"},
		"target altered":       {set("X-Amz-Target", "TrentService.DisableKey"), sigv4.SignatureMismatch, "does not match the signature you provided"},
		"target doubled":       {func(r *http.Request) { r.Header.Add("X-Amz-Target", "x") }, sigv4.SignatureMismatch, "does not match"},
		"content type altered": {set("Content-Type", "text/plain"), sigv4.SignatureMismatch, "does not match"},
		"signature altered":    {edit("Signature=", "Signature=00"), sigv4.SignatureMismatch, "does not match"},
		"signature short":      {set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIATEST/20261128/us-east-1/kms/aws4_request, SignedHeaders=host;x-amz-date, Signature=00"), sigv4.SignatureMismatch, "does not match"},
		"signature no hex":     {edit("Signature=", "Signature=xx"), sigv4.SignatureMismatch, "does not match"},
		"bad query":            {func(r *http.Request) { r.RequestURI = "/?a=%" }, sigv4.Incomplete, "percent sign"},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedRequest(t, kmsScheme, testKey(), testNow())
			c.alter(r)
			_, err := verifier(kmsScheme).Verify(r, sigv4.PayloadHash([]byte(testBody)))
			require.Error(t, err)
			require.ErrorIs(t, err, c.code)
			require.ErrorContains(t, err, c.text)
		})
	}
}

func TestOtherSecretRefused(t *testing.T) {
	key := testKey()
	key.Secret = []byte("secret of mallory")
	_, err := verifier(kmsScheme).Verify(signedRequest(t, kmsScheme, key, testNow()), sigv4.PayloadHash([]byte(testBody)))
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.SignatureMismatch)
}

func TestReplayedWithOtherBody(t *testing.T) {
	v := verifier(kmsScheme)
	r := signedRequest(t, kmsScheme, testKey(), testNow())
	for range 2 { // the same request again, within its time, is what the protocol allows
		_, err := v.Verify(r, sigv4.PayloadHash([]byte(testBody)))
		require.NoError(t, err)
	}
	_, err := v.Verify(r, sigv4.PayloadHash([]byte(`{"KeyId":"alias/y"}`)))
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.SignatureMismatch)
	r.Header.Set("X-Amz-Content-Sha256", sigv4.PayloadHash([]byte(testBody)))
	signer := sigv4.Signer{Scheme: kmsScheme, Credentials: testKey()}
	require.NoError(t, signer.Sign(r, sigv4.PayloadHash([]byte(testBody)), testNow()))
	_, err = v.Verify(r, sigv4.PayloadHash([]byte("other")))
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.BodyMismatch)
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		off  time.Duration
		text string
	}{
		{0, ""}, {15 * time.Minute, ""}, {-15 * time.Minute, ""},
		{15*time.Minute + time.Second, "Signature not yet current: 20261128T033001Z is still later than 20261128T033000Z (20261128T031500Z + 15 min.)"},
		{-15*time.Minute - time.Second, "Signature expired: 20261128T025959Z is now earlier than 20261128T030000Z (20261128T031500Z - 15 min.)"},
		{-3650 * 24 * time.Hour, "Signature expired: "},
	} {
		t.Run(c.off.String(), func(t *testing.T) {
			r := signedRequest(t, kmsScheme, testKey(), testNow().Add(c.off))
			_, err := verifier(kmsScheme).Verify(r, sigv4.PayloadHash([]byte(testBody)))
			if c.text == "" {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			require.ErrorIs(t, err, sigv4.TimeSkewed)
			require.ErrorContains(t, err, c.text)
		})
	}
}

// TestDateHeader: a client may sign Date in place of X-Amz-Date.
func TestDateHeader(t *testing.T) {
	r := signedRequest(t, kmsScheme, testKey(), testNow())
	r.Header.Set("Date", testNow().Format(http.TimeFormat))
	r.Header.Del("X-Amz-Date")
	_, err := verifier(kmsScheme).Verify(r, sigv4.PayloadHash([]byte(testBody)))
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.UnsignedHeader)
	require.ErrorContains(t, err, "'date' must be")
}

func TestLookupTroubleIsNoRefusal(t *testing.T) {
	key := testKey()
	key.AccessKeyID = "AKIATROUBLE"
	_, err := verifier(kmsScheme).Begin(signedRequest(t, kmsScheme, key, testNow()))
	require.Error(t, err)
	require.ErrorIs(t, err, errTrouble)
	_, refused := sigv4.CodeOf(err)
	require.False(t, refused)
}

func TestPresign(t *testing.T) {
	signer := sigv4.Signer{Scheme: s3Scheme, Credentials: testKey()}
	r, err := http.NewRequest(http.MethodGet, "http://example.com/a%20b/c+d?versionId=x%2F", nil)
	require.NoError(t, err)
	require.NoError(t, signer.Presign(r, sigv4.UnsignedPayload, testNow(), time.Hour))
	sent := httptest.NewRequest(http.MethodGet, r.URL.RequestURI(), nil)
	verify := func(at time.Time, target string) error {
		v := verifier(s3Scheme)
		v.Now = func() time.Time { return at }
		_, err := v.Verify(httptest.NewRequest(http.MethodGet, target, nil), sigv4.UnsignedPayload)
		return err
	}
	require.NoError(t, verify(testNow(), sent.RequestURI))
	require.NoError(t, verify(testNow().Add(time.Hour), sent.RequestURI))
	err = verify(testNow().Add(time.Hour+time.Second), sent.RequestURI)
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.Expired)
	err = verify(testNow().Add(-time.Hour), sent.RequestURI)
	require.Error(t, err)
	require.ErrorIs(t, err, sigv4.TimeSkewed)
	for old, c := range map[string]struct {
		new  string
		code sigv4.Code
	}{
		"X-Amz-Expires=3600":    {"X-Amz-Expires=7200", sigv4.SignatureMismatch},
		"Expires=3600":          {"Expires=604801", sigv4.Incomplete},
		"Expires=360":           {"Expires=-360", sigv4.Incomplete},
		"X-Amz-SignedHeaders=":  {"X-Amz-SignedHeaders=a%3B", sigv4.SignatureMismatch},
		"X-Amz-Algorithm=AWS4":  {"X-Amz-Algorithm=AWS5", sigv4.Incomplete},
		"X-Amz-Date=2":          {"X-Amz-Date=x", sigv4.Incomplete},
		"versionId=x":           {"versionId=y", sigv4.SignatureMismatch},
		"X-Amz-Signature=":      {"X-Amz-Signature=&X-Amz-Signature=", sigv4.Incomplete},
		"&X-Amz-SignedHeaders=": {"&X-Amz-Security-Token=x&X-Amz-SignedHeaders=", sigv4.UnknownToken},
	} {
		target := strings.Replace(sent.RequestURI, old, c.new, 1)
		require.NotEqual(t, sent.RequestURI, target)
		err := verify(testNow(), target)
		require.Error(t, err, target)
		require.ErrorIs(t, err, c.code, target)
	}
}

// TestPresignedBySDK: what AWS's SDK presigns is good here.
func TestPresignedBySDK(t *testing.T) {
	key := testKey()
	r, err := http.NewRequest(http.MethodGet, "https://bucket.example.org/hr/payroll%202026.csv?X-Amz-Expires=60", nil)
	require.NoError(t, err)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	uri, _, err := signer.PresignHTTP(context.Background(), aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: string(key.Secret)},
		r, sigv4.UnsignedPayload, "s3", "us-east-1", testNow())
	require.NoError(t, err)
	got, err := verifier(s3Scheme).Verify(httptest.NewRequest(http.MethodGet, uri, nil), sigv4.UnsignedPayload)
	require.NoError(t, err)
	require.True(t, got.Presigned)
}

// TestAgreesWithSDK signs random requests with AWS's SDK.
func TestAgreesWithSDK(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		b := make([]byte, rnd.IntN(n))
		for i := range b {
			b[i] = byte(rnd.IntN(95)) + 32
		}
		return string(b)
	}
	key := testKey()
	for i := range 500 {
		s := kmsScheme
		if i%2 == 0 {
			s = s3Scheme
		}
		r := httptest.NewRequest(http.MethodPut, "http://example.org/", nil)
		if s.PlainPath {
			r.URL.Path = "/" + text(20)
			r.URL.RawPath = httpbinding.EscapePath(r.URL.Path, false) // as the SDK does before it signs
		}
		q := r.URL.Query()
		for range rnd.IntN(4) {
			q.Add(text(6), text(6))
		}
		r.URL.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
		r.Header.Set("X-Amz-Meta-Text", text(30))
		body := []byte(text(100))
		r.Header.Set("X-Amz-Content-Sha256", sigv4.PayloadHash(body))
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = s.PlainPath })
		require.NoError(t, signer.SignHTTP(context.Background(), aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: string(key.Secret)},
			r, sigv4.PayloadHash(body), s.Service, s.Region, testNow()))
		r.RequestURI = r.URL.RequestURI()
		_, err := verifier(s).Verify(r, sigv4.PayloadHash(body))
		require.NoError(t, err, r.RequestURI)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	key := testKey()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", key)
	for _, s := range []string{fmt.Sprint(key), fmt.Sprintf("%+v", key), fmt.Sprintf("%#v", key), log.String()} {
		require.Contains(t, s, "AKIATEST")
		require.NotContains(t, s, "secret")
		require.NotContains(t, s, fmt.Sprint(key.Secret))
	}
}

// keepSecret hands out the same bytes each time, to see that they are wiped.
type keepSecret struct{ key sigv4.Credentials }

func (k keepSecret) Lookup(context.Context, string) (sigv4.Credentials, error) { return k.key, nil }

func TestSecretIsWiped(t *testing.T) {
	key := testKey()
	v := &sigv4.Verifier{Scheme: kmsScheme, Keys: keepSecret{key}, Now: testNow}
	r := signedRequest(t, kmsScheme, testKey(), testNow())
	s, err := v.Verify(r, sigv4.PayloadHash([]byte(testBody)))
	require.NoError(t, err)
	s.Wipe()
	require.Equal(t, make([]byte, len(key.Secret)), key.Secret)
}

func BenchmarkVerify(b *testing.B) {
	v := verifier(kmsScheme)
	r := signedRequest(b, kmsScheme, testKey(), testNow())
	hash := sigv4.PayloadHash([]byte(testBody))
	for b.Loop() {
		if _, err := v.Verify(r, hash); err != nil {
			b.Fatal(err)
		}
	}
}
