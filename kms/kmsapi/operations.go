package kmsapi

import (
	"context"
	"strings"

	"kmsfs/kms"
)

// operations is every operation of AWS KMS by its name there. To add one, write its request, its answer and its function, and
// move its name from the list of those that are missing.
func operations() map[string]operation {
	ops := map[string]operation{
		"CancelKeyDeletion":               serveJSON(cancelKeyDeletion),
		"CreateAlias":                     serveJSON(createAlias),
		"CreateKey":                       serveJSON(createKey),
		"Decrypt":                         serveJSON(decrypt),
		"DeleteAlias":                     serveJSON(deleteAlias),
		"DescribeKey":                     serveJSON(describeKey),
		"DisableKey":                      serveJSON(disableKey),
		"EnableKey":                       serveJSON(enableKey),
		"Encrypt":                         serveJSON(encrypt),
		"GenerateDataKey":                 serveJSON(generateDataKey),
		"GenerateDataKeyWithoutPlaintext": serveJSON(generateDataKeyWithoutPlaintext),
		"GenerateRandom":                  serveJSON(generateRandom),
		"GetKeyRotationStatus":            serveJSON(getKeyRotationStatus),
		"ListAliases":                     serveJSON(listAliases),
		"ListKeyRotations":                serveJSON(listKeyRotations),
		"ListKeys":                        serveJSON(listKeys),
		"ReEncrypt":                       serveJSON(reEncrypt),
		"RotateKeyOnDemand":               serveJSON(rotateKeyOnDemand),
		"ScheduleKeyDeletion":             serveJSON(scheduleKeyDeletion),
		"UpdateAlias":                     serveJSON(updateAlias),
		"UpdateKeyDescription":            serveJSON(updateKeyDescription),
	}
	for _, name := range missing() {
		ops[name] = func(context.Context, *kms.Service, []byte) (any, error) {
			return nil, unsupported("The operation " + name)
		}
	}
	return ops
}

// missing lists the operations of AWS KMS that the service does not have.
func missing() []string {
	return strings.Fields("ConnectCustomKeyStore CreateCustomKeyStore CreateGrant Decapsulate DeleteCustomKeyStore DeleteImportedKeyMaterial " +
		"DeriveSharedSecret DescribeCustomKeyStores DisableKeyRotation DisconnectCustomKeyStore EnableKeyRotation Encapsulate GenerateDataKeyPair " +
		"GenerateDataKeyPairWithoutPlaintext GenerateMac GetKeyLastUsage GetKeyPolicy GetParametersForImport GetPublicKey " +
		"ImportKeyMaterial ListGrants ListKeyPolicies ListResourceTags ListRetirableGrants PutKeyPolicy ReplicateKey RetireGrant " +
		"RevokeGrant Sign TagResource UntagResource UpdateCustomKeyStore UpdatePrimaryRegion Verify VerifyMac")
}
