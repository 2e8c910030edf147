package awskms_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// TestGrants is what kmstest leaves out where the provider decides by itself.
func TestGrants(t *testing.T) {
	p := openDoor(t, kmstest.NewBackend(t))
	a, err := p.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	b, err := p.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	alice, bob := kms.UserPrincipal(kms.DefaultAccount, "alice"), kms.UserPrincipal(kms.DefaultAccount, "bob")
	g := kms.Grant{KeyARN: a.ARN, Grantee: bob, Retiring: alice, Name: "n", Operations: []kms.Operation{kms.OpDecrypt}, Constraints: kms.GrantConstraints{Subset: kms.Context{"a": "1"}}}
	ref, err := p.CreateGrant(t.Context(), g)
	require.NoError(t, err)
	g.KeyARN, g.Retiring = b.ARN, ""
	_, err = p.CreateGrant(t.Context(), g)
	require.NoError(t, err)

	page, err := p.ListGrants(t.Context(), kms.GrantFilter{Retiring: alice}, "", 10)
	require.NoError(t, err)
	require.Len(t, page.Grants, 1, "of every key")
	found, err := p.FindGrant(t.Context(), kms.GrantRef{KeyID: a.ID, ID: ref.ID})
	require.NoError(t, err)
	require.Equal(t, page.Grants[0], found)
	require.Equal(t, kms.GrantConstraints{Subset: kms.Context{"a": "1"}}, found.Constraints)
	require.Equal(t, "n", found.Name)
	require.Equal(t, bob, found.Grantee)
	_, err = p.FindGrant(t.Context(), kms.GrantRef{KeyID: b.ID, ID: ref.ID})
	require.ErrorIs(t, err, kms.NotFoundException)
	_, err = p.FindGrant(t.Context(), kms.GrantRef{Token: ref.Token})
	require.ErrorIs(t, err, kms.UnsupportedOperationException)

	require.NoError(t, p.DeleteGrant(t.Context(), a.ID, ref.ID))
	err = p.DeleteGrant(t.Context(), a.ID, ref.ID)
	require.ErrorIs(t, err, kms.NotFoundException)
}

// TestPolicies: what is put is what is read, and it decides over there.
func TestPolicies(t *testing.T) {
	p := openDoor(t, kmstest.NewBackend(t))
	k, err := p.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	deny := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":"kms:Encrypt","Resource":"*"}]}`
	require.NoError(t, p.PutKeyPolicy(t.Context(), k.ID, deny))
	text, err := p.GetKeyPolicy(t.Context(), k.ID)
	require.NoError(t, err)
	require.Equal(t, deny, text)
	_, err = p.Encrypt(t.Context(), kms.EncryptInput{KeyID: k.ID, Plaintext: []byte("x")})
	require.ErrorIs(t, err, kms.AccessDeniedException)
	access, err := p.Access(t.Context(), k.ID, nil)
	require.NoError(t, err)
	require.Nil(t, access)
}
