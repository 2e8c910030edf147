package kms_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

const (
	account = "000000000000"
	rootARN = "arn:aws:iam::000000000000:root"
)

func user(name string) string { return kms.UserPrincipal(account, name) }

// statement is one of a policy, about every key.
func statement(effect, principal, action, more string) string {
	return fmt.Sprintf(`{"Effect":%q,"Principal":%s,"Action":%q,"Resource":"*"%s}`, effect, principal, action, more)
}

func document(statements ...string) string {
	all := ""
	for i, s := range statements {
		if i > 0 {
			all += ","
		}
		all += s
	}
	return `{"Version":"2012-10-17","Statement":[` + all + "]}"
}

// asRoot is the account's root user, as a process of this machine is.
func asRoot() context.Context { return context.Background() }

func admin() string { return statement("Allow", `{"AWS":"`+rootARN+`"}`, "kms:*", "") }

// onlyRoot: the account's root user alone, where the account's principal would be everybody.
func onlyRoot() string {
	return statement("Allow", `"*"`, "kms:*", `,"Condition":{"StringEquals":{"aws:PrincipalArn":"`+rootARN+`"}}`)
}

func keyWithPolicy(t *testing.T, s *kms.Service, policy string) kms.KeyMetadata {
	t.Helper()
	m, err := s.CreateKey(asRoot(), kms.CreateKeyInput{Policy: policy})
	require.NoError(t, err)
	return m
}

func requireDenied(t *testing.T, err error, principal, op, arn, why string) {
	t.Helper()
	require.Error(t, err)
	require.EqualError(t, err, "AccessDeniedException: User: "+principal+" is not authorized to perform: kms:"+op+" on resource: "+arn+" "+why)
}

func noPolicyAllows(op string) string {
	return "because no resource-based policy allows the kms:" + op + " action"
}

const explicitDeny = "with an explicit deny in a resource-based policy"

