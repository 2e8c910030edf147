package awskms_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/awskms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/sigv4"
	"kmsfs/kms/users"
)

// TestConformance is over the KMS door of a store in memory.
func TestConformance(t *testing.T) {
	kmstest.RunRemote(t, func(t *testing.T) kms.Backend { return openDoor(t, kmstest.NewBackend(t)) })
}

// openDoor serves b on a loopback port and returns a client of it.
func openDoor(t testing.TB, b kms.Backend) *awskms.Provider {
	t.Helper()
	keys, err := users.Open(&kmstest.Records{}, bytes.Repeat([]byte{8}, kms.KeySize), nil)
	require.NoError(t, err)
	alice, err := keys.Create("alice")
	require.NoError(t, err)
	url, stop := serve(t, "127.0.0.1:0", b, keys)
	t.Cleanup(stop)
	return client(t, url, alice)
}

func serve(t testing.TB, addr string, b kms.Backend, keys sigv4.Keys) (url string, stop func()) {
	t.Helper()
	service, _ := kmstest.NewService(t, b, kms.Options{})
	s := httpdoor.New(httpdoor.Options{Handler: kmsapi.NewHandler(kmsapi.Options{Service: service, Keys: keys})})
	url, err := s.Listen(addr)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve() }()
	return url, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil { // the client keeps connections that it has not used yet
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		require.NoError(t, <-done)
	}
}

// environment makes the SDK look for credentials in c only.
func environment(t testing.TB, c sigv4.Credentials) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": string(c.Secret), "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
	}
}

func client(t testing.TB, url string, c sigv4.Credentials) *awskms.Provider {
	t.Helper()
	environment(t, c)
	p, err := awskms.Open(t.Context(), awskms.Options{Endpoint: url, Region: kms.DefaultRegion})
	require.NoError(t, err)
	return p
}
