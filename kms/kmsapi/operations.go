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
		"CancelKeyDeletion":                   serveJSON(cancelKeyDeletion),
		"CreateAlias":                         serveJSON(createAlias),
		"CreateGrant":                         serveJSON(createGrant),
		"CreateKey":                           serveJSON(createKey),
		"Decrypt":                             serveJSON(decrypt),
		"DeleteAlias":                         serveJSON(deleteAlias),
		"DeleteImportedKeyMaterial":           serveJSON(deleteImportedKeyMaterial),
		"DescribeKey":                         serveJSON(describeKey),
		"DisableKey":                          serveJSON(disableKey),
		"DisableKeyRotation":                  serveJSON(disableKeyRotation),
		"EnableKey":                           serveJSON(enableKey),
		"EnableKeyRotation":                   serveJSON(enableKeyRotation),
		"Encrypt":                             serveJSON(encrypt),
		"GenerateDataKey":                     serveJSON(generateDataKey),
		"GenerateDataKeyWithoutPlaintext":     serveJSON(generateDataKeyWithoutPlaintext),
		"GenerateDataKeyPair":                 serveJSON(generateDataKeyPair),
		"GenerateDataKeyPairWithoutPlaintext": serveJSON(generateDataKeyPairWithoutPlaintext),
		"GenerateMac":                         serveJSON(generateMac),
		"GenerateRandom":                      serveJSON(generateRandom),
		"GetKeyLastUsage":                     serveJSON(getKeyLastUsage),
		"GetKeyPolicy":                        serveJSON(getKeyPolicy),
		"GetKeyRotationStatus":                serveJSON(getKeyRotationStatus),
		"GetParametersForImport":              serveJSON(getParametersForImport),
		"GetPublicKey":                        serveJSON(getPublicKey),
		"ImportKeyMaterial":                   serveJSON(importKeyMaterial),
		"ListAliases":                         serveJSON(listAliases),
		"ListGrants":                          serveJSON(listGrants),
		"ListKeyPolicies":                     serveJSON(listKeyPolicies),
		"ListKeyRotations":                    serveJSON(listKeyRotations),
		"ListKeys":                            serveJSON(listKeys),
		"ListResourceTags":                    serveJSON(listResourceTags),
		"ListRetirableGrants":                 serveJSON(listRetirableGrants),
		"PutKeyPolicy":                        serveJSON(putKeyPolicy),
		"ReEncrypt":                           serveJSON(reEncrypt),
		"ReplicateKey":                        serveJSON(replicateKey),
		"RetireGrant":                         serveJSON(retireGrant),
		"RevokeGrant":                         serveJSON(revokeGrant),
		"RotateKeyOnDemand":                   serveJSON(rotateKeyOnDemand),
		"ScheduleKeyDeletion":                 serveJSON(scheduleKeyDeletion),
		"Sign":                                serveJSON(sign),
		"TagResource":                         serveJSON(tagResource),
		"UntagResource":                       serveJSON(untagResource),
		"UpdateAlias":                         serveJSON(updateAlias),
		"UpdatePrimaryRegion":                 serveJSON(updatePrimaryRegion),
		"UpdateKeyDescription":                serveJSON(updateKeyDescription),
		"Verify":                              serveJSON(verify),
		"VerifyMac":                           serveJSON(verifyMac),
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
	return strings.Fields("ConnectCustomKeyStore CreateCustomKeyStore Decapsulate DeleteCustomKeyStore DeriveSharedSecret " +
		"DescribeCustomKeyStores DisconnectCustomKeyStore Encapsulate UpdateCustomKeyStore")
}