// TestEveryOperationIsDecided: under a policy that allows only root, each operation on a key is refused to another user
// with AWS's text, before the provider is asked, and recorded.
func TestEveryOperationIsDecided(t *testing.T) {
	f := kmstest.NewFault(kmstest.NewBackend(t))
	s, audit := kmstest.NewService(t, f, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot()))
	require.NoError(t, s.CreateAlias(asRoot(), "alias/x", m.ID))
	other := makeKey(t, s)
	d, err := s.GenerateDataKey(asRoot(), kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
	require.NoError(t, err)
	od, err := s.GenerateDataKey(asRoot(), kms.GenerateDataKeyInput{KeyID: other.ID, Bytes: 32})
	require.NoError(t, err)
	grant, err := s.CreateGrant(asRoot(), kms.CreateGrantInput{KeyID: m.ID, Grantee: user("bob"), Operations: []kms.Operation{kms.OpDecrypt}})
	require.NoError(t, err)
	f.Add(kmstest.FailAll(kms.Errorf(kms.KMSInternalException, "the provider was asked")))
	ctx := as("alice")
	for op, do := range map[kms.Operation]func() error{
		kms.OpGenerateDataKey: func() error {
			_, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
			return err
		},
		kms.OpGenerateWithoutPlaintext: func() error {
			_, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: "alias/x", Bytes: 32, WithoutPlaintext: true})
			return err
		},
		kms.OpEncrypt: func() error {
			_, err := s.Encrypt(ctx, kms.EncryptInput{KeyID: m.ARN, Plaintext: []byte("x")})
			return err
		},
		kms.OpDecrypt: func() error { _, err := s.Decrypt(ctx, kms.DecryptInput{Blob: d.Blob}); return err },
		kms.OpReEncryptFrom: func() error {
			_, err := s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: d.Blob, KeyID: other.ID})
			return err
		},
		kms.OpReEncryptTo: func() error {
			_, err := s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: od.Blob, KeyID: m.ID})
			return err
		},
		kms.OpDescribeKey:          func() error { _, err := s.DescribeKey(ctx, m.ID); return err },
		kms.OpEnableKey:            func() error { return s.EnableKey(ctx, m.ID) },
		kms.OpDisableKey:           func() error { return s.DisableKey(ctx, m.ID) },
		kms.OpUpdateKeyDescription: func() error { return s.UpdateKeyDescription(ctx, m.ID, "") },
		kms.OpScheduleKeyDeletion:  func() error { _, err := s.ScheduleKeyDeletion(ctx, m.ID, 7); return err },
		kms.OpCancelKeyDeletion:    func() error { _, err := s.CancelKeyDeletion(ctx, m.ID); return err },
		kms.OpCreateAlias:          func() error { return s.CreateAlias(ctx, "alias/y", m.ID) },
		kms.OpUpdateAlias:          func() error { return s.UpdateAlias(ctx, "alias/x", other.ID) },
		kms.OpDeleteAlias:          func() error { return s.DeleteAlias(ctx, "alias/x") },
		kms.OpRotateKeyOnDemand:    func() error { _, err := s.RotateKeyOnDemand(ctx, m.ID); return err },
		kms.OpListKeyRotations:     func() error { _, err := s.ListKeyRotations(ctx, m.ID); return err },
		kms.OpEnableKeyRotation:    func() error { return s.EnableKeyRotation(ctx, m.ID, 0) },
		kms.OpDisableKeyRotation:   func() error { return s.DisableKeyRotation(ctx, m.ID) },
		kms.OpGetKeyRotationStatus: func() error { _, err := s.GetKeyRotationStatus(ctx, m.ID); return err },
		kms.OpGetKeyPolicy:         func() error { _, err := s.GetKeyPolicy(ctx, m.ID, ""); return err },
		kms.OpPutKeyPolicy: func() error {
			return s.PutKeyPolicy(ctx, kms.PutKeyPolicyInput{KeyID: m.ID, Policy: document(admin())})
		},
		kms.OpListKeyPolicies: func() error { _, err := s.ListKeyPolicies(ctx, m.ID); return err },
		kms.OpCreateGrant: func() error {
			_, err := s.CreateGrant(ctx, kms.CreateGrantInput{KeyID: m.ID, Grantee: user("alice"), Operations: []kms.Operation{kms.OpDecrypt}})
			return err
		},
		kms.OpListGrants:       func() error { _, err := s.ListGrants(ctx, kms.GrantFilter{KeyID: m.ID}, "", 0); return err },
		kms.OpRetireGrant:      func() error { return s.RetireGrant(ctx, kms.GrantRef{Token: grant.Token}, false) },
		kms.OpRevokeGrant:      func() error { return s.RevokeGrant(ctx, m.ID, grant.ID, false) },
		kms.OpTagResource:      func() error { return s.TagResource(ctx, m.ID, nil) },
		kms.OpUntagResource:    func() error { return s.UntagResource(ctx, m.ID, nil) },
		kms.OpListResourceTags: func() error { _, err := s.ListResourceTags(ctx, m.ID, "", 0); return err },
		kms.OpGetParametersForImport: func() error {
			_, err := s.GetParametersForImport(ctx, m.ID, kms.WrapOAEPSHA256, "RSA_2048")
			return err
		},
		kms.OpImportKeyMaterial:      func() error { _, err := s.ImportKeyMaterial(ctx, kms.ImportKeyMaterialInput{KeyID: m.ID}); return err },
		kms.OpDeleteImportedMaterial: func() error { _, err := s.DeleteImportedKeyMaterial(ctx, m.ID); return err },
		kms.OpSign:                   func() error { _, err := s.Sign(ctx, kms.SignInput{KeyID: m.ID, Message: []byte("x")}); return err },
		kms.OpVerify: func() error {
			_, err := s.Verify(ctx, kms.SignInput{KeyID: m.ID, Message: []byte("x")}, []byte("x"))
			return err
		},
		kms.OpGenerateMac: func() error {
			_, err := s.GenerateMac(ctx, kms.MacInput{KeyID: m.ID, Message: []byte("x")})
			return err
		},
		kms.OpVerifyMac: func() error {
			_, err := s.VerifyMac(ctx, kms.MacInput{KeyID: m.ID, Message: []byte("x")}, []byte("x"))
			return err
		},
		kms.OpGetPublicKey: func() error { _, err := s.GetPublicKey(ctx, m.ID, nil); return err },
	} {
		before := len(audit.Events())
		requireDenied(t, do(), user("alice"), string(op), m.ARN, noPolicyAllows(string(op)))
		events := audit.Events()[before:]
		require.Len(t, events, 1, op)
		require.Equal(t, kms.AccessDeniedException, events[0].Code)
		require.Equal(t, user("alice"), events[0].Caller.Principal)
	}
}

