package kmstest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/policy"
)

// Run checks every sentence of kms.Backend's comments. newBackend returns an empty Backend, and arranges for its end with
// t.Cleanup.
func Run(t *testing.T, newBackend func(t *testing.T) kms.Backend) { run(t, newBackend, false) }

// RunRemote is Run for a Backend over a key service that decides by itself who may do what, as AWS does: it refuses an encryption
// context that has a pair without a name, uses the managed key for S3 only, and lists grants for their own retiring principal only.
func RunRemote(t *testing.T, newBackend func(t *testing.T) kms.Backend) { run(t, newBackend, true) }

func run(t *testing.T, newBackend func(t *testing.T) kms.Backend, remote bool) {
	cases := []struct {
		name string
		run  func(*fixture)
	}{
		{"KeyIDForms", keyIDForms},
		{"KeyIDRefused", keyIDRefused},
		{"CancelledContext", cancelledContext},
		{"ReturnedSlicesBelongToTheCaller", ownership},

		{"GenerateDataKey", generateDataKey},
		{"GenerateDataKeyWithoutPlaintext", generateWithoutPlaintext},
		{"EncryptNeverTwiceTheSame", encryptDiffers},
		{"EncryptSizes", encryptSizes},
		{"DecryptNeedsTheContext", decryptContext},
		{"DecryptRefusesAlteredBlobs", decryptAltered},
		{"DecryptRefusesForeignBlobs", decryptForeign},
		{"DecryptKeyID", decryptKeyID},
		{"ReEncrypt", reEncrypt},
		{"ReEncryptRefusals", reEncryptRefusals},

		{"CreateKey", createKey},
		{"DescribeManagedKey", managedKey},
		{"ManagedKeyIsMadeOnce", managedOnce},
		{"ManagedKeyCannotBeChanged", managedUnchangeable},
		{"ListKeys", listKeys},
		{"UpdateKeyDescription", updateDescription},
		{"DisableActsAtOnce", disable},
		{"DisableUnderLoad", disableUnderLoad},
		{"Deletion", deletion},
		{"StateTable", stateTable},
		{"Rotation", rotation},
		{"RotationLimit", rotationLimit},

		{"Alias", aliasLife},
		{"AliasMoves", aliasMoves},
		{"AliasNames", aliasNames},
		{"AliasOfPendingKey", aliasOfPendingKey},
		{"ListAliases", listAliases},

		{"Access", access},
		{"KeyPolicy", keyPolicy},
		{"Grants", grantLife},
		{"ListGrants", listGrants},
		{"Tags", tags},
		{"AutomaticRotation", automaticRotation},
		{"NotRotatable", notRotatable},
		{"MultiRegion", multiRegion},
		{"Import", importMaterial},
		{"ImportRefusals", importRefusals},
		{"Signing", signing},
		{"Macs", macs},
		{"RSAEncryption", rsaEncryption},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.run(&fixture{T: t, ctx: context.Background(), b: newBackend(t), remote: remote})
		})
	}
}

// fixture is one case's backend with shorthands that fail the test.
type fixture struct {
	*testing.T
	ctx    context.Context
	b      kms.Backend
	remote bool // see RunRemote
}

func (f *fixture) key() kms.KeyMetadata {
	f.Helper()
	m, err := f.b.CreateKey(f.ctx, kms.CreateKeyInput{})
	require.NoError(f, err)
	return m
}

func (f *fixture) encrypt(keyID string, c kms.Context, plaintext string) []byte {
	f.Helper()
	out, err := f.b.Encrypt(f.ctx, kms.EncryptInput{KeyID: keyID, Context: c, Plaintext: []byte(plaintext)})
	require.NoError(f, err)
	return out.Blob
}

func (f *fixture) decrypt(c kms.Context, blob []byte) string {
	f.Helper()
	out, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Context: c, Blob: blob})
	require.NoError(f, err)
	return string(out.Bytes)
}

// refused asserts the code and the exact message.
func (f *fixture) refused(err error, code kms.Code, message string) {
	f.Helper()
	require.Error(f, err)
	require.ErrorIs(f, err, code)
	var e *kms.Error
	require.True(f, errors.As(err, &e), "a kms.Error is in %v", err)
	require.Equal(f, message, e.Message)
}

