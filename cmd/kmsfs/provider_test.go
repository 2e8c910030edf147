package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/resilient"
	"kmsfs/kms/sigv4"
	"kmsfs/kms/users"
)

// otherService is a key service in this process, with one user, whose credentials are in the environment.
type otherService struct {
	t       *testing.T
	handler *kmsapi.Handler
	url     string
	stop    func()
}

func newOtherService(t *testing.T) *otherService {
	t.Helper()
	keys, err := users.Open(&kmstest.Records{}, bytes.Repeat([]byte{8}, kms.KeySize), nil)
	require.NoError(t, err)
	alice, err := keys.Create("alice")
	require.NoError(t, err)
	awsEnvironment(t, alice)
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	o := &otherService{t: t, handler: kmsapi.NewHandler(kmsapi.Options{Service: s, Keys: keys})}
	o.start("127.0.0.1:0")
	return o
}

func awsEnvironment(t *testing.T, c sigv4.Credentials) {
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": c.AccessKeyID, "AWS_SECRET_ACCESS_KEY": string(c.Secret), "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_CA_BUNDLE": ""} {
		t.Setenv(name, value)
	}
}

func (o *otherService) start(addr string) {
	server := httpdoor.New(httpdoor.Options{Handler: o.handler})
	url, err := server.Listen(addr)
	require.NoError(o.t, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve() }()
	o.url = url
	o.stop = func() {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_ = server.Shutdown(ctx) // it cuts off what is left
		require.NoError(o.t, <-done)
	}
}

// TestStoreWithKeysElsewhere: the key service goes away and comes back under a store that stays open.
func TestStoreWithKeysElsewhere(t *testing.T) {
	other := newOtherService(t)
	c := Default()
	c.KMS.Provider, c.KMS.Endpoint = providerAWS, other.url
	require.NoError(t, c.Validate())
	o, err := openStore(filepath.Join(t.TempDir(), "store"), &c, true, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, o.Close()) })
	key, err := o.kms.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	require.NoError(t, o.kms.CreateAlias(t.Context(), "alias/hr", key.ID))
	want, env, err := o.kms.NewDataKey(t.Context(), kms.EnvelopeRequest{Algorithm: "aws:kms", KeyID: "alias/hr", BucketARN: kms.BucketARN("b"), ObjectARN: kms.ObjectARN("b", "k")})
	require.NoError(t, err)
	require.Equal(t, key.ARN, env.KeyARN)
	require.Equal(t, resilient.Closed, o.provider().Breaker)
	require.Equal(t, "ok, 0 retries", stateText(o.provider()))

	other.stop()
	for range 2 {
		_, err = o.kms.OpenDataKey(t.Context(), env)
		require.ErrorIs(t, err, kms.KeyUnavailableException)
		require.ErrorContains(t, err, other.url)
		require.Equal(t, exitKMSAway, exitCode(err))
	}
	require.Equal(t, resilient.Open, o.provider().Breaker)
	require.Contains(t, stateText(o.provider()), "away since")
	require.Contains(t, stateText(o.provider()), other.url+" cannot be reached")

	other.start(strings.TrimPrefix(other.url, "http://"))
	defer other.stop()
	require.Eventually(t, func() bool {
		got, err := o.kms.OpenDataKey(t.Context(), env)
		return err == nil && bytes.Equal(want, got)
	}, 20*time.Second, 100*time.Millisecond, "without a restart")
	require.Equal(t, resilient.Closed, o.provider().Breaker)
}

func TestProviderSettings(t *testing.T) {
	for _, c := range []struct {
		kms  KMSConfig
		want string
	}{
		{KMSConfig{Provider: "vault"}, "kms.provider: "},
		{KMSConfig{Provider: providerLocal, Endpoint: "https://x"}, "kms.endpoint: "},
		{KMSConfig{Provider: providerLocal, Profile: "x"}, "kms.profile: "},
	} {
		all := Default()
		all.KMS.Provider, all.KMS.Endpoint, all.KMS.Profile = c.kms.Provider, c.kms.Endpoint, c.kms.Profile
		require.ErrorContains(t, all.Validate(), c.want)
	}
	c := Default()
	c.KMS.Provider, c.KMS.Endpoint = providerAWS, "http://kms.example.com"
	_, err := (&owned{}).openProvider(nil, &c, nil)
	require.ErrorContains(t, err, "readable over the network")
	require.Equal(t, exitConfig, exitCode(err))
}

// TestProviderIsRemembered: a store is not used with another provider than before by mistake.
func TestProviderIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	open := func(endpoint string, moved bool) error {
		c := Default()
		if endpoint != "" {
			c.KMS.Provider, c.KMS.Endpoint = providerAWS, endpoint
		}
		c.KMS.ProviderMoved = moved
		o, err := openStore(path, &c, true, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		return o.Close()
	}
	other := newOtherService(t)
	t.Cleanup(other.stop)
	const somewhere = "http://127.0.0.1:1"
	require.NoError(t, open(other.url, false))
	require.NoError(t, open(other.url, false))
	for _, endpoint := range []string{"", somewhere} {
		err := open(endpoint, false)
		require.ErrorContains(t, err, "are in another KMS: aws "+other.url+", not ")
		require.Equal(t, exitConfig, exitCode(err))
	}
	require.NoError(t, open(somewhere, true))
	require.NoError(t, open(somewhere, false))
	require.Error(t, open(other.url, false))
}

// TestDefaultKeyElsewhere: aws:kms without a key, or with S3's own, is under a key that is made when it is missing, or is named.
func TestDefaultKeyElsewhere(t *testing.T) {
	other := newOtherService(t)
	t.Cleanup(other.stop)
	open := func(key string) *owned {
		c := Default()
		c.KMS.Provider, c.KMS.Endpoint, c.KMS.DefaultKey = providerAWS, other.url, key
		o, err := openStore(filepath.Join(t.TempDir(), "store"), &c, true, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, o.Close()) })
		return o
	}
	o := open("")
	m, err := o.kms.ResolveKey(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "CUSTOMER", m.Manager)
	page, err := o.kms.ListAliases(t.Context(), "", "", 0)
	require.NoError(t, err)
	require.Len(t, page.Aliases, 1)
	require.Equal(t, kms.ExternalAlias, page.Aliases[0].Name)
	for _, again := range []*owned{o, open("")} {
		for _, id := range []string{"", kms.ManagedAlias, kms.ExternalAlias} {
			same, err := again.kms.ResolveKey(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, m.ARN, same.ARN)
		}
	}
	mine, err := o.kms.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	named := open(mine.ARN)
	got, err := named.kms.ResolveKey(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, mine.ARN, got.ARN)
	_, env, err := named.kms.NewDataKey(t.Context(), kms.EnvelopeRequest{Algorithm: kms.SSEKMS, ObjectARN: kms.ObjectARN("b", "k")})
	require.NoError(t, err)
	require.Equal(t, mine.ARN, env.KeyARN)
	_, err = open("alias/none").kms.ResolveKey(t.Context(), "")
	require.ErrorIs(t, err, kms.NotFoundException, "a key that is named is never made")
}