// TestStrangers: what no key's policy decides is for users of the account.
func TestStrangers(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	for _, c := range []kms.Caller{
		{Principal: "arn:aws:iam::111111111111:user/alice", Via: "kms"}, {Via: "kms"}, {Via: "s3"},
		{Principal: "arn:aws:iam::000000000000x:user/alice"},
	} {
		ctx := kms.WithCaller(t.Context(), c)
		_, err := s.CreateKey(ctx, kms.CreateKeyInput{})
		requireDenied(t, err, c.Principal, "CreateKey", "*", "because no identity-based policy allows the kms:CreateKey action")
		_, err = s.ListKeys(ctx, "", 0)
		require.ErrorIs(t, err, kms.AccessDeniedException)
		_, err = s.ListAliases(ctx, "", "", 0)
		require.ErrorIs(t, err, kms.AccessDeniedException)
		m := makeKey(t, s)
		_, err = s.DescribeKey(ctx, m.ID)
		requireDenied(t, err, c.Principal, "DescribeKey", m.ARN, noPolicyAllows("DescribeKey"))
	}
}

func TestManagedKeyThroughS3Only(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	for _, bk := range []bool{false, true} {
		key, env := newDataKey(t, s, as("alice"), request(kms.SSEKMS, "", bk, nil))
		requireDataKey(t, s, as("bob"), key, env)
		out, err := s.RewrapDataKey(as("bob"), env, request(kms.SSEKMS, "", !bk, nil))
		require.NoError(t, err)
		requireDataKey(t, s, as("alice"), key, out)

		_, err = s.Decrypt(as("alice"), kms.DecryptInput{KeyID: env.KeyARN, Blob: env.Blob, Context: kms.Context{kms.ARNKey: env.ResourceARN}})
		requireDenied(t, err, user("alice"), "Decrypt", env.KeyARN, noPolicyAllows("Decrypt"))
		_, err = s.Decrypt(asRoot(), kms.DecryptInput{Blob: env.Blob, Context: kms.Context{kms.ARNKey: env.ResourceARN}})
		requireDenied(t, err, rootARN, "Decrypt", env.KeyARN, noPolicyAllows("Decrypt"))
		m, err := s.DescribeKey(as("alice"), kms.ManagedAlias)
		require.NoError(t, err)
		require.Equal(t, env.KeyARN, m.ARN)
		text, err := s.GetKeyPolicy(as("alice"), m.ID, "")
		require.NoError(t, err)
		require.Contains(t, text, "auto-s3-2")
		err = s.PutKeyPolicy(asRoot(), kms.PutKeyPolicyInput{KeyID: m.ID, Policy: document(admin())})
		requireDenied(t, err, rootARN, "PutKeyPolicy", m.ARN, noPolicyAllows("PutKeyPolicy"))
	}
	_, _, err := s.NewDataKey(kms.WithCaller(t.Context(), kms.Caller{Via: "s3"}), request(kms.SSEKMS, "", false, nil))
	require.ErrorIs(t, err, kms.AccessDeniedException, "a door that does not say who calls")
}

// TestPolicyActsOnCachedBucketKeys: what AWS does not promise. One caller's cache never serves another, and a denial acts on
// the next use.
func TestPolicyActsOnCachedBucketKeys(t *testing.T) {
	s, f, _ := bucketKeyService(t)
	m := keyWithPolicy(t, s, document(admin()))
	r := request(kms.SSEKMS, m.ARN, true, nil)
	key, env := newDataKey(t, s, as("alice"), r)
	requireDataKey(t, s, as("alice"), key, env)
	requireDataKey(t, s, as("bob"), key, env)
	deny := statement("Deny", `{"AWS":"`+user("bob")+`"}`, "kms:Decrypt", "")
	require.NoError(t, s.PutKeyPolicy(asRoot(), kms.PutKeyPolicyInput{KeyID: m.ID, Policy: document(admin(), deny)}))
	requireDataKey(t, s, as("alice"), key, env)
	calls := f.Calls(kms.OpDecrypt)
	_, err := s.OpenDataKey(as("bob"), env)
	requireDenied(t, err, user("bob"), "Decrypt", m.ARN, explicitDeny)
	require.Equal(t, calls, f.Calls(kms.OpDecrypt))
	newDataKey(t, s, as("bob"), r)
}

