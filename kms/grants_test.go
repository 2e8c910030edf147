package kms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func grantTo(t *testing.T, s *kms.Service, in kms.CreateGrantInput) kms.GrantRef {
	t.Helper()
	ref, err := s.CreateGrant(asRoot(), in)
	require.NoError(t, err)
	return ref
}

// TestGrantAllows: for its grantee, its operations and its constraints only; the policy's explicit denial outweighs it.
func TestGrantAllows(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot(), statement("Deny", `{"AWS":"`+user("denied")+`"}`, "kms:*", "")))
	other := keyWithPolicy(t, s, document(onlyRoot()))
	ops := []kms.Operation{kms.OpDecrypt, kms.OpGenerateDataKey, kms.OpDescribeKey}
	for _, grantee := range []string{user("equals"), user("subset"), user("free"), user("denied")} {
		in := kms.CreateGrantInput{KeyID: m.ID, Grantee: grantee, Operations: ops}
		switch grantee {
		case user("equals"):
			in.Constraints.Equals = kms.Context{"Department": "hr"}
		case user("subset"):
			in.Constraints.Subset = kms.Context{"department": "hr"}
		}
		grantTo(t, s, in)
	}
	for _, c := range []struct {
		who     string
		context kms.Context
		ok      bool
	}{
		{"equals", kms.Context{"department": "hr"}, true},
		{"equals", kms.Context{"department": "hr", "x": "1"}, false},
		{"equals", kms.Context{"department": "HR"}, false},
		{"equals", kms.Context{"department": "hr", "Department": "hr"}, false},
		{"equals", nil, false},
		{"subset", kms.Context{"DEPARTMENT": "hr"}, true},
		{"subset", kms.Context{"department": "hr", "x": "1"}, true},
		{"subset", kms.Context{"department": "hr", "DEPARTMENT": "it"}, false},
		{"subset", kms.Context{"x": "1"}, false},
		{"free", nil, true},
		{"free", kms.Context{"x": "1"}, true},
		{"denied", nil, false},
		{"nobody", nil, false},
	} {
		_, err := s.GenerateDataKey(as(c.who), kms.GenerateDataKeyInput{KeyID: m.ID, Context: c.context, Bytes: 32})
		if c.ok {
			require.NoError(t, err, "%+v", c)
		} else {
			require.ErrorIs(t, err, kms.AccessDeniedException, "%+v", c)
		}
		_, err = s.GenerateDataKey(as(c.who), kms.GenerateDataKeyInput{KeyID: other.ID, Context: c.context, Bytes: 32})
		require.ErrorIs(t, err, kms.AccessDeniedException, "another key")
		_, err = s.Encrypt(as(c.who), kms.EncryptInput{KeyID: m.ID, Context: c.context, Plaintext: []byte("x")})
		require.ErrorIs(t, err, kms.AccessDeniedException, "another operation")
	}
	_, err := s.DescribeKey(as("equals"), m.ID)
	require.NoError(t, err, "constraints are about the encryption context")
	key, env := newDataKey(t, s, as("free"), request(kms.SSEKMS, m.ID, true, nil))
	requireDataKey(t, s, as("free"), key, env)
}

func TestGrantEnds(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot()))
	in := kms.CreateGrantInput{KeyID: m.ID, Grantee: user("alice"), Retiring: user("bob"), Operations: []kms.Operation{kms.OpDecrypt, kms.OpGenerateDataKey}}
	use := func() error {
		_, err := s.GenerateDataKey(as("alice"), kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
		return err
	}
	require.ErrorIs(t, use(), kms.AccessDeniedException)

	ref := grantTo(t, s, in)
	require.NoError(t, use())
	require.ErrorIs(t, s.RetireGrant(as("alice"), kms.GrantRef{Token: ref.Token}, false), kms.AccessDeniedException, "the grant does not have RetireGrant")
	require.ErrorIs(t, s.RevokeGrant(as("bob"), m.ID, ref.ID, false), kms.AccessDeniedException)
	require.NoError(t, s.RetireGrant(as("bob"), kms.GrantRef{Token: ref.Token}, false))
	require.ErrorIs(t, use(), kms.AccessDeniedException)
	require.ErrorIs(t, s.RetireGrant(as("bob"), kms.GrantRef{Token: ref.Token}, false), kms.InvalidGrantTokenException)

	in.Operations = append(in.Operations, kms.OpRetireGrant)
	ref = grantTo(t, s, in)
	require.NoError(t, s.RetireGrant(as("alice"), kms.GrantRef{KeyID: m.ARN, ID: ref.ID}, false))
	ref = grantTo(t, s, in)
	require.NoError(t, s.RetireGrant(asRoot(), kms.GrantRef{KeyID: m.ID, ID: ref.ID}, false), "by the policy")
	ref = grantTo(t, s, in)
	require.NoError(t, s.RevokeGrant(asRoot(), m.ID, ref.ID, false))
	require.ErrorIs(t, use(), kms.AccessDeniedException)
	require.EqualError(t, s.RevokeGrant(asRoot(), m.ID, ref.ID, false), "NotFoundException: Grant ID "+ref.ID+" not found")
}