// uses are all cryptographic operations on one key; blob was made by it without a context.
func (f *fixture) uses(keyID string, blob []byte) map[kms.Operation]func(context.Context) error {
	return map[kms.Operation]func(context.Context) error{
		kms.OpGenerateDataKey: func(ctx context.Context) error {
			_, err := f.b.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: keyID, Bytes: 32})
			return err
		},
		kms.OpGenerateWithoutPlaintext: func(ctx context.Context) error {
			_, err := f.b.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: keyID, Bytes: 32, WithoutPlaintext: true})
			return err
		},
		kms.OpEncrypt: func(ctx context.Context) error {
			_, err := f.b.Encrypt(ctx, kms.EncryptInput{KeyID: keyID, Plaintext: []byte("x")})
			return err
		},
		kms.OpDecrypt: func(ctx context.Context) error {
			_, err := f.b.Decrypt(ctx, kms.DecryptInput{KeyID: keyID, Blob: blob})
			return err
		},
		kms.OpReEncrypt: func(ctx context.Context) error {
			_, err := f.b.ReEncrypt(ctx, kms.ReEncryptInput{KeyID: keyID, Blob: blob})
			return err
		},
	}
}

// changes are the operations of administration on one key, each of which succeeds on an enabled key but for CancelKeyDeletion.
func (f *fixture) changes(keyID string) map[kms.Operation]func(context.Context) error {
	return map[kms.Operation]func(context.Context) error{
		kms.OpDescribeKey: func(ctx context.Context) error {
			_, err := f.b.DescribeKey(ctx, keyID)
			return err
		},
		kms.OpEnableKey:  func(ctx context.Context) error { return f.b.EnableKey(ctx, keyID) },
		kms.OpDisableKey: func(ctx context.Context) error { return f.b.DisableKey(ctx, keyID) },
		kms.OpUpdateKeyDescription: func(ctx context.Context) error {
			return f.b.UpdateKeyDescription(ctx, keyID, "new")
		},
		kms.OpScheduleKeyDeletion: func(ctx context.Context) error {
			_, err := f.b.ScheduleKeyDeletion(ctx, keyID, 7)
			return err
		},
		kms.OpCancelKeyDeletion: func(ctx context.Context) error {
			_, err := f.b.CancelKeyDeletion(ctx, keyID)
			return err
		},
		kms.OpRotateKeyOnDemand: func(ctx context.Context) error {
			_, err := f.b.RotateKeyOnDemand(ctx, keyID)
			return err
		},
		kms.OpCreateAlias: func(ctx context.Context) error { return f.b.CreateAlias(ctx, "alias/new", keyID) },
		kms.OpListKeyRotations: func(ctx context.Context) error {
			_, err := f.b.ListKeyRotations(ctx, keyID)
			return err
		},
		kms.OpEnableKeyRotation:  func(ctx context.Context) error { return f.b.EnableKeyRotation(ctx, keyID, 90) },
		kms.OpDisableKeyRotation: func(ctx context.Context) error { return f.b.DisableKeyRotation(ctx, keyID) },
		kms.OpGetKeyRotationStatus: func(ctx context.Context) error {
			_, err := f.b.GetKeyRotationStatus(ctx, keyID)
			return err
		},
		kms.OpGetKeyPolicy: func(ctx context.Context) error {
			_, err := f.b.GetKeyPolicy(ctx, keyID)
			return err
		},
		kms.OpPutKeyPolicy: func(ctx context.Context) error {
			return f.b.PutKeyPolicy(ctx, keyID, policy.Default("000000000000"))
		},
		kms.OpTagResource:   func(ctx context.Context) error { return f.b.TagResource(ctx, keyID, []kms.Tag{{Key: "new"}}) },
		kms.OpUntagResource: func(ctx context.Context) error { return f.b.UntagResource(ctx, keyID, []string{"new"}) },
		kms.OpListResourceTags: func(ctx context.Context) error {
			_, err := f.b.ListResourceTags(ctx, keyID, "", 10)
			return err
		},
		kms.OpListGrants: func(ctx context.Context) error {
			_, err := f.b.ListGrants(ctx, kms.GrantFilter{KeyID: keyID}, "", 10)
			return err
		},
		kms.OpCreateGrant: func(ctx context.Context) error {
			_, err := f.b.CreateGrant(ctx, kms.Grant{KeyARN: keyID, Grantee: kms.UserPrincipal("000000000000", "x"), Operations: []kms.Operation{kms.OpDecrypt}})
			return err
		},
	}
}

