package kmstest

import (
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func (f *fixture) aliasARN(k kms.KeyMetadata, name string) string {
	return strings.TrimSuffix(k.ARN, "key/"+k.ID) + name
}

func aliasLife(f *fixture) {
	k := f.key()
	arn := f.aliasARN(k, "alias/x")
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/x", k.ID))
	f.refused(f.b.CreateAlias(f.ctx, "alias/x", k.ID), kms.AlreadyExistsException, "An alias with the name "+arn+" already exists")
	_, err := f.b.DescribeKey(f.ctx, "alias/X")
	f.refused(err, kms.NotFoundException, "Alias "+f.aliasARN(k, "alias/X")+" is not found.")
	require.NoError(f, f.b.DeleteAlias(f.ctx, "alias/x"))
	f.refused(f.b.DeleteAlias(f.ctx, "alias/x"), kms.NotFoundException, "Alias "+arn+" is not found.")
	f.refused(f.b.UpdateAlias(f.ctx, "alias/x", k.ID), kms.NotFoundException, "Alias "+arn+" is not found.")
	_, err = f.b.DescribeKey(f.ctx, k.ID)
	require.NoError(f, err, "the key stays")
}

func aliasMoves(f *fixture) {
	a, b := f.key(), f.key()
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/x", a.ID))
	blob := f.encrypt("alias/x", nil, "old")
	require.NoError(f, f.b.UpdateAlias(f.ctx, "alias/x", b.ID))
	m, err := f.b.DescribeKey(f.ctx, "alias/x")
	require.NoError(f, err)
	require.Equal(f, b.ARN, m.ARN)
	require.Equal(f, "old", f.decrypt(nil, blob), "stored data keeps its key")
	page, err := f.b.ListAliases(f.ctx, b.ID, "", 10)
	require.NoError(f, err)
	require.Len(f, page.Aliases, 1)
	require.False(f, page.Aliases[0].Updated.Before(page.Aliases[0].Created))
}

func aliasNames(f *fixture) {
	k := f.key()
	const noPrefix = `Alias must start with the prefix "alias/". Please see ` +
		"https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
	for _, name := range []string{"x", "", "Alias/x", "alias/"} {
		f.refused(f.b.CreateAlias(f.ctx, name, k.ID), kms.ValidationException, noPrefix)
	}
	for _, name := range []string{"alias/a b", "alias/ü", "alias/a\n", "alias/" + strings.Repeat("x", 251)} {
		err := f.b.CreateAlias(f.ctx, name, k.ID)
		require.Error(f, err, name)
		require.ErrorIs(f, err, kms.ValidationException, name)
	}
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/"+strings.Repeat("x", 250), k.ID))
	for _, name := range []string{"alias/aws/s3", "alias/aws/mine"} {
		for what, err := range map[string]error{
			"create": f.b.CreateAlias(f.ctx, name, k.ID),
			"update": f.b.UpdateAlias(f.ctx, name, k.ID),
			"delete": f.b.DeleteAlias(f.ctx, name),
		} {
			require.Error(f, err, what)
			require.ErrorIs(f, err, kms.NotAuthorizedException, what)
		}
	}
}

func aliasOfPendingKey(f *fixture) {
	pending, good := f.key(), f.key()
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/x", pending.ID))
	_, err := f.b.ScheduleKeyDeletion(f.ctx, pending.ID, 7)
	require.NoError(f, err)
	f.refused(f.b.CreateAlias(f.ctx, "alias/y", pending.ID), kms.KMSInvalidStateException, pending.ARN+" is pending deletion.")
	require.NoError(f, f.b.UpdateAlias(f.ctx, "alias/x", good.ID), "away from a pending key is allowed")
	f.refused(f.b.UpdateAlias(f.ctx, "alias/x", pending.ID), kms.KMSInvalidStateException, pending.ARN+" is pending deletion.")
	require.NoError(f, f.b.DeleteAlias(f.ctx, "alias/x"))
}

func listAliases(f *fixture) {
	a, b := f.key(), f.key()
	for _, name := range []string{"alias/d", "alias/b", "alias/a"} {
		require.NoError(f, f.b.CreateAlias(f.ctx, name, a.ID))
	}
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/c", b.ID))
	names, after := []string{}, ""
	for {
		page, err := f.b.ListAliases(f.ctx, "", after, 3)
		require.NoError(f, err)
		for _, x := range page.Aliases {
			names = append(names, x.Name)
			require.Equal(f, f.aliasARN(a, x.Name), x.ARN)
		}
		if page.Next == "" {
			break
		}
		after = page.Next
	}
	require.Equal(f, []string{"alias/a", "alias/b", "alias/c", "alias/d"}, names)
	page, err := f.b.ListAliases(f.ctx, b.ARN, "", 100)
	require.NoError(f, err)
	require.Len(f, page.Aliases, 1)
	require.Equal(f, b.ID, page.Aliases[0].TargetKeyID)
	_, err = f.b.ListAliases(f.ctx, "alias/none", "", 100)
	require.ErrorIs(f, err, kms.NotFoundException)
}
