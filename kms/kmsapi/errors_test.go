package kmsapi_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmstest"
)

const (
	unknownID  = "11111111-2222-4333-8444-555555555555"
	regionARN  = "arn:aws:kms:us-east-1:000000000000:"
	incorrect  = "The key ID in the request does not identify a CMK that can perform this operation."
	oneError   = "1 validation error detected: "
	enumFailed = "failed to satisfy constraint: Member must satisfy enum value set: "
)

// fixture is a door with a key in every state that matters.
type fixture struct {
	*door
	arn, id, other, disabled, pending, managed string
	external, signing, rsa, locked, replicated string
	blob, foreign                              string // ciphertext blobs under arn and under a key of another store; context {"a":"1"}
}

func newFixture(t *testing.T) *fixture {
	d := newDoor(t)
	f := &fixture{door: d}
	f.id, f.arn = d.key()
	_, f.other = d.key()
	_, f.disabled = d.key()
	_, f.pending = d.key()
	d.call("CreateAlias", `{"AliasName":"alias/x","TargetKeyId":"`+f.id+`"}`)
	d.call("DisableKey", `{"KeyId":"`+f.disabled+`"}`)
	d.call("ScheduleKeyDeletion", `{"KeyId":"`+f.pending+`","PendingWindowInDays":7}`)
	f.managed = d.call("DescribeKey", `{"KeyId":"alias/aws/s3"}`)["KeyMetadata"].(map[string]any)["Arn"].(string)
	f.external, f.signing = d.keyAs(`{"Origin":"EXTERNAL"}`), d.keyAs(`{"KeySpec":"ECC_NIST_P256","KeyUsage":"SIGN_VERIFY"}`)
	f.rsa, f.replicated = d.keyAs(`{"KeySpec":"RSA_2048","KeyUsage":"ENCRYPT_DECRYPT"}`), d.keyAs(`{"MultiRegion":true}`)
	f.locked = d.keyAs(`{"BypassPolicyLockoutSafetyCheck":true,"Policy":"{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",` +
		`\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/bob\"},\"Action\":\"kms:*\",\"Resource\":\"*\"}]}"}`)
	f.blob = d.call("Encrypt", `{"KeyId":"`+f.arn+`","Plaintext":"eA==","EncryptionContext":{"a":"1"}}`)["CiphertextBlob"].(string)
	far := newDoor(t)
	_, arn := far.key()
	f.foreign = far.call("Encrypt", `{"KeyId":"`+arn+`","Plaintext":"eA==","EncryptionContext":{"a":"1"}}`)["CiphertextBlob"].(string)
	return f
}

// fill replaces $names in a table's text.
func (f *fixture) fill(s string) string {
	return strings.NewReplacer("$ARN", f.arn, "$ID", f.id, "$OTHER", f.other, "$DISABLED", f.disabled, "$PENDING", f.pending,
		"$EXTERNAL", f.external, "$SIGNING", f.signing, "$RSA", f.rsa, "$LOCKED", f.locked, "$REPLICATED", f.replicated,
		"$MANAGED", f.managed, "$BLOB", f.blob, "$FOREIGN", f.foreign).Replace(s)
}

// TestErrors is AWS's messages, from the wire. A row is: operation, request, exception, text.
func TestErrors(t *testing.T) {
	f := newFixture(t)
	tampered, err := base64.StdEncoding.DecodeString(f.blob)
	require.NoError(t, err)
	tampered[len(tampered)-1] ^= 1
	f.blobRow(t, base64.StdEncoding.EncodeToString(tampered))
	for _, row := range errorRows() {
		t.Run(row[0]+" "+row[2]+" "+row[1][:min(len(row[1]), 60)], func(t *testing.T) {
			key := "message"
			if row[2] == "AccessDeniedException" || row[2] == "UnsupportedOperationException" {
				key = "Message"
			}
			f.t = t
			f.refused(f.request(row[0], f.fill(row[1])), 400, row[2], key, f.fill(row[3]))
		})
	}
}

func (f *fixture) blobRow(t *testing.T, tampered string) {
	f.t = t
	f.refused(f.request("Decrypt", `{"CiphertextBlob":"`+tampered+`","EncryptionContext":{"a":"1"}}`), 400, "InvalidCiphertextException", "message", "")
}

