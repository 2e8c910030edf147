package kms_test

import (
	"context"
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

// TestMountsWaitForQuotas: a use by S3 waits for its turn, and not for ever.
func TestMountsWaitForQuotas(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{Quotas: kms.Quotas{kms.OpGenerateDataKey: 20}})
	m := makeKey(t, s)
	for range 22 { // the last two have to wait for 50 ms each
		newDataKey(t, s, as("alice"), request(kms.SSEKMS, m.ID, false, nil))
	}
	require.Empty(t, s.Throttled())

	c := &clock{t: time.Now()} // time does not pass
	s, _ = kmstest.NewService(t, nil, kms.Options{Now: c.now, Quotas: kms.Quotas{kms.OpGenerateDataKey: 1}})
	m = makeKey(t, s)
	newDataKey(t, s, as("alice"), request(kms.SSEKMS, m.ID, false, nil))
	_, _, err := s.NewDataKey(as("alice"), request(kms.SSEKMS, m.ID, false, nil))
	require.EqualError(t, err, throttled)
	require.Equal(t, []kms.Throttled{{Principal: kms.UserPrincipal(kms.DefaultAccount, "alice"), Operation: kms.OpGenerateDataKey, Requests: 1}}, s.Throttled())
	ctx, cancel := context.WithCancel(as("alice"))
	cancel()
	_, _, err = s.NewDataKey(ctx, request(kms.SSEKMS, m.ID, false, nil))
	require.ErrorIs(t, err, context.Canceled)
}

func TestParseQuotas(t *testing.T) {
	for text, want := range map[string]kms.Quotas{
		"none": {}, "": {}, "aws": kms.AWSQuotas(), "GenerateDataKey=2.5, CreateKey=5": {kms.OpGenerateDataKey: 2.5, kms.OpCreateKey: 5},
		"*=7": {"": 7}, "CreateKey=5,CreateKey=0": {},
	} {
		got, err := kms.ParseQuotas(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	got, err := kms.ParseQuotas("aws,CreateKey=1")
	require.NoError(t, err)
	require.Equal(t, 1.0, got[kms.OpCreateKey])
	require.Equal(t, 5500.0, got[kms.OpGenerateDataKey])
	for text, want := range map[string]string{
		"CreateKey": "is no quota", "CreateKey=fast": "is no quota", "CreateKey=-1": "is no quota", "CreateKey=NaN": "is no quota", "MakeKey=1": `there is no operation "MakeKey"`,
		"Decrypt=1": "counts against that of GenerateDataKey",
	} {
		_, err := kms.ParseQuotas(text)
		require.ErrorContains(t, err, want, text)
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
