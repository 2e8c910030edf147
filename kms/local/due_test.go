package local_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/kms/local"
)

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(days int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.AddDate(0, 0, days)
}

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)} }

func rotations(t *testing.T, p *local.Provider, id string) []kms.Rotation {
	t.Helper()
	list, err := p.ListKeyRotations(t.Context(), id)
	require.NoError(t, err)
	return list
}

// TestAutomaticRotation: by the timer's function, by the next use, and once for several periods.
func TestAutomaticRotation(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k := newKey(t, p)
	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	old := seal(t, p, k.ID)
	c.add(89)
	require.NoError(t, p.DoDue(t.Context()))
	require.Len(t, rotations(t, p, k.ID), 1)
	c.add(1)
	require.NoError(t, p.DoDue(t.Context()))
	list := rotations(t, p, k.ID)
	require.Len(t, list, 2)
	require.Equal(t, kms.RotationAutomatic, list[1].Type)
	require.Equal(t, c.now(), list[1].Date)
	require.True(t, list[1].Current)
	requireOpens(t, p, old)
	st, err := p.GetKeyRotationStatus(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, kms.RotationStatus{Enabled: true, PeriodDays: 90, Next: c.now().AddDate(0, 0, 90)}, st)

	c.add(300)
	d, err := p.GenerateDataKey(t.Context(), kms.GenerateDataKeyInput{KeyID: k.ARN, Bytes: 32})
	require.NoError(t, err)
	list = rotations(t, p, k.ID)
	require.Len(t, list, 3, "once, though three periods have passed")
	require.Equal(t, list[2].MaterialID, d.MaterialID, "the use that found it due has the new material")

	_, err = p.RotateKeyOnDemand(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, kms.RotationOnDemand, rotations(t, p, k.ID)[3].Type)
	for range 24 {
		_, err = p.RotateKeyOnDemand(t.Context(), k.ID)
		require.NoError(t, err, "automatic rotations do not count against the limit")
	}
	_, err = p.RotateKeyOnDemand(t.Context(), k.ID)
	require.ErrorIs(t, err, kms.LimitExceededException)

	want := rotations(t, p, k.ID)
	require.NoError(t, p.Close())
	p = open(t, rec, local.Options{Now: c.now})
	require.Equal(t, want, rotations(t, p, k.ID))
	requireOpens(t, p, old)
}

// TestRotationConflict: none on demand shortly before one that comes by itself.
func TestRotationConflict(t *testing.T) {
	c := newClock()
	p := open(t, &kmstest.Records{}, local.Options{Now: c.now})
	k := newKey(t, p)
	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	c.add(89)
	_, err := p.RotateKeyOnDemand(t.Context(), k.ID)
	require.NoError(t, err)
	c.t = c.t.Add(24*time.Hour - 20*time.Minute)
	_, err = p.RotateKeyOnDemand(t.Context(), k.ID)
	require.ErrorIs(t, err, kms.ConflictException)
	require.ErrorContains(t, err, "at 2026-04-02T03:04:05Z")
}

// TestManagedKeyRotatesYearly: the AWS managed key does so by itself.
func TestManagedKeyRotatesYearly(t *testing.T) {
	c := newClock()
	p := open(t, &kmstest.Records{}, local.Options{Now: c.now})
	m, err := p.DescribeKey(t.Context(), kms.ManagedAlias)
	require.NoError(t, err)
	blob := seal(t, p, m.ID)
	st, err := p.GetKeyRotationStatus(t.Context(), m.ID)
	require.NoError(t, err)
	require.Equal(t, kms.RotationStatus{Enabled: true, PeriodDays: 365, Next: c.now().AddDate(0, 0, 365)}, st)
	c.add(365)
	requireOpens(t, p, seal(t, p, kms.ManagedAlias))
	require.Len(t, rotations(t, p, m.ID), 2)
	requireOpens(t, p, blob)
}

// TestOverdueRotation: a key that is disabled when its time comes is rotated when it is enabled.
func TestOverdueRotation(t *testing.T) {
	c := newClock()
	p := open(t, &kmstest.Records{}, local.Options{Now: c.now})
	k := newKey(t, p)
	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	require.NoError(t, p.DisableKey(t.Context(), k.ID))
	c.add(100)
	require.NoError(t, p.DoDue(t.Context()))
	require.Len(t, rotations(t, p, k.ID), 1)
	require.NoError(t, p.EnableKey(t.Context(), k.ID))
	require.Len(t, rotations(t, p, k.ID), 2)
}

// TestRotationThatCannotBeSaved does not hinder the use of the key.
func TestRotationThatCannotBeSaved(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k := newKey(t, p)
	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	c.add(90)
	rec.Fail(errors.New("disk full"))
	requireOpens(t, p, seal(t, p, k.ID))
	require.Len(t, rotations(t, p, k.ID), 1)
	rec.Fail(nil)
	requireOpens(t, p, seal(t, p, k.ID))
	require.Len(t, rotations(t, p, k.ID), 1, "not before the pause is over")
	c.add(1)
	requireOpens(t, p, seal(t, p, k.ID))
	require.Len(t, rotations(t, p, k.ID), 2)
}

