package kms_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

const testARN = "arn:aws:kms:us-east-1:000000000000:key/134f2428-cec1-4b25-a1ae-9048164dba47"

// TestStateTable is AWS's table of key states, written once more in the numbers of its footnotes.
func TestStateTable(t *testing.T) {
	states := []kms.KeyState{
		kms.StateEnabled, kms.StateDisabled, kms.StatePendingDeletion, kms.StatePendingImport, kms.StateCreating, kms.StateUpdating,
		kms.StateUnavailable, kms.StatePendingReplicaDeletion,
	}
	footnotes := map[string]struct {
		code kms.Code
		text string
	}{
		"1":  {kms.DisabledException, " is disabled."},
		"3":  {kms.KMSInvalidStateException, " is pending deletion."},
		"4":  {kms.KMSInvalidStateException, " is not pending deletion."},
		"5":  {kms.KMSInvalidStateException, " is pending import."},
		"6":  {kms.UnsupportedOperationException, " origin is EXTERNAL which is not valid for this operation."},
		"14": {kms.KMSInvalidStateException, " is creating."},
		"15": {kms.KMSInvalidStateException, " is updating."},
		"U":  {kms.KMSInvalidStateException, " is unavailable."},
	}
	for _, row := range []struct {
		ops   string
		cells string
	}{
		{"Encrypt Decrypt ReEncrypt GenerateDataKey GenerateDataKeyWithoutPlaintext", "Y 1 3 5 14 Y U 3"},
		{"Sign Verify GenerateMac VerifyMac GetPublicKey CreateGrant", "Y 1 3 5 14 Y U 3"},
		{"DescribeKey ListKeys ListAliases DeleteAlias ListKeyRotations", "Y Y Y Y Y Y Y Y"},
		{"RetireGrant RevokeGrant ListGrants ListRetirableGrants GetKeyPolicy PutKeyPolicy ListKeyPolicies ListResourceTags", "Y Y Y Y Y Y Y Y"},
		{"CreateAlias UpdateAlias UpdateKeyDescription TagResource UntagResource", "Y Y 3 Y Y Y Y 3"},
		{"EnableKey DisableKey", "Y Y 3 5 14 15 Y 3"},
		{"ScheduleKeyDeletion", "Y Y 3 Y Y 15 Y 3"},
		{"CancelKeyDeletion", "4 4 Y 4 4 4 4 Y"},
		{"RotateKeyOnDemand EnableKeyRotation DisableKeyRotation", "Y 1 3 6 14 Y U 3"},
		{"GetKeyRotationStatus", "Y Y Y 6 Y Y Y Y"},
		{"GetParametersForImport ImportKeyMaterial DeleteImportedKeyMaterial", "Y Y 3 Y 14 15 Y 3"},
	} {
		cells := strings.Fields(row.cells)
		require.Len(t, cells, len(states))
		for _, op := range strings.Fields(row.ops) {
			for i, state := range states {
				err := kms.CheckState(kms.Operation(op), kms.KeyMetadata{ARN: testARN, State: state})
				if cells[i] == "Y" {
					require.NoError(t, err, "%s %s", op, state)
					continue
				}
				var e *kms.Error
				require.Error(t, err, "%s %s", op, state)
				require.True(t, errors.As(err, &e))
				want := footnotes[cells[i]]
				require.Equal(t, kms.Error{Code: want.code, Message: testARN + want.text, State: state}, *e, "%s %s", op, state)
			}
		}
	}
}

func TestCheckUse(t *testing.T) {
	m := kms.KeyMetadata{ARN: testARN, State: kms.StateDisabled, Usage: kms.UsageEncryptDecrypt, Spec: kms.SpecSymmetricDefault}
	require.EqualError(t, kms.CheckUse(kms.OpEncrypt, m), "DisabledException: "+testARN+" is disabled.")
	m.State = kms.StateEnabled
	require.NoError(t, kms.CheckUse(kms.OpEncrypt, m))
	m.Spec = "RSA_4096"
	require.EqualError(t, kms.CheckUse(kms.OpEncrypt, m), "InvalidKeyUsageException: Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_4096.")
	m.Usage = "SIGN_VERIFY"
	require.EqualError(t, kms.CheckUse(kms.OpGenerateDataKey, m),
		"InvalidKeyUsageException: "+testARN+" key usage is SIGN_VERIFY which is not valid for GenerateDataKey.")
}

func TestParseKeyID(t *testing.T) {
	n := kms.NewNamer("", "")
	for id, want := range map[string]kms.KeyRef{
		"134f2428-cec1-4b25-a1ae-9048164dba47": {ID: "134f2428-cec1-4b25-a1ae-9048164dba47"},
		testARN:                                {ID: "134f2428-cec1-4b25-a1ae-9048164dba47"},
		"alias/a/b":                            {Alias: "alias/a/b"},
		"arn:aws:kms:us-east-1:000000000000:alias/a/b": {Alias: "alias/a/b"},
		"mrk-0123456789abcdef0123456789abcdef":         {ID: "mrk-0123456789abcdef0123456789abcdef"},
	} {
		got, err := n.Parse(id)
		require.NoError(t, err, id)
		require.Equal(t, want, got)
	}
	for id, message := range map[string]string{
		"":                                     "Invalid keyId ''",
		"fake-key-id":                          "Invalid keyId 'fake-key-id'",
		"134f2428cec14b25a1ae9048164dba47":     "Invalid keyId '134f2428cec14b25a1ae9048164dba47'",
		"134f2428-cec1-4b25-a1ae-9048164dba4g": "Invalid keyId '134f2428-cec1-4b25-a1ae-9048164dba4g'",
		"arn:aws:s3:::bucket":                  "Invalid keyId 'arn:aws:s3:::bucket'",
		"arn:aws:kms:us-east-1:000000000000:key/x":   "Invalid keyId 'arn:aws:kms:us-east-1:000000000000:key/x'",
		"arn:aws:kms:us-east-1:000000000000:grant/x": "Invalid keyId 'arn:aws:kms:us-east-1:000000000000:grant/x'",
		"arn:aws:kms:us-west-2:000000000000:alias/x": "Invalid arn us-west-2",
		"arn:aws:kms:us-east-1:111111111111:alias/x": "Alias arn:aws:kms:us-east-1:111111111111:alias/x is not found.",
	} {
		_, err := n.Parse(id)
		require.Error(t, err, id)
		require.EqualError(t, err, "NotFoundException: "+message)
	}
}