func errorRows() [][4]string {
	const use = `,"Plaintext":"eA=="}`
	notFound, invalid := "NotFoundException", "ValidationException"
	rows := [][4]string{
		// identity of keys
		{"Encrypt", `{"KeyId":"fake-key-id"` + use, notFound, "Invalid keyId 'fake-key-id'"},
		{"DescribeKey", `{"KeyId":"11111111222243338444555555555555"}`, notFound, "Invalid keyId '11111111222243338444555555555555'"},
		{"DescribeKey", `{"KeyId":"mrk-junk"}`, notFound, "Invalid keyId 'mrk-junk'"},
		{"DescribeKey", `{"KeyId":"` + unknownID + `"}`, notFound, "Key '" + regionARN + "key/" + unknownID + "' does not exist"},
		{"DescribeKey", `{"KeyId":"` + regionARN + `key/` + unknownID + `"}`, notFound, "Key '" + regionARN + "key/" + unknownID + "' does not exist"},
		{"DescribeKey", `{"KeyId":"arn:aws:kms:eu-west-1:000000000000:key/` + unknownID + `"}`, notFound, "Invalid arn eu-west-1"},
		{"DescribeKey", `{"KeyId":"alias/none"}`, notFound, "Alias " + regionARN + "alias/none is not found."},
		{"UpdateAlias", `{"AliasName":"alias/none","TargetKeyId":"$ID"}`, notFound, "Alias " + regionARN + "alias/none is not found."},
		{"DeleteAlias", `{"AliasName":"alias/none"}`, notFound, "Alias " + regionARN + "alias/none is not found."},
		// aliases
		{"CreateAlias", `{"AliasName":"x","TargetKeyId":"$ID"}`, invalid, `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
		{"CreateAlias", `{"AliasName":"alias/x","TargetKeyId":"$ID"}`, "AlreadyExistsException", "An alias with the name " + regionARN + "alias/x already exists"},
		{"CreateAlias", `{"AliasName":"alias/a b","TargetKeyId":"$ID"}`, invalid, oneError + "Value 'alias/a b' at 'aliasName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"},
		// states
		{"Encrypt", `{"KeyId":"$DISABLED"` + use, "DisabledException", "$DISABLED is disabled."},
		{"GenerateDataKey", `{"KeyId":"$DISABLED","KeySpec":"AES_256"}`, "DisabledException", "$DISABLED is disabled."},
		{"RotateKeyOnDemand", `{"KeyId":"$DISABLED"}`, "DisabledException", "$DISABLED is disabled."},
		{"Encrypt", `{"KeyId":"$PENDING"` + use, "KMSInvalidStateException", "$PENDING is pending deletion."},
		{"EnableKey", `{"KeyId":"$PENDING"}`, "KMSInvalidStateException", "$PENDING is pending deletion."},
		{"ScheduleKeyDeletion", `{"KeyId":"$PENDING"}`, "KMSInvalidStateException", "$PENDING is pending deletion."},
		{"CreateAlias", `{"AliasName":"alias/y","TargetKeyId":"$PENDING"}`, "KMSInvalidStateException", "$PENDING is pending deletion."},
		{"CancelKeyDeletion", `{"KeyId":"$ARN"}`, "KMSInvalidStateException", "$ARN is not pending deletion."},
		// ciphertext
		{"Decrypt", `{"CiphertextBlob":"$BLOB","EncryptionContext":{"a":"1"},"KeyId":"$OTHER"}`, "IncorrectKeyException", incorrect},
		{"ReEncrypt", `{"CiphertextBlob":"$BLOB","SourceEncryptionContext":{"a":"1"},"SourceKeyId":"$OTHER","DestinationKeyId":"$ID"}`, "IncorrectKeyException", incorrect},
		{"Decrypt", `{"CiphertextBlob":"$BLOB"}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"CiphertextBlob":"$BLOB","EncryptionContext":{"a":"2"}}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"CiphertextBlob":"$BLOB","EncryptionContext":{"A":"1"}}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"CiphertextBlob":"$BLOB","EncryptionContext":{"a":"1","b":"2"}}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"CiphertextBlob":"eA=="}`, "InvalidCiphertextException", ""},
		{"ReEncrypt", `{"CiphertextBlob":"$BLOB","DestinationKeyId":"$ID"}`, "InvalidCiphertextException", ""},
		{"Decrypt", `{"CiphertextBlob":"$FOREIGN","EncryptionContext":{"a":"1"}}`, "AccessDeniedException", "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access."},
		{"Encrypt", `{"KeyId":"$ID","EncryptionAlgorithm":"RSAES_OAEP_SHA_256"` + use, "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT."},
		// validation
		{"Encrypt", `{}`, invalid, "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value null at 'plaintext' failed to satisfy constraint: Member must not be null"},
		{"Encrypt", ``, invalid, "2 validation errors detected: Value null at 'keyId' failed to satisfy constraint: Member must not be null; Value null at 'plaintext' failed to satisfy constraint: Member must not be null"},
		{"DescribeKey", `{"KeyId":null}`, invalid, oneError + "Value null at 'keyId' failed to satisfy constraint: Member must not be null"},
		{"DescribeKey", `{"KeyId":""}`, invalid, oneError + "Value at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"Encrypt", `{"KeyId":"$ID","Plaintext":""}`, invalid, oneError + "Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"Encrypt", `{"KeyId":"$ID","Plaintext":"` + strings.Repeat("A", 5464) + `"}`, invalid, oneError + "Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096"},
		{"Decrypt", `{"CiphertextBlob":"` + strings.Repeat("A", 8196) + `"}`, invalid, oneError + "Value at 'ciphertextBlob' failed to satisfy constraint: Member must have length less than or equal to 6144"},
		{"GenerateDataKey", `{"KeyId":"$ID"}`, invalid, "Please specify either number of bytes or key spec."},
		{"GenerateDataKey", `{"KeyId":"$ID","KeySpec":"AES_256","NumberOfBytes":32}`, invalid, "Please specify either number of bytes or key spec."},
		{"GenerateDataKey", `{"KeyId":"$ID","NumberOfBytes":1025}`, invalid, oneError + "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		{"GenerateDataKey", `{"KeyId":"$ID","NumberOfBytes":0}`, invalid, oneError + "Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"GenerateDataKey", `{"KeyId":"$ID","KeySpec":"AES_512"}`, invalid, oneError + "Value 'AES_512' at 'keySpec' " + enumFailed + "[AES_256, AES_128]"},
		{"GenerateRandom", `{"NumberOfBytes":1025}`, invalid, oneError + "Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		{"GenerateRandom", `{}`, invalid, oneError + "Value null at 'numberOfBytes' failed to satisfy constraint: Member must not be null"},
		{"ListKeys", `{"Limit":0}`, invalid, oneError + "Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"ListKeys", `{"Limit":1001}`, invalid, oneError + "Value '1001' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000"},
		{"ListAliases", `{"Limit":101}`, invalid, oneError + "Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"ScheduleKeyDeletion", `{"KeyId":"$ID","PendingWindowInDays":366}`, invalid, oneError + "Value '366' at 'pendingWindowInDays' failed to satisfy constraint: Member must have value less than or equal to 365"},
		{"CreateKey", `{"KeySpec":"RSA_2048"}`, invalid, "You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys."},
		{"CreateKey", `{"Origin":"MARS"}`, invalid, oneError + "Value 'MARS' at 'origin' " + enumFailed + "[AWS_KMS, EXTERNAL, AWS_CLOUDHSM, EXTERNAL_KEY_STORE]"},
		// the protocol
		{"ListKeys", `{"Marker":"bm90LW91cnM"}`, "InvalidMarkerException", "The marker is not one that this list returned. Begin again without a marker."},
		{"ListAliases", `{"Marker":"%"}`, "InvalidMarkerException", "The marker is not one that this list returned. Begin again without a marker."},
		{"DoWhatIWant", `{}`, "UnknownOperationException", ""},
		{"", `{}`, "UnknownOperationException", ""},
		{"ListKeys", `{`, "SerializationException", "The request body is not valid JSON."},
		{"ListKeys", `[]`, "SerializationException", "Start of structure or map found where not expected."},
		{"ListKeys", `null`, "SerializationException", "Start of structure or map found where not expected."},
		{"ListKeys", `{"Limit":"ten"}`, "SerializationException", "The member Limit has a value of the wrong type: string."},
		{"Decrypt", `{"CiphertextBlob":"not base64!"}`, "SerializationException", "The request body is not valid JSON."},
		{"Encrypt", "{\"KeyId\":\"\xff\"}", "SerializationException", "The request body is not valid UTF-8 text."},
		{"Encrypt", `{"KeyId":"$ID","EncryptionContext":{"a":"\ud800"}` + use, "SerializationException", "The request body is not valid UTF-8 text."},
		{"DeriveSharedSecret", `{}`, "UnsupportedOperationException", "The operation DeriveSharedSecret is not supported by this key service."},
		{"ReplicateKey", `{"KeyId":"$ID","ReplicaRegion":"eu-west-1"}`, "UnsupportedOperationException", "$ARN is not a multi-region primary key."},
		{"UpdatePrimaryRegion", `{"KeyId":"$ID","PrimaryRegion":"eu-west-1"}`, "UnsupportedOperationException", "$ARN is not a multi-region primary key."},
		{"ReplicateKey", `{"KeyId":"$DISABLED","ReplicaRegion":"eu-west-1"}`, "DisabledException", "$DISABLED is disabled."},
		{"ReplicateKey", `{"KeyId":"$REPLICATED","ReplicaRegion":"eu-west-1"}`, "UnsupportedOperationException",
			"$REPLICATED is used as a single-Region key here: the operation ReplicateKey is not supported by this key service."},
		// keys of other kinds
		{"Encrypt", `{"KeyId":"$EXTERNAL"` + use, "KMSInvalidStateException", "$EXTERNAL is pending import."},
		{"RotateKeyOnDemand", `{"KeyId":"$EXTERNAL"}`, "UnsupportedOperationException", "$EXTERNAL origin is EXTERNAL which is not valid for this operation."},
		{"Encrypt", `{"KeyId":"$SIGNING"` + use, "InvalidKeyUsageException", "$SIGNING key usage is SIGN_VERIFY which is not valid for Encrypt."},
		{"GenerateDataKey", `{"KeyId":"$SIGNING","KeySpec":"AES_256"}`, "InvalidKeyUsageException", "$SIGNING key usage is SIGN_VERIFY which is not valid for GenerateDataKey."},
		{"Encrypt", `{"KeyId":"$RSA"` + use, "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048."},
		{"GenerateDataKey", `{"KeyId":"$LOCKED","KeySpec":"AES_256"}`, "AccessDeniedException", "User: arn:aws:iam::000000000000:user/alice is not authorized to perform: " +
			"kms:GenerateDataKey on resource: $LOCKED because no resource-based policy allows the kms:GenerateDataKey action"},
		{"CreateKey", `{"KeySpec":"ECC_SECG_P256K1","KeyUsage":"SIGN_VERIFY"}`, "UnsupportedOperationException",
			"The key spec ECC_SECG_P256K1 is not supported here: no implementation of it is in Go's standard library."},
		{"CreateKey", `{"KeySpec":"SM2","KeyUsage":"SIGN_VERIFY"}`, "UnsupportedOperationException", "The key spec SM2 is not supported here: no implementation of it is in Go's standard library."},
		{"CreateKey", `{"KeySpec":"ML_DSA_65","KeyUsage":"SIGN_VERIFY"}`, "UnsupportedOperationException",
			"The key spec ML_DSA_65 is not supported here: no implementation of it is in Go's standard library."},
		// data key pairs
		{"GenerateDataKeyPair", `{"KeyId":"$ID"}`, invalid, oneError + "Value null at 'keyPairSpec' failed to satisfy constraint: Member must not be null"},
		{"GenerateDataKeyPair", `{"KeyId":"$ID","KeyPairSpec":"RSA_1024"}`, invalid, oneError + "Value 'RSA_1024' at 'keyPairSpec' " + enumFailed +
			"[RSA_2048, RSA_3072, RSA_4096, ECC_NIST_P256, ECC_NIST_P384, ECC_NIST_P521, ECC_SECG_P256K1, SM2, ECC_NIST_EDWARDS25519]"},
		{"GenerateDataKeyPair", `{"KeyId":"$ID","KeyPairSpec":"ECC_SECG_P256K1"}`, "UnsupportedOperationException",
			"The key spec ECC_SECG_P256K1 is not supported here: no implementation of it is in Go's standard library."},
		{"GenerateDataKeyPair", `{"KeyId":"$DISABLED","KeyPairSpec":"ECC_NIST_P256"}`, "DisabledException", "$DISABLED is disabled."},
		{"GenerateDataKeyPairWithoutPlaintext", `{"KeyId":"$SIGNING","KeyPairSpec":"ECC_NIST_P256"}`, "InvalidKeyUsageException",
			"$SIGNING key usage is SIGN_VERIFY which is not valid for GenerateDataKeyPairWithoutPlaintext."},
		{"TagResource", `{"KeyId":"$ID","Tags":[{"TagKey":"a","TagValue":"b"},{"TagKey":"x"}]}`, invalid, oneError + "Value null at 'tags.2.member.tagValue' failed to satisfy constraint: Member must not be null"},
		{"Sign", `{"KeyId":"$ID","Message":"eA==","SigningAlgorithm":"ECDSA_SHA_256"}`, "InvalidKeyUsageException", "$ARN key usage is ENCRYPT_DECRYPT which is not valid for Sign."},
		{"GetKeyPolicy", `{"KeyId":"$PENDING","PolicyName":"other"}`, notFound, "No such policy exists"},
	}
	for _, op := range []string{
		`Encrypt {"KeyId":"$ID","Plaintext":"eA==","DryRun":true}`, `GenerateDataKey {"KeyId":"$ID","KeySpec":"AES_128","DryRun":true}`,
		`GenerateDataKeyWithoutPlaintext {"KeyId":"$ID","KeySpec":"AES_128","DryRun":true}`, `GenerateDataKeyPair {"KeyId":"$ID","KeyPairSpec":"RSA_4096","DryRun":true}`,
		`Decrypt {"CiphertextBlob":"$BLOB","EncryptionContext":{"a":"1"},"DryRun":true}`,
		`ReEncrypt {"CiphertextBlob":"$BLOB","SourceEncryptionContext":{"a":"1"},"DestinationKeyId":"$ID","DryRun":true}`,
	} {
		name, body, _ := strings.Cut(op, " ")
		rows = append(rows, [4]string{name, body, "DryRunOperationException", "The request would have succeeded, but the DryRun option is set."})
	}
	return rows
}

// TestReservedAliases: AWS's text is not known.
func TestReservedAliases(t *testing.T) {
	d := newDoor(t)
	id, _ := d.key()
	for op, body := range map[string]string{"CreateAlias": `{"AliasName":"alias/aws/mine","TargetKeyId":"` + id + `"}`, "DeleteAlias": `{"AliasName":"alias/aws/s3"}`} {
		got := d.send(d.request(op, body))
		require.Equal(t, 400, got.status)
		require.Contains(t, got.body, `"__type":"NotAuthorizedException"`)
	}
}

func TestRotationLimit(t *testing.T) {
	d := newDoor(t)
	id, arn := d.key()
	for range 25 {
		require.Equal(t, arn, d.call("RotateKeyOnDemand", `{"KeyId":"`+id+`"}`)["KeyId"])
	}
	d.refused(d.request("RotateKeyOnDemand", `{"KeyId":"`+id+`"}`), 400, "LimitExceededException", "message",
		"The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: "+arn)
}

// TestProviderErrors: what only a provider in trouble, or one with other keys, answers.
func TestProviderErrors(t *testing.T) {
	arn := regionARN + "key/" + unknownID
	for _, c := range []struct {
		err       error
		status    int
		code, key string
		text      string
	}{
		{kms.Errorf(kms.ThrottlingException, "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."), 400,
			"ThrottlingException", "message", "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."},
		{kms.CheckUse(kms.OpEncrypt, kms.KeyMetadata{ARN: arn, Usage: "SIGN_VERIFY"}), 400, "InvalidKeyUsageException", "message",
			arn + " key usage is SIGN_VERIFY which is not valid for Encrypt."},
		{kms.CheckState(kms.OpEncrypt, kms.KeyMetadata{ARN: arn, State: kms.StatePendingImport}), 400, "KMSInvalidStateException", "message", arn + " is pending import."},
		{&kms.Error{Code: kms.KeyUnavailableException, Message: "away"}, 500, "KeyUnavailableException", "message", "away"},
		{&kms.Error{Code: kms.DependencyTimeoutException, Message: "slow"}, 503, "DependencyTimeoutException", "message", "slow"},
		{fmt.Errorf("open /secret/path: %w", &kms.Error{Code: kms.KMSInternalException, Message: "damaged", Err: fmt.Errorf("cause")}), 500,
			"KMSInternalException", "message", "damaged"},
		{fmt.Errorf("open /secret/path: permission denied"), 500, "KMSInternalException", "message",
			"The request failed because of an internal error. Its request id is in the server's log."},
		{&kms.Error{Code: "InventedException", Message: "x"}, 500, "KMSInternalException", "message",
			"The request failed because of an internal error. Its request id is in the server's log."},
	} {
		t.Run(c.code+" "+c.text, func(t *testing.T) {
			require.Error(t, c.err)
			fault := kmstest.NewFault(kmstest.NewBackend(t))
			d := newDoorWith(t, httpdoor.Options{}, fault)
			id, _ := d.key()
			fault.Add(kmstest.FailNth(kms.OpEncrypt, 0, c.err))
			d.refused(d.request("Encrypt", `{"KeyId":"`+id+`","Plaintext":"eA=="}`), c.status, c.code, c.key, c.text)
		})
	}
}

// TestUnrecordedUse: a use that cannot be recorded is refused, and nothing of it goes out.
func TestUnrecordedUse(t *testing.T) {
	d := newDoor(t)
	id, _ := d.key()
	d.audit.Fail(fmt.Errorf("disk full"))
	d.refused(d.request("GenerateDataKey", `{"KeyId":"`+id+`","KeySpec":"AES_256"}`), 500, "KMSInternalException", "message",
		"GenerateDataKey is refused because its audit record could not be written")
}

// TestSignatures: each refusal on the wire, before any use of a key.
func TestSignatures(t *testing.T) {
	d := newDoor(t)
	id, _ := d.key()
	body := `{"KeyId":"` + id + `","KeySpec":"AES_256"}`
	before := len(d.audit.Events())
	mismatch := "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. " +
		"Consult the service documentation for details."

	r := d.request("GenerateDataKey", body)
	r.Header.Del("Authorization")
	d.refused(r, 400, "MissingAuthenticationTokenException", "message", "Missing Authentication Token")

	r = d.request("GenerateDataKey", body)
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	d.refused(r, 400, "IncompleteSignatureException", "message",
		"Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.")

	r = d.request("GenerateDataKey", body)
	r.Header.Set("X-Amz-Target", "TrentService.DisableKey")
	d.refused(r, 400, "InvalidSignatureException", "message", mismatch)

	other := d.request("GenerateDataKey", strings.Replace(body, "AES_256", "AES_128", 1)) // a replayed signature with another body
	other.Header.Set("Authorization", d.request("GenerateDataKey", body).Header.Get("Authorization"))
	d.refused(other, 400, "InvalidSignatureException", "message", mismatch)

	r = d.request("GenerateDataKey", body)
	old := time.Now().Add(-16 * time.Minute)
	d.sign(r, body, old)
	got := d.send(r)
	require.Equal(t, 400, got.status)
	require.Contains(t, got.body, `{"__type":"InvalidSignatureException","message":"Signature expired: `+old.UTC().Format("20060102T150405Z")+" is now earlier than ")

	alice := d.alice
	d.alice.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	d.refused(d.request("GenerateDataKey", body), 400, "UnrecognizedClientException", "message", "The security token included in the request is invalid.")
	d.alice = alice

	require.NoError(t, d.users.Delete("alice"))
	d.refused(d.request("GenerateDataKey", body), 400, "UnrecognizedClientException", "message", "The security token included in the request is invalid.")
	require.Len(t, d.audit.Events(), before, "no request got as far as the service")
}