func importInto(t *testing.T, p *local.Provider, id string, secret []byte, validTo time.Time) error {
	t.Helper()
	in, err := p.GetParametersForImport(t.Context(), id, kms.WrapOAEPSHA256, "RSA_2048")
	require.NoError(t, err)
	public, err := x509.ParsePKIXPublicKey(in.PublicKey)
	require.NoError(t, err)
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), secret, nil)
	require.NoError(t, err)
	_, err = p.ImportKeyMaterial(t.Context(), kms.ImportKeyMaterialInput{KeyID: id, Token: in.Token, Encrypted: wrapped, ValidTo: validTo})
	return err
}

// TestImportedMaterialExpires: at once for every use, and on disk by the timer's function; also while the disk is full.
func TestImportedMaterialExpires(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Origin: kms.OriginExternal})
	require.NoError(t, err)
	secret := bytes.Repeat([]byte{7}, 32)
	require.NoError(t, importInto(t, p, k.ID, secret, c.now().AddDate(0, 0, 5)))
	blob := seal(t, p, k.ID)
	c.add(5)
	rec.Fail(errors.New("disk full"))
	_, err = p.Decrypt(t.Context(), kms.DecryptInput{Blob: blob})
	require.EqualError(t, err, "KMSInvalidStateException: "+k.ARN+" is pending import.")
	_, err = p.Encrypt(t.Context(), kms.EncryptInput{KeyID: k.ID, Plaintext: []byte("x")})
	require.EqualError(t, err, "KMSInvalidStateException: "+k.ARN+" is pending import.")
	m, err := p.DescribeKey(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, kms.StatePendingImport, m.State)
	require.Empty(t, m.MaterialID)
	a, err := p.Access(t.Context(), k.ID, nil)
	require.NoError(t, err)
	require.Equal(t, kms.StatePendingImport, a.Key.State)
	rec.Fail(nil)
	require.NoError(t, p.DoDue(t.Context()))
	m, err = p.DescribeKey(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, kms.StatePendingImport, m.State)
	require.Empty(t, m.ExpirationModel)
	require.NoError(t, p.Close())

	p = open(t, rec, local.Options{Now: c.now})
	require.NoError(t, importInto(t, p, k.ID, secret, time.Time{}))
	requireOpens(t, p, blob)
	require.ErrorIs(t, importInto(t, p, k.ID, bytes.Repeat([]byte{8}, 32), time.Time{}), kms.IncorrectKeyMaterialException)
}

func TestImportTokenExpires(t *testing.T) {
	c := newClock()
	p := open(t, &kmstest.Records{}, local.Options{Now: c.now})
	k, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Origin: kms.OriginExternal})
	require.NoError(t, err)
	in, err := p.GetParametersForImport(t.Context(), k.ID, kms.WrapOAEPSHA1, "RSA_2048")
	require.NoError(t, err)
	require.LessOrEqual(t, len(in.Token), 6144)
	c.add(1)
	_, err = p.ImportKeyMaterial(t.Context(), kms.ImportKeyMaterialInput{KeyID: k.ID, Token: in.Token, Encrypted: []byte("x")})
	require.ErrorIs(t, err, kms.ExpiredImportTokenException)
}

// TestTimer: what is due is done without a use, and a failing disk is not tried again and again.
func TestTimer(t *testing.T) {
	c, rec := newClock(), &saves{}
	p := open(t, rec, local.Options{Now: c.now})
	k := newKey(t, p)
	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	require.NoError(t, p.Close())
	c.add(90)
	p = open(t, rec, local.Options{Now: c.now}) // does what is due
	require.Len(t, rotations(t, p, k.ID), 2)

	require.NoError(t, p.EnableKeyRotation(t.Context(), k.ID, 90))
	c.add(90)
	rec.Fail(errors.New("disk full"))
	before := rec.count()
	require.Error(t, p.DoDue(t.Context()))
	time.Sleep(50 * time.Millisecond)
	require.LessOrEqual(t, rec.count()-before, 2)
}

// saves counts attempts to save.
type saves struct {
	kmstest.Records
	mu sync.Mutex
	n  int
}

func (s *saves) Save(puts map[string][]byte, deletes []string) error {
	s.mu.Lock()
	s.n++
	s.mu.Unlock()
	return s.Records.Save(puts, deletes)
}

func (s *saves) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

