package kmstest

import (
	"fmt"
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/policy"
)

func (f *fixture) access(keyID string, blob []byte) *kms.Access {
	f.Helper()
	a, err := f.b.Access(f.ctx, keyID, blob)
	require.NoError(f, err)
	if a == nil {
		f.Skip("the provider decides by itself")
	}
	return a
}

func accountOf(k kms.KeyMetadata) string { return strings.Split(k.ARN, ":")[4] }

// access: by every form of key id and by blob it is the same key.
func access(f *fixture) {
	k := f.key()
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/x", k.ID))
	for _, id := range []string{k.ID, k.ARN, "alias/x"} {
		require.Equal(f, k.ARN, f.access(id, nil).Key.ARN)
	}
	blob := f.encrypt(k.ID, nil, "x")
	require.Equal(f, k.ARN, f.access("", blob).Key.ARN)
	_, err := f.b.Access(f.ctx, "", []byte("not a blob"))
	f.refused(err, kms.InvalidCiphertextException, "")
	require.NoError(f, f.b.DisableKey(f.ctx, k.ID))
	require.Equal(f, kms.StateDisabled, f.access(k.ID, nil).Key.State)
	managed := f.access(kms.ManagedAlias, nil)
	require.Equal(f, kms.ManagerAWS, managed.Key.Manager)
}

func keyPolicy(f *fixture) {
	k := f.key()
	user := kms.UserPrincipal(accountOf(k), "alice")
	decide := func() policy.Effect {
		return f.access(k.ID, nil).Policy.Decide(&policy.Request{Principal: user, Action: "Decrypt", Resource: k.ARN})
	}
	text, err := f.b.GetKeyPolicy(f.ctx, k.ID)
	require.NoError(f, err)
	require.JSONEq(f, policy.Default(accountOf(k)), text)
	require.Equal(f, policy.Allow, decide())

	mine := `{"Statement":{"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"}}`
	require.NoError(f, f.b.PutKeyPolicy(f.ctx, k.ID, mine))
	require.Equal(f, policy.Deny, decide())
	text, err = f.b.GetKeyPolicy(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, mine, text)

	created, err := f.b.CreateKey(f.ctx, kms.CreateKeyInput{Policy: mine})
	require.NoError(f, err)
	text, err = f.b.GetKeyPolicy(f.ctx, created.ID)
	require.NoError(f, err)
	require.Equal(f, mine, text)
}

func grantLife(f *fixture) {
	k, other := f.key(), f.key()
	alice, bob := kms.UserPrincipal(accountOf(k), "alice"), kms.UserPrincipal(accountOf(k), "bob")
	g := kms.Grant{KeyARN: k.ARN, Grantee: alice, Retiring: bob, Name: "n", Issuer: kms.RootPrincipal(accountOf(k)),
		Operations: []kms.Operation{kms.OpDecrypt}, Constraints: kms.GrantConstraints{Subset: kms.Context{"a": "1"}}}
	ref, err := f.b.CreateGrant(f.ctx, g)
	require.NoError(f, err)
	again, err := f.b.CreateGrant(f.ctx, g)
	require.NoError(f, err)
	require.Equal(f, ref.ID, again.ID, "the same name and content")
	g.Operations = []kms.Operation{kms.OpEncrypt}
	second, err := f.b.CreateGrant(f.ctx, g)
	require.NoError(f, err)
	require.NotEqual(f, ref.ID, second.ID, "the same name, other content")
	g.Name = ""
	third, err := f.b.CreateGrant(f.ctx, g)
	require.NoError(f, err)
	require.NotEqual(f, second.ID, third.ID, "without a name each is a grant of its own")

	require.Len(f, f.access(k.ID, nil).GrantsOf(alice), 3)
	require.Empty(f, f.access(k.ID, nil).GrantsOf(bob))
	require.Empty(f, f.access(other.ID, nil).GrantsOf(alice))

	found, err := f.b.FindGrant(f.ctx, kms.GrantRef{Token: ref.Token})
	require.NoError(f, err)
	require.Equal(f, ref.ID, found.ID)
	require.Equal(f, kms.Context{"a": "1"}, found.Constraints.Subset)
	require.Nil(f, found.Constraints.Equals)
	_, err = f.b.FindGrant(f.ctx, kms.GrantRef{Token: "AAAA"})
	f.refused(err, kms.InvalidGrantTokenException, "Grant token is invalid")
	_, err = f.b.FindGrant(f.ctx, kms.GrantRef{KeyID: other.ID, ID: ref.ID})
	f.refused(err, kms.NotFoundException, "Grant ID "+ref.ID+" not found")

	require.NoError(f, f.b.DeleteGrant(f.ctx, k.ID, ref.ID))
	require.Len(f, f.access(k.ID, nil).GrantsOf(alice), 2)
	f.refused(f.b.DeleteGrant(f.ctx, k.ID, ref.ID), kms.NotFoundException, "Grant ID "+ref.ID+" not found")
	_, err = f.b.FindGrant(f.ctx, kms.GrantRef{Token: ref.Token})
	f.refused(err, kms.InvalidGrantTokenException, "Grant token is invalid")

	require.NoError(f, f.b.DisableKey(f.ctx, k.ID))
	_, err = f.b.CreateGrant(f.ctx, g)
	f.refused(err, kms.DisabledException, k.ARN+" is disabled.")
	require.NoError(f, f.b.DeleteGrant(f.ctx, k.ID, second.ID), "in every state")
}