// TestGrantsPassOn: whoever may make grants by a grant makes none that allows more.
func TestGrantsPassOn(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := keyWithPolicy(t, s, document(onlyRoot()))
	grantTo(t, s, kms.CreateGrantInput{KeyID: m.ID, Grantee: user("alice"), Operations: []kms.Operation{kms.OpDecrypt, kms.OpCreateGrant},
		Constraints: kms.GrantConstraints{Subset: kms.Context{"a": "1"}}})
	for name, c := range map[string]struct {
		ops         []kms.Operation
		constraints kms.GrantConstraints
		ok          bool
	}{
		"same":      {[]kms.Operation{kms.OpDecrypt}, kms.GrantConstraints{Subset: kms.Context{"a": "1"}}, true},
		"stricter":  {[]kms.Operation{kms.OpDecrypt}, kms.GrantConstraints{Equals: kms.Context{"a": "1", "b": "2"}}, true},
		"free":      {[]kms.Operation{kms.OpDecrypt}, kms.GrantConstraints{}, false},
		"other":     {[]kms.Operation{kms.OpDecrypt}, kms.GrantConstraints{Subset: kms.Context{"b": "2"}}, false},
		"operation": {[]kms.Operation{kms.OpEncrypt}, kms.GrantConstraints{Subset: kms.Context{"a": "1"}}, false},
	} {
		_, err := s.CreateGrant(as("alice"), kms.CreateGrantInput{KeyID: m.ID, Grantee: user("bob"), Operations: c.ops, Constraints: c.constraints})
		if c.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, kms.AccessDeniedException, name)
		}
	}
}

func TestListRetirableGrants(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	for range 2 {
		m := keyWithPolicy(t, s, document(onlyRoot()))
		for _, retiring := range []string{user("bob"), user("eve"), ""} {
			grantTo(t, s, kms.CreateGrantInput{KeyID: m.ID, Grantee: user("alice"), Retiring: retiring, Operations: []kms.Operation{kms.OpDecrypt}})
		}
	}
	page, err := s.ListRetirableGrants(as("bob"), user("bob"), "", 0)
	require.NoError(t, err)
	require.Len(t, page.Grants, 2)
	page, err = s.ListRetirableGrants(asRoot(), user("bob"), "", 1)
	require.NoError(t, err)
	require.Len(t, page.Grants, 1)
	require.NotEmpty(t, page.Next)
	_, err = s.ListRetirableGrants(as("eve"), user("bob"), "", 0)
	require.ErrorIs(t, err, kms.AccessDeniedException)
	_, err = s.ListRetirableGrants(asRoot(), "", "", 0)
	require.ErrorIs(t, err, kms.ValidationException)
}

func TestGrantInput(t *testing.T) {
	s, _ := kmstest.NewService(t, nil, kms.Options{})
	m := makeKey(t, s)
	good := kms.CreateGrantInput{KeyID: m.ID, Grantee: user("alice"), Operations: []kms.Operation{kms.OpDecrypt}}
	for name, c := range map[string]struct {
		change func(*kms.CreateGrantInput)
		want   string
	}{
		"grantee":    {func(in *kms.CreateGrantInput) { in.Grantee = "alice" }, `InvalidArnException: GranteePrincipal "alice" is not`},
		"wildcard":   {func(in *kms.CreateGrantInput) { in.Grantee = user("*") }, "InvalidArnException: GranteePrincipal"},
		"retiring":   {func(in *kms.CreateGrantInput) { in.Retiring = "*" }, `InvalidArnException: RetiringPrincipal "*"`},
		"operations": {func(in *kms.CreateGrantInput) { in.Operations = nil }, "ValidationException: 1 validation error detected: Value at 'operations'"},
		"operation":  {func(in *kms.CreateGrantInput) { in.Operations = []kms.Operation{kms.OpPutKeyPolicy} }, "Value '[PutKeyPolicy]' at 'operations' failed to satisfy constraint"},
		"both": {func(in *kms.CreateGrantInput) {
			in.Constraints = kms.GrantConstraints{Equals: kms.Context{"a": "1"}, Subset: kms.Context{"a": "1"}}
		}, "either EncryptionContextEquals or"},
		"case":  {func(in *kms.CreateGrantInput) { in.Constraints.Equals = kms.Context{"a": "1", "A": "1"} }, "differ in case only"},
		"name":  {func(in *kms.CreateGrantInput) { in.Name = "a b" }, "at 'name'"},
		"long":  {func(in *kms.CreateGrantInput) { in.Name = strings.Repeat("a", 257) }, "at 'name'"},
		"token": {func(in *kms.CreateGrantInput) { in.GrantTokens = []string{"?"} }, "InvalidGrantTokenException: Grant token is invalid"},
		"tokens": {func(in *kms.CreateGrantInput) { in.GrantTokens = make([]string, 11) },
			"'grantTokens' failed to satisfy constraint: Member must have length less than or equal to 10"},
	} {
		in := good
		c.change(&in)
		_, err := s.CreateGrant(asRoot(), in)
		require.Error(t, err, name)
		require.ErrorContains(t, err, c.want, name)
	}
	ref := grantTo(t, s, good)
	good.GrantTokens = []string{ref.Token}
	grantTo(t, s, good)
	for _, r := range []kms.GrantRef{{}, {KeyID: m.ID}, {ID: ref.ID}, {Token: ref.Token, KeyID: m.ID}} {
		require.ErrorIs(t, s.RetireGrant(asRoot(), r, false), kms.ValidationException, r)
	}
	require.ErrorIs(t, s.RevokeGrant(asRoot(), m.ID, "", false), kms.InvalidGrantIDException)
}
