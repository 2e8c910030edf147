package kms_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

const throttled = "ThrottlingException: You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

// TestQuotas: per caller and operation, with a bucket of one second.
func TestQuotas(t *testing.T) {
	c := &clock{t: time.Now()}
	s, audit := kmstest.NewService(t, nil, kms.Options{Now: c.now, Quotas: kms.Quotas{kms.OpGenerateDataKey: 5, kms.OpDescribeKey: 0.5}})
	m := makeKey(t, s)
	generate := func(who string) error {
		_, err := s.GenerateDataKey(as(who), kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
		return err
	}
	encrypt := func(who string) error {
		_, err := s.Encrypt(as(who), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
		return err
	}
	for range 4 {
		require.NoError(t, generate("alice"))
	}
	require.NoError(t, encrypt("alice"))
	before := s.Calls()
	require.EqualError(t, generate("alice"), throttled)
	require.EqualError(t, encrypt("alice"), throttled, "symmetric uses share a quota")
	require.Equal(t, before, s.Calls())
	events := audit.Events()
	require.Equal(t, kms.ThrottlingException, events[len(events)-1].Code)
	require.Equal(t, m.ARN, events[len(events)-1].KeyARN)
	require.NoError(t, generate("bob"), "each caller has his own")
	c.add(400 * time.Millisecond)
	require.NoError(t, generate("alice"))
	require.NoError(t, generate("alice"))
	require.EqualError(t, generate("alice"), throttled)
	c.add(time.Hour)
	for range 5 {
		require.NoError(t, generate("alice"))
	}
	require.EqualError(t, generate("alice"), throttled, "what is not used is not saved up")

	describe := func() error { _, err := s.DescribeKey(as("alice"), m.ID); return err }
	require.NoError(t, describe(), "less than one a second is one at first")
	c.add(time.Second)
	require.EqualError(t, describe(), throttled)
	c.add(time.Second)
	require.NoError(t, describe())
	for range 50 {
		_, err := s.ListKeys(as("alice"), "", 0)
		require.NoError(t, err, "an operation without a quota")
	}
}

func TestQuotaOfAll(t *testing.T) {
	c := &clock{t: time.Now()}
	s, _ := kmstest.NewService(t, nil, kms.Options{Now: c.now, Quotas: kms.Quotas{"": 2, kms.OpListKeys: 1}})
	for want, list := range map[int]func() error{
		1: func() error { _, err := s.ListKeys(as("alice"), "", 0); return err },
		2: func() error { _, err := s.ListAliases(as("alice"), "", "", 0); return err },
	} {
		for range want {
			require.NoError(t, list())
		}
		require.EqualError(t, list(), throttled)
	}
}

// TestQuotaIsOfCalls: the use of a cached bucket-level key is none.
func TestQuotaIsOfCalls(t *testing.T) {
	c := &clock{t: time.Now()}
	s, _ := kmstest.NewService(t, nil, kms.Options{Now: c.now, Quotas: kms.Quotas{kms.OpGenerateDataKey: 1}})
	m := makeKey(t, s)
	for range 20 {
		newDataKey(t, s, as("alice"), request(kms.SSEKMS, m.ID, true, nil))
	}
}

func TestAWSQuotas(t *testing.T) {
	c := &clock{t: time.Now()}
	s, _ := kmstest.NewService(t, nil, kms.Options{Now: c.now, Quotas: kms.AWSQuotas()})
	for range 5 {
		makeKey(t, s)
	}
	_, err := s.CreateKey(asRoot(), kms.CreateKeyInput{})
	require.EqualError(t, err, throttled)
}