func listGrants(f *fixture) {
	k, other := f.key(), f.key()
	want := map[string]bool{}
	for i := range 7 {
		g := kms.Grant{KeyARN: k.ARN, Grantee: kms.UserPrincipal(accountOf(k), fmt.Sprint(i%2)), Retiring: kms.UserPrincipal(accountOf(k), "r"),
			Operations: []kms.Operation{kms.OpDecrypt}}
		ref, err := f.b.CreateGrant(f.ctx, g)
		require.NoError(f, err)
		want[ref.ID] = i%2 == 0
		g.KeyARN = other.ARN
		_, err = f.b.CreateGrant(f.ctx, g)
		require.NoError(f, err)
	}
	list := func(filter kms.GrantFilter) (ids []string) {
		after := ""
		for {
			page, err := f.b.ListGrants(f.ctx, filter, after, 2)
			require.NoError(f, err)
			require.LessOrEqual(f, len(page.Grants), 2)
			for _, g := range page.Grants {
				require.Greater(f, g.ID, after)
				after = g.ID
				ids = append(ids, g.ID)
			}
			if page.Next == "" {
				return ids
			}
			require.Equal(f, after, page.Next)
		}
	}
	require.Len(f, list(kms.GrantFilter{KeyID: k.ID}), 7)
	require.Len(f, list(kms.GrantFilter{KeyID: k.ID, Grantee: kms.UserPrincipal(accountOf(k), "0")}), 4)
	if !f.remote {
		require.Len(f, list(kms.GrantFilter{Retiring: kms.UserPrincipal(accountOf(k), "r")}), 14, "of every key")
	}
	for id := range want {
		require.Equal(f, []string{id}, list(kms.GrantFilter{KeyID: k.ID, ID: id}))
	}
}

func tags(f *fixture) {
	k, err := f.b.CreateKey(f.ctx, kms.CreateKeyInput{Tags: []kms.Tag{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}}})
	require.NoError(f, err)
	list := func() []kms.Tag {
		page, err := f.b.ListResourceTags(f.ctx, k.ID, "", 50)
		require.NoError(f, err)
		return page.Tags
	}
	require.Equal(f, []kms.Tag{{Key: "a", Value: "2"}, {Key: "b", Value: "1"}}, list())
	require.NoError(f, f.b.TagResource(f.ctx, k.ID, []kms.Tag{{Key: "c"}, {Key: "a", Value: "3"}}))
	require.Equal(f, []kms.Tag{{Key: "a", Value: "3"}, {Key: "b", Value: "1"}, {Key: "c"}}, list())
	page, err := f.b.ListResourceTags(f.ctx, k.ID, "", 2)
	require.NoError(f, err)
	require.Equal(f, "b", page.Next)
	page, err = f.b.ListResourceTags(f.ctx, k.ID, page.Next, 2)
	require.NoError(f, err)
	require.Equal(f, kms.TagPage{Tags: []kms.Tag{{Key: "c"}}}, page)
	require.NoError(f, f.b.UntagResource(f.ctx, k.ID, []string{"a", "none"}))
	require.Equal(f, []kms.Tag{{Key: "b", Value: "1"}, {Key: "c"}}, list())
	var many []kms.Tag
	for i := range 49 {
		many = append(many, kms.Tag{Key: fmt.Sprint(i)})
	}
	f.refused(f.b.TagResource(f.ctx, k.ID, many), kms.TagException, "Too many tags")
	require.Len(f, list(), 2, "nothing has happened")
	require.NoError(f, f.b.TagResource(f.ctx, k.ID, many[:48]))
}