// TestContextConditions: a key for one directory of one bucket and one department.
func TestContextConditions(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot(), statement("Allow", `{"AWS":"`+user("alice")+`"}`, "kms:*", `,"Condition":{`+
		`"StringLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket/hr/*"},`+
		`"StringEquals":{"kms:EncryptionContext:DEPARTMENT":"hr","kms:ViaService":"s3.us-east-1.amazonaws.com"}}`)))
	hr := kms.Context{"department": "hr"}
	key, env := newDataKey(t, s, as("alice"), request(kms.SSEKMS, m.ID, false, hr))
	requireDataKey(t, s, as("alice"), key, env)
	elsewhere := request(kms.SSEKMS, m.ID, false, hr)
	elsewhere.ObjectARN = "arn:aws:s3:::bucket/it/x"
	for name, r := range map[string]kms.EnvelopeRequest{
		"no department":    request(kms.SSEKMS, m.ID, false, nil),
		"other department": request(kms.SSEKMS, m.ID, false, kms.Context{"department": "it"}),
		"elsewhere":        elsewhere,
		"bucket key":       request(kms.SSEKMS, m.ID, true, hr), // the bucket's ARN
	} {
		_, _, err := s.NewDataKey(as("alice"), r)
		requireDenied(t, err, user("alice"), "GenerateDataKey", m.ARN, noPolicyAllows("GenerateDataKey"))
		_, _, err = s.NewDataKey(asRoot(), r)
		require.NoError(t, err, name)
	}
	_, err := s.RewrapDataKey(as("alice"), env, elsewhere)
	requireDenied(t, err, user("alice"), "ReEncryptTo", m.ARN, noPolicyAllows("ReEncryptTo"))
	_, err = s.Decrypt(as("alice"), kms.DecryptInput{Blob: env.Blob, Context: kms.Context{"department": "hr", kms.ARNKey: object}})
	requireDenied(t, err, user("alice"), "Decrypt", m.ARN, noPolicyAllows("Decrypt"))
}

func TestRequestConditions(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	other := makeKey(t, s)
	with := func(action, condition string) kms.KeyMetadata {
		m := keyWithPolicy(t, s, document(onlyRoot(), statement("Allow", `"*"`, action, `,"Condition":{`+condition+`}`)))
		require.NoError(t, s.CreateAlias(asRoot(), "alias/"+m.ID, m.ID))
		return m
	}
	ctx := as("alice")
	m := with("kms:Encrypt", `"StringEquals":{"kms:RequestAlias":"alias/x"}`)
	require.NoError(t, s.CreateAlias(asRoot(), "alias/x", m.ID))
	for id, ok := range map[string]bool{"alias/x": true, "arn:aws:kms:us-east-1:000000000000:alias/x": true, m.ID: false, m.ARN: false, "alias/" + m.ID: false} {
		_, err := s.Encrypt(ctx, kms.EncryptInput{KeyID: id, Plaintext: []byte("x")})
		require.Equal(t, ok, err == nil, "%s: %v", id, err)
	}

	m = with("kms:ReEncrypt*", `"Bool":{"kms:ReEncryptOnSameKey":"true"}`)
	c, err := s.Encrypt(asRoot(), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
	require.NoError(t, err)
	_, err = s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: c.Blob, KeyID: m.ID})
	require.NoError(t, err)
	_, err = s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: c.Blob, KeyID: other.ID})
	requireDenied(t, err, user("alice"), "ReEncryptFrom", m.ARN, noPolicyAllows("ReEncryptFrom"))

	m = with("kms:ScheduleKeyDeletion", `"NumericEquals":{"kms:ScheduleKeyDeletionPendingWindowInDays":"30"}`)
	_, err = s.ScheduleKeyDeletion(ctx, m.ID, 7)
	require.ErrorIs(t, err, kms.AccessDeniedException)
	_, err = s.ScheduleKeyDeletion(ctx, m.ID, 0)
	require.NoError(t, err)

	m = with("kms:EnableKeyRotation", `"NumericGreaterThanEquals":{"kms:RotationPeriodInDays":"365"}`)
	require.ErrorIs(t, s.EnableKeyRotation(ctx, m.ID, 90), kms.AccessDeniedException)
	require.NoError(t, s.EnableKeyRotation(ctx, m.ID, 0))

	m = with("kms:CreateGrant", `"StringEquals":{"kms:GranteePrincipal":"`+user("bob")+`"},"Bool":{"kms:GrantIsForAWSResource":"false"},`+
		`"ForAllValues:StringEquals":{"kms:GrantOperations":["Decrypt","Encrypt"]}`)
	for _, g := range []struct {
		grantee string
		ops     []kms.Operation
		ok      bool
	}{
		{user("bob"), []kms.Operation{kms.OpDecrypt}, true},
		{user("eve"), []kms.Operation{kms.OpDecrypt}, false},
		{user("bob"), []kms.Operation{kms.OpDecrypt, kms.OpCreateGrant}, false},
	} {
		_, err = s.CreateGrant(ctx, kms.CreateGrantInput{KeyID: m.ID, Grantee: g.grantee, Operations: g.ops})
		require.Equal(t, g.ok, err == nil, "%v: %v", g, err)
	}
}

