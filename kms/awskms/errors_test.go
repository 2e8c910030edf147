package awskms_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/awskms"
	"kmsfs/kms/sigv4"
)

func someone() sigv4.Credentials {
	return sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: []byte("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")}
}

// answering is a client of a server that answers every request with status and body.
func answering(t *testing.T, status int, body string) *awskms.Provider {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return client(t, s.URL, someone())
}

func TestExceptions(t *testing.T) {
	type row struct {
		status  int
		name    string
		message string
		want    kms.Code
		state   kms.KeyState
		region  string
	}
	rows := []row{
		{400, "KMSInvalidStateException", "arn:x is pending deletion.", kms.KMSInvalidStateException, kms.StatePendingDeletion, ""},
		{400, "KMSInvalidStateException", "arn:x is pending import.", kms.KMSInvalidStateException, kms.StatePendingImport, ""},
		{400, "KMSInvalidStateException", "arn:x is unavailable.", kms.KMSInvalidStateException, kms.StateUnavailable, ""},
		{400, "KMSInvalidStateException", "arn:x is not pending deletion.", kms.KMSInvalidStateException, "", ""},
		{400, "NotFoundException", "Invalid arn mars-north-9", kms.NotFoundException, "", "mars-north-9"},
		{400, "AccessDenied", "no", kms.AccessDeniedException, "", ""},
		{400, "Throttling", "slow down", kms.ThrottlingException, "", ""},
		{400, "UnrecognizedClientException", "who?", kms.AccessDeniedException, "", ""},
		{400, "ExpiredTokenException", "old", kms.AccessDeniedException, "", ""},
		{400, "UnknownOperationException", "", kms.UnsupportedOperationException, "", ""},
		{503, "ServiceUnavailable", "", kms.KeyUnavailableException, "", ""},
		{500, "SomethingNew", "", kms.KMSInternalException, "", ""},
		{429, "SomethingNew", "", kms.ThrottlingException, "", ""},
	}
	for _, c := range kms.Codes {
		rows = append(rows, row{400, string(c), "text of " + string(c), c, "", ""})
	}
	for _, r := range rows {
		p := answering(t, r.status, fmt.Sprintf(`{"__type":%q,"message":%q}`, r.name, r.message))
		_, err := p.DescribeKey(t.Context(), "alias/x")
		require.Error(t, err, r.name)
		var e *kms.Error
		require.True(t, errors.As(err, &e), r.name)
		require.Equal(t, r.want, e.Code, r.name)
		require.Equal(t, r.state, e.State, r.message)
		require.Equal(t, r.region, e.Region)
		if string(r.want) == r.name {
			require.Equal(t, r.message, e.Message, "word for word")
		} else {
			require.Contains(t, e.Message, r.message)
		}
	}
}

// TestNoExceptions: a proxy's error page, and an answer that is none.
func TestNoExceptions(t *testing.T) {
	for status, want := range map[int]kms.Code{502: kms.KeyUnavailableException, 500: kms.KeyUnavailableException, 429: kms.ThrottlingException, 200: kms.KMSInternalException} {
		p := answering(t, status, "<html>no JSON</html>")
		_, err := p.DescribeKey(t.Context(), "alias/x")
		require.Error(t, err, status)
		require.ErrorIs(t, err, want, "%d", status)
		require.ErrorContains(t, err, p.Where())
	}
}

func TestSlowService(t *testing.T) {
	stop := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(stop) })
	environment(t, someone())
	p, err := awskms.Open(t.Context(), awskms.Options{Endpoint: s.URL, Region: kms.DefaultRegion, Timeout: 50 * time.Millisecond})
	require.NoError(t, err)
	_, err = p.DescribeKey(t.Context(), "alias/x")
	require.ErrorIs(t, err, kms.DependencyTimeoutException)
	require.ErrorContains(t, err, s.URL+" did not answer in time")

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = p.DescribeKey(ctx, "alias/x")
	require.ErrorIs(t, err, context.Canceled)
}

func TestNoCredentials(t *testing.T) {
	environment(t, sigv4.Credentials{})
	p, err := awskms.Open(t.Context(), awskms.Options{Endpoint: "http://127.0.0.1:1", Region: kms.DefaultRegion})
	require.NoError(t, err)
	_, err = p.DescribeKey(t.Context(), "alias/x")
	require.ErrorIs(t, err, kms.KeyUnavailableException)
	require.ErrorContains(t, err, "There are no AWS credentials")
}

func TestOpenRefusals(t *testing.T) {
	environment(t, someone())
	for endpoint, why := range map[string]string{
		"127.0.0.1:80": "is no endpoint", "ftp://x": "is no endpoint", "https://": "is no endpoint",
		"http://kms.example.com": "readable over the network", "http://192.0.2.1:8080": "readable over the network",
	} {
		_, err := awskms.Open(t.Context(), awskms.Options{Endpoint: endpoint, Region: "eu-central-1"})
		require.ErrorContains(t, err, why, endpoint)
	}
	_, err := awskms.Open(t.Context(), awskms.Options{})
	require.ErrorContains(t, err, "no region is known")
	_, err = awskms.Open(t.Context(), awskms.Options{Region: "eu-central-1", Profile: "nobody"})
	require.ErrorContains(t, err, "nobody")

	t.Setenv("AWS_REGION", "eu-central-1")
	p, err := awskms.Open(t.Context(), awskms.Options{})
	require.NoError(t, err)
	require.Equal(t, "eu-central-1", p.Region())
	require.Equal(t, "AWS KMS in eu-central-1", p.Where())

	t.Setenv("AWS_ENDPOINT_URL_KMS", "https://kms.example.com")
	p, err = awskms.Open(t.Context(), awskms.Options{})
	require.NoError(t, err)
	require.Equal(t, "https://kms.example.com", p.Where())
	t.Setenv("AWS_ENDPOINT_URL_KMS", "http://kms.example.com")
	_, err = awskms.Open(t.Context(), awskms.Options{})
	require.ErrorContains(t, err, "readable over the network")
}
