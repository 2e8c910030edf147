package s3api_test

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
	"kmsfs/objstore/s3api"
)

const unknownID = "11111111-2222-4333-8444-555555555555"

// allow is a key policy under which bob may do everything and alice what actions says.
func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":[` +
		`{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":["kms:Put*","kms:Describe*","kms:Disable*","kms:ScheduleKeyDeletion"],"Resource":"*"},` +
		`{"Effect":"Allow","Principal":{"AWS":"` + aliceARN + `"},"Action":[` + actions + `],"Resource":"*"}]}`
}

func (d *door) setPolicy(id, document string) {
	d.t.Helper()
	require.NoError(d.t, d.kms.PutKeyPolicy(root(), kms.PutKeyPolicyInput{KeyID: id, Policy: document, BypassLockoutCheck: true}))
}

// kmsRow is a request and how it is refused. $K is the key of the row.
type kmsRow struct {
	name          string
	key           kms.CreateKeyInput
	before        func(d *door, id string) // after the object bkt/old was written under the key
	keyID         string                   // as the client writes it; "": $K
	status        int
	code, message string
	only          string // "GET": what exists is read; "PUT": nothing was written under the key before
}

func kmsRows() []kmsRow {
	disable := func(d *door, id string) { require.NoError(d.t, d.kms.DisableKey(root(), id)) }
	schedule := func(d *door, id string) {
		_, err := d.kms.ScheduleKeyDeletion(root(), id, 7)
		require.NoError(d.t, err)
	}
	put := func(actions string) func(d *door, id string) {
		return func(d *door, id string) {
			d.setPolicy(id, allow(actions))
		}
	}
	denied := func(action string) string {
		return "User: " + aliceARN + " is not authorized to perform: kms:" + action + " on resource: " + keyPrefix +
			"$K because no resource-based policy allows the kms:" + action + " action"
	}
	away := func(err error) func(d *door, id string) {
		return func(d *door, _ string) { d.keys.Add(kmstest.FailAll(err)) }
	}
	const notFound, usage, gone = "KMS.NotFoundException", "KMS.InvalidKeyUsageException", "The key service (AWS KMS) does not answer or cannot be reached. Please try again."
	return []kmsRow{
		{name: "no shape of a key id", keyID: "fake-key-id", status: 400, code: notFound, message: "Invalid keyId 'fake-key-id'", only: "PUT"},
		{name: "aws/s3", keyID: "aws/s3", status: 400, code: notFound, message: "Invalid keyId 'aws/s3'", only: "PUT"},
		{name: "no key id", keyID: " ", status: 400, code: notFound, message: "Invalid keyId ''", only: "PUT"},
		{name: "id of no key", keyID: unknownID, status: 400, code: notFound, message: "Key '" + keyPrefix + unknownID + "' does not exist", only: "PUT"},
		{name: "ARN of no key", keyID: keyPrefix + unknownID, status: 400, code: notFound, message: "Key '" + keyPrefix + unknownID + "' does not exist", only: "PUT"},
		{name: "ARN of another region", keyID: "arn:aws:kms:us-west-2:000000000000:key/$K", status: 400, code: notFound, message: "Invalid arn us-west-2", only: "PUT"},
		{name: "id of a key of another region", keyID: "mrk-" + strings.Repeat("a", 32), status: 400, code: notFound,
			message: "Key '" + keyPrefix + "mrk-" + strings.Repeat("a", 32) + "' does not exist", only: "PUT"},
		{name: "unknown alias", keyID: "alias/x", status: 400, code: notFound, message: "Alias arn:aws:kms:us-east-1:000000000000:alias/x is not found.", only: "PUT"},
		{name: "disabled", before: disable, status: 400, code: "KMS.DisabledException", message: keyPrefix + "$K is disabled."},
		{name: "pending deletion", before: schedule, status: 400, code: "KMS.KMSInvalidStateException", message: keyPrefix + "$K is pending deletion."},
		{name: "pending import", key: kms.CreateKeyInput{Origin: kms.OriginExternal}, status: 400, code: "KMS.KMSInvalidStateException",
			message: keyPrefix + "$K is pending import.", only: "PUT"},
		{name: "signing key", key: kms.CreateKeyInput{Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY"}, status: 400, code: usage,
			message: keyPrefix + "$K key usage is SIGN_VERIFY which is not valid for GenerateDataKey.", only: "PUT"},
		{name: "HMAC key", key: kms.CreateKeyInput{Spec: "HMAC_256", Usage: "GENERATE_VERIFY_MAC"}, status: 400, code: usage,
			message: keyPrefix + "$K key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKey.", only: "PUT"},
		{name: "RSA key", key: kms.CreateKeyInput{Spec: "RSA_2048", Usage: "ENCRYPT_DECRYPT"}, status: 400, code: usage,
			message: "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.", only: "PUT"},
		{name: "no GenerateDataKey", before: put(`"kms:Decrypt"`), status: 403, code: "AccessDenied", message: denied("GenerateDataKey"), only: "PUT old"},
		{name: "no Decrypt", before: put(`"kms:GenerateDataKey"`), status: 403, code: "AccessDenied", message: denied("Decrypt"), only: "GET"},
		{name: "explicit deny", before: func(d *door, id string) {
			deny := strings.Replace(allow(`"kms:*"`), `"Allow","Principal":{"AWS":"`+aliceARN, `"Deny","Principal":{"AWS":"`+aliceARN, 1)
			d.setPolicy(id, deny)
		}, status: 403, code: "AccessDenied", message: "User: " + aliceARN + " is not authorized to perform: kms:Decrypt on resource: " + keyPrefix +
			"$K with an explicit deny in a resource-based policy", only: "GET"},
		{name: "away", before: away(kms.Errorf(kms.KeyUnavailableException, "kms.example cannot be reached")), status: 503, code: "ServiceUnavailable", message: gone},
		{name: "too slow", before: away(kms.Errorf(kms.DependencyTimeoutException, "no answer")), status: 503, code: "ServiceUnavailable", message: gone},
		{name: "internal", before: away(errors.New("the disk is on fire")), status: 500, code: "InternalError", message: "We encountered an internal error. Please try again."},
		{name: "internal of KMS", before: away(kms.Errorf(kms.KMSInternalException, "secret detail")), status: 503, code: "ServiceUnavailable", message: gone},
		{name: "throttled by KMS", before: away(kms.Errorf(kms.ThrottlingException, "Rate exceeded")), status: 503, code: "SlowDown",
			message: "Please reduce your request rate for operations involving AWS KMS."},
	}
}

// TestKMSErrors is every way in which a KMS key fails a request, as S3 reports it, from the wire: the request goes to a door that
// listens, over a store on disk and a key service whose keys are really in that state.
func TestKMSErrors(t *testing.T) {
	for _, row := range kmsRows() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDoor(t)
			id := d.key(row.key)
			if row.only != "PUT" {
				d.ok("PUT", "/bkt/old", "hello", sse, "aws:kms", sseKey, id)
			}
			d.ok("PUT", "/bkt/plain", "plain")
			if row.before != nil {
				row.before(d, id)
			}
			keyID := strings.ReplaceAll(strings.TrimSpace(cmp.Or(row.keyID, "$K")), "$K", id)
			want := strings.ReplaceAll(row.message, "$K", id)
			if row.only != "GET" {
				d.refused(d.do("PUT", "/bkt/new", "hello", sse, "aws:kms", sseKey, keyID), row.status, row.code, want)
				d.refused(d.do("PUT", "/bkt/new", "", "x-amz-copy-source", "/bkt/plain", sse, "aws:kms", sseKey, keyID), row.status, row.code, want)
			}
			if row.only == "" || row.only == "GET" {
				d.refused(d.do("GET", "/bkt/old", ""), row.status, row.code, want)
				d.refused(d.do("PUT", "/bkt/new", "", "x-amz-copy-source", "/bkt/old", sse, "AES256"), row.status, row.code, want)
			}
			d.keys.Clear()
			require.Equal(t, http.StatusNotFound, d.do("HEAD", "/bkt/new", "").status, "a refused write left something")
			if row.only != "PUT" { // what needs no key goes on
				require.Equal(t, keyPrefix+id, d.ok("HEAD", "/bkt/old", "").header.Get(sseKey))
				require.Contains(t, d.ok("GET", "/bkt", "").body, "<Key>old</Key>")
				d.ok("DELETE", "/bkt/old", "")
			}
		})
	}
}