func TestPutKeyPolicy(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	names, err := s.ListKeyPolicies(as("alice"), m.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, names)
	put := func(ctx context.Context, text string, bypass bool) error {
		return s.PutKeyPolicy(ctx, kms.PutKeyPolicyInput{KeyID: m.ID, PolicyName: "default", Policy: text, BypassLockoutCheck: bypass})
	}
	err = put(as("alice"), `{"Statement":[{"Effect":"allow"}]}`, true)
	require.EqualError(t, err, "MalformedPolicyDocumentException: line 1, column 25, Statement[0].Effect: the effect is Allow or Deny")
	require.ErrorIs(t, put(as("alice"), string(make([]byte, 32<<10+1)), true), kms.LimitExceededException)
	_, err = s.GetKeyPolicy(as("alice"), m.ID, "other")
	require.EqualError(t, err, "NotFoundException: No such policy exists")

	const lockout = "MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future."
	mine := document(statement("Allow", `{"AWS":"`+user("bob")+`"}`, "kms:*", ""))
	require.EqualError(t, put(as("alice"), mine, false), lockout)
	require.EqualError(t, put(asRoot(), mine, false), lockout, "root too is who the policy says")
	_, err = s.CreateKey(as("alice"), kms.CreateKeyInput{Policy: mine})
	require.EqualError(t, err, lockout)
	_, err = s.CreateKey(as("alice"), kms.CreateKeyInput{Policy: mine, BypassLockoutCheck: true})
	require.NoError(t, err)

	require.NoError(t, put(as("alice"), mine, true))
	requireDenied(t, put(as("alice"), mine, true), user("alice"), "PutKeyPolicy", m.ARN, noPolicyAllows("PutKeyPolicy"))
	text, err := s.GetKeyPolicy(as("bob"), "arn:aws:kms:us-east-1:000000000000:key/"+m.ID, "default")
	require.NoError(t, err)
	require.Equal(t, mine, text)
}

// TestPrincipals: who a process is.
func TestPrincipals(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{Account: "123456789012", Principal: func(uid uint32) string {
		if uid == 4000000001 {
			return "arn:aws:iam::123456789012:user/mapped"
		}
		return ""
	}})
	for want, c := range map[string]kms.Caller{
		"arn:aws:iam::123456789012:root":                {},
		"arn:aws:iam::123456789012:user/mapped":         {UID: 4000000001, Via: "mount"},
		"arn:aws:iam::123456789012:user/uid-4000000002": {UID: 4000000002, Via: "mount"},
		"arn:aws:iam::123456789012:user/given":          {UID: 4000000001, Principal: "arn:aws:iam::123456789012:user/given"},
	} {
		_, err := s.ListKeys(kms.WithCaller(t.Context(), c), "", 0)
		require.NoError(t, err)
		events := audit.Events()
		require.Equal(t, want, events[len(events)-1].Caller.Principal)
	}
}