func keyIDForms(f *fixture) {
	k := f.key()
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/team/hr_1", k.ID))
	aliasARN := strings.TrimSuffix(k.ARN, "key/"+k.ID) + "alias/team/hr_1"
	for _, id := range []string{k.ID, k.ARN, "alias/team/hr_1", aliasARN} {
		m, err := f.b.DescribeKey(f.ctx, id)
		require.NoError(f, err)
		require.Equal(f, k.ARN, m.ARN)
		for op, use := range f.uses(id, f.encrypt(id, nil, "x")) {
			require.NoError(f, use(f.ctx), "%s %s", op, id)
		}
	}
}

func keyIDRefused(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "x")
	const missing = "134f2428-cec1-4b25-a1ae-9048164dba47"
	prefix := strings.TrimSuffix(k.ARN, "key/"+k.ID)
	region := strings.Split(k.ARN, ":")[3]
	for id, message := range map[string]string{
		"fake-key-id":                     "Invalid keyId 'fake-key-id'",
		"aws/s3":                          "Invalid keyId 'aws/s3'",
		strings.ReplaceAll(k.ID, "-", ""): "Invalid keyId '" + strings.ReplaceAll(k.ID, "-", "") + "'",
		"mrk-junk":                        "Invalid keyId 'mrk-junk'",
		missing:                           "Key '" + prefix + "key/" + missing + "' does not exist",
		prefix + "key/" + missing:         "Key '" + prefix + "key/" + missing + "' does not exist",
		strings.Replace(k.ARN, region, "mars-north-9", 1): "Invalid arn mars-north-9",
		"alias/none":          "Alias " + prefix + "alias/none is not found.",
		prefix + "alias/none": "Alias " + prefix + "alias/none is not found.",
	} {
		for op, use := range f.uses(id, blob) {
			f.Logf("%s %s", op, id)
			f.refused(use(f.ctx), kms.NotFoundException, message)
		}
		for op, change := range f.changes(id) {
			f.Logf("%s %s", op, id)
			f.refused(change(f.ctx), kms.NotFoundException, message)
		}
	}
}

func cancelledContext(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "x")
	require.NoError(f, f.b.CreateAlias(f.ctx, "alias/x", k.ID))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	for op, use := range f.uses(k.ID, blob) {
		require.ErrorIs(f, use(ctx), context.Canceled, op)
	}
	for op, change := range f.changes(k.ID) {
		require.ErrorIs(f, change(ctx), context.Canceled, op)
	}
	_, err := f.b.CreateKey(ctx, kms.CreateKeyInput{})
	require.ErrorIs(f, err, context.Canceled)
	require.ErrorIs(f, f.b.DeleteAlias(ctx, "alias/x"), context.Canceled)
	require.ErrorIs(f, f.b.UpdateAlias(ctx, "alias/x", k.ID), context.Canceled)

	after, err := f.b.DescribeKey(f.ctx, "alias/x")
	require.NoError(f, err)
	require.Equal(f, k, after, "nothing has happened")
	page, err := f.b.ListKeys(f.ctx, "", 10)
	require.NoError(f, err)
	require.Len(f, page.Keys, 1)
}

func ownership(f *fixture) {
	k := f.key()
	plaintext := []byte("secret")
	c, err := f.b.Encrypt(f.ctx, kms.EncryptInput{KeyID: k.ID, Plaintext: plaintext})
	require.NoError(f, err)
	clear(plaintext)
	p, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: c.Blob})
	require.NoError(f, err)
	require.Equal(f, "secret", string(p.Bytes))
	kms.Wipe(p.Bytes)
	require.Equal(f, "secret", f.decrypt(nil, c.Blob))
}