// TestEverythingIsKept: policies, grants, tags, key pairs and settings after a restart; grants go with their key.
func TestEverythingIsKept(t *testing.T) {
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	const text = `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"}}`
	k, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Policy: text, Tags: []kms.Tag{{Key: "a", Value: "<1>"}}, MultiRegion: true})
	require.NoError(t, err)
	blob := seal(t, p, k.ID)
	alice := kms.UserPrincipal("000000000000", "alice")
	ref, err := p.CreateGrant(t.Context(), kms.Grant{KeyARN: k.ARN, Grantee: alice, Operations: []kms.Operation{kms.OpDecrypt},
		Constraints: kms.GrantConstraints{Equals: kms.Context{"a": "<"}}})
	require.NoError(t, err)
	signer, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Spec: kms.SpecP256, Usage: kms.UsageSignVerify})
	require.NoError(t, err)
	in := kms.SignInput{KeyID: signer.ID, Message: []byte("m"), Algorithm: "ECDSA_SHA_256"}
	s, err := p.Sign(t.Context(), in)
	require.NoError(t, err)
	mac, err := p.CreateKey(t.Context(), kms.CreateKeyInput{Spec: kms.SpecHMAC384, Usage: kms.UsageMAC})
	require.NoError(t, err)
	tag, err := p.GenerateMac(t.Context(), kms.MacInput{KeyID: mac.ID, Message: []byte("m"), Algorithm: "HMAC_SHA_384"})
	require.NoError(t, err)
	require.NoError(t, p.Close())

	p = open(t, rec, local.Options{Now: c.now})
	requireOpens(t, p, blob)
	got, err := p.GetKeyPolicy(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, text, got)
	tags, err := p.ListResourceTags(t.Context(), k.ID, "", 50)
	require.NoError(t, err)
	require.Equal(t, []kms.Tag{{Key: "a", Value: "<1>"}}, tags.Tags)
	g, err := p.FindGrant(t.Context(), kms.GrantRef{Token: ref.Token})
	require.NoError(t, err)
	require.Equal(t, kms.GrantConstraints{Equals: kms.Context{"a": "<"}}, g.Constraints)
	require.Equal(t, c.now(), g.Created)
	a, err := p.Access(t.Context(), k.ID, nil)
	require.NoError(t, err)
	require.Len(t, a.GrantsOf(alice), 1)
	_, err = p.Verify(t.Context(), in, s.Bytes)
	require.NoError(t, err)
	_, err = p.VerifyMac(t.Context(), kms.MacInput{KeyID: mac.ID, Message: []byte("m"), Algorithm: "HMAC_SHA_384"}, tag.Bytes)
	require.NoError(t, err)

	_, err = p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)
	c.add(7)
	require.NoError(t, p.DoDue(t.Context()))
	records, err := rec.Load()
	require.NoError(t, err)
	require.Len(t, records, 5, "check, the two other keys, the note of the destruction, and that the sealing key is stale")
}

// TestDamagedGrant allows nothing, hinders nothing, and can be revoked.
func TestDamagedGrant(t *testing.T) {
	rec := &kmstest.Records{}
	p := open(t, rec, local.Options{})
	k := newKey(t, p)
	alice := kms.UserPrincipal("000000000000", "alice")
	ref, err := p.CreateGrant(t.Context(), kms.Grant{KeyARN: k.ARN, Grantee: alice, Operations: []kms.Operation{kms.OpDecrypt}})
	require.NoError(t, err)
	require.NoError(t, p.Close())
	rec.Set("grant/"+k.ID+"/"+ref.ID, []byte("damaged"))
	p = open(t, rec, local.Options{})
	a, err := p.Access(t.Context(), k.ID, nil)
	require.NoError(t, err)
	require.Empty(t, a.GrantsOf(alice))
	page, err := p.ListGrants(t.Context(), kms.GrantFilter{KeyID: k.ID}, "", 10)
	require.NoError(t, err)
	require.Len(t, page.Grants, 1)
	require.NoError(t, p.DeleteGrant(t.Context(), k.ID, ref.ID))
}

// TestGrantLimit: 50,000 on one key, and none of them outlives it.
func TestGrantLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 50,000 grants")
	}
	c, rec := newClock(), &kmstest.Records{}
	p := open(t, rec, local.Options{Now: c.now})
	k := newKey(t, p)
	g := kms.Grant{KeyARN: k.ARN, Operations: []kms.Operation{kms.OpDecrypt}}
	for i := range kms.MaxGrants {
		g.Grantee = kms.UserPrincipal("000000000000", strconv.Itoa(i))
		_, err := p.CreateGrant(t.Context(), g)
		require.NoError(t, err)
	}
	_, err := p.CreateGrant(t.Context(), g)
	require.ErrorIs(t, err, kms.LimitExceededException)
	a, err := p.Access(t.Context(), k.ID, nil)
	require.NoError(t, err)
	require.Len(t, a.GrantsOf(g.Grantee), 1)
	_, err = p.ScheduleKeyDeletion(t.Context(), k.ID, 7)
	require.NoError(t, err)
	c.add(7)
	require.NoError(t, p.DoDue(t.Context()))
	records, err := rec.Load()
	require.NoError(t, err)
	require.Len(t, records, 3)
}