func TestDryRun(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	mac, err := s.CreateKey(asRoot(), kms.CreateKeyInput{Spec: kms.SpecHMAC256, Usage: kms.UsageMAC})
	require.NoError(t, err)
	c, err := s.Encrypt(asRoot(), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
	require.NoError(t, err)
	ref, err := s.CreateGrant(asRoot(), kms.CreateGrantInput{KeyID: m.ID, Grantee: user("bob"), Operations: []kms.Operation{kms.OpDecrypt}})
	require.NoError(t, err)
	runs := func() map[string]error {
		out := map[string]error{}
		_, out["GenerateDataKey"] = s.GenerateDataKey(asRoot(), kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32, DryRun: true})
		_, out["Encrypt"] = s.Encrypt(asRoot(), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x"), DryRun: true})
		_, out["Decrypt"] = s.Decrypt(asRoot(), kms.DecryptInput{Blob: c.Blob, DryRun: true})
		_, out["ReEncrypt"] = s.ReEncrypt(asRoot(), kms.ReEncryptInput{Blob: c.Blob, KeyID: m.ID, DryRun: true})
		_, out["CreateGrant"] = s.CreateGrant(asRoot(), kms.CreateGrantInput{KeyID: m.ID, Grantee: user("bob"), Operations: []kms.Operation{kms.OpDecrypt}, DryRun: true})
		return out
	}
	for op, err := range runs() {
		require.EqualError(t, err, "DryRunOperationException: The request would have succeeded, but the DryRun option is set.", op)
	}
	_, err = s.GenerateMac(asRoot(), kms.MacInput{KeyID: mac.ID, Message: []byte("x"), Algorithm: "HMAC_SHA_256", DryRun: true})
	require.ErrorIs(t, err, kms.DryRunOperationException)
	require.ErrorIs(t, s.RevokeGrant(asRoot(), m.ID, ref.ID, true), kms.DryRunOperationException)
	require.ErrorIs(t, s.RetireGrant(asRoot(), kms.GrantRef{Token: ref.Token}, true), kms.DryRunOperationException)
	page, err := s.ListGrants(asRoot(), kms.GrantFilter{KeyID: m.ID}, "", 0)
	require.NoError(t, err)
	require.Len(t, page.Grants, 1, "nothing has happened")
	require.NoError(t, s.DisableKey(asRoot(), m.ID))
	for op, err := range runs() {
		require.EqualError(t, err, "DisabledException: "+m.ARN+" is disabled.", op)
	}
	require.ErrorIs(t, s.RevokeGrant(asRoot(), m.ID, "0", true), kms.NotFoundException)
	require.Equal(t, kms.NotFoundException, audit.Events()[len(audit.Events())-1].Code)
}

// TestDenialUnderLoad: no use that starts after PutKeyPolicy returned passes a denial, with and without a bucket key.
func TestDenialUnderLoad(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(admin()))
	_, plain := newDataKey(t, s, as("bob"), request(kms.SSEKMS, m.ARN, false, nil))
	_, bk := newDataKey(t, s, as("bob"), request(kms.SSEKMS, m.ARN, true, nil))
	var put atomic.Bool
	var late, refused, passed atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 300 {
				after := put.Load()
				_, err := s.OpenDataKey(as("bob"), []kms.Envelope{plain, bk}[i%2])
				switch {
				case err != nil:
					refused.Add(1)
				case after:
					late.Add(1)
				default:
					passed.Add(1)
				}
			}
		})
	}
	require.Eventually(t, func() bool { return passed.Load() > 10 }, 10*time.Second, time.Microsecond*50)
	deny := statement("Deny", `{"AWS":"`+user("bob")+`"}`, "kms:Decrypt", "")
	require.NoError(t, s.PutKeyPolicy(asRoot(), kms.PutKeyPolicyInput{KeyID: m.ID, Policy: document(admin(), deny)}))
	put.Store(true)
	wg.Wait()
	require.Zero(t, late.Load())
	for _, env := range []kms.Envelope{plain, bk} {
		_, err := s.OpenDataKey(as("bob"), env)
		require.ErrorIs(t, err, kms.AccessDeniedException)
	}
}

// TestManyGrantsAndPoliciesAtOnce is for the race detector: changes and uses of one key from many sides.
func TestManyGrantsAndPoliciesAtOnce(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot()))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			who := fmt.Sprint("user", i%3)
			for range 20 {
				ref, err := s.CreateGrant(asRoot(), kms.CreateGrantInput{KeyID: m.ID, Grantee: user(who), Operations: []kms.Operation{kms.OpEncrypt}})
				if err == nil {
					_, err = s.Encrypt(as(who), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
				}
				if err == nil {
					err = s.PutKeyPolicy(asRoot(), kms.PutKeyPolicyInput{KeyID: m.ID, Policy: document(onlyRoot())})
				}
				if err == nil {
					err = s.RevokeGrant(asRoot(), m.ID, ref.ID, false)
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	page, err := s.ListGrants(asRoot(), kms.GrantFilter{KeyID: m.ID}, "", 0)
	require.NoError(t, err)
	require.Empty(t, page.Grants)
	_, err = s.Encrypt(as("user0"), kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
	require.ErrorIs(t, err, kms.AccessDeniedException)
}