// TestKMSQuota: over a quota of the key service the caller is told to slow down.
func TestKMSQuota(t *testing.T) {
	d := newDoorWith(t, kms.Options{Quotas: kms.Quotas{kms.OpGenerateDataKey: 0.001}}, s3api.Options{})
	id := d.key(kms.CreateKeyInput{})
	d.ok("PUT", "/bkt/one", "1", sse, "aws:kms", sseKey, id)
	d.refused(d.do("PUT", "/bkt/two", "2", sse, "aws:kms", sseKey, id), 503, "SlowDown", "Please reduce your request rate for operations involving AWS KMS.")
	require.Len(t, d.kms.Throttled(), 1)
}

// TestDefaultKeyFails: the key of the bucket's default is looked for when it is used.
func TestDefaultKeyFails(t *testing.T) {
	d := newDoor(t)
	d.ok("PUT", "/bkt?encryption", encryptionXML("aws:kms", "alias/none", false))
	d.refused(d.do("PUT", "/bkt/a", "x"), 400, "KMS.NotFoundException", "Alias arn:aws:kms:us-east-1:000000000000:alias/none is not found.")
	d.ok("PUT", "/bkt/a", "x", sse, "AES256")
}

// TestPolicyByS3: a key policy can ask for the use by way of S3.
func TestPolicyByS3(t *testing.T) {
	d := newDoor(t)
	id := d.key(kms.CreateKeyInput{})
	document := strings.Replace(allow(`"kms:GenerateDataKey","kms:Decrypt"`), `"Resource":"*"}]}`,
		`"Resource":"*","Condition":{"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com","kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bkt/yes"}}}]}`, 1)
	d.setPolicy(id, document)
	d.ok("PUT", "/bkt/yes", "x", sse, "aws:kms", sseKey, id)
	require.Equal(t, "x", d.ok("GET", "/bkt/yes", "").body)
	require.Equal(t, http.StatusForbidden, d.do("PUT", "/bkt/no", "x", sse, "aws:kms", sseKey, id).status)
}
