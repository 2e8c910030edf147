package kms_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

// TestObjectRecords has what is in the record of an object's use and not of a key's.
func TestObjectRecords(t *testing.T) {
	const fixed = `,"awsRegion":"us-east-1"`
	for want, u := range map[string]kms.ObjectUse{
		`"PutObject"|{"bucketName":"b","key":"d/\"f\""}|{"x-amz-server-side-encryption":"aws:kms","x-amz-server-side-encryption-aws-kms-key-id":"` + testARN +
			`","x-amz-version-id":"v1"}|false|"Default_SSE_KMS"|5`: {Operation: kms.OpPutObject, Bucket: "b", Key: `d/"f"`, VersionID: "v1", Algorithm: kms.SSEKMS,
			KeyARN: testARN, Inherited: true, BytesIn: 5},
		`"GetObject"|{"bucketName":"b","key":"f","versionId":"v1"}|{"x-amz-server-side-encryption":"AES256","x-amz-version-id":"v1"}|true||`: {
			Operation: kms.OpGetObject, Bucket: "b", Key: "f", VersionID: "v1", Algorithm: kms.SSES3},
		`"RenameObject"|{"bucketName":"b","key":"g","x-amz-rename-source":"b/f"}|null|false||`: {Operation: kms.OpRenameObject, Bucket: "b", Key: "g", SourceKey: "f"},
		`"CopyObject"|{"bucketName":"b","key":"g","x-amz-copy-source":"b/f"}|null|false||`:     {Operation: kms.OpCopyObject, Bucket: "b", Key: "g", SourceKey: "f"},
		`"DeleteObject"|{"bucketName":"b","key":"f"}|null|false||`:                             {Operation: kms.OpDeleteObject, Bucket: "b", Key: "f"},
		`"PutObject"|{"bucketName":"b","key":"f"}|null|false||`: {Operation: kms.OpPutObject, Bucket: "b", Key: "f", Algorithm: kms.SSEKMS, KeyARN: testARN,
			Code: "KMS.DisabledException", Message: "no"},
	} {
		dir := t.TempDir()
		a := openAuditor(t, dir, 0)
		s, _ := kmstest.NewService(t, nil, kms.Options{Audit: a})
		require.NoError(t, s.RecordObject(kms.WithCaller(t.Context(), benchCaller), u))
		var got struct {
			EventSource, EventName, EventCategory, ErrorCode string
			RequestParameters, ResponseElements              json.RawMessage
			ReadOnly, ManagementEvent                        bool
			UserIdentity                                     map[string]string
			Resources                                        []map[string]string
			AdditionalEventData                              struct {
				SSEApplied, BytesTransferredIn json.RawMessage
				KMSFS                          struct{ Path, Command string }
			}
		}
		line := auditLines(t, dir)[0]
		require.NoError(t, json.Unmarshal([]byte(line), &got), line)
		require.Contains(t, line, fixed)
		require.Equal(t, "s3.amazonaws.com", got.EventSource)
		require.Equal(t, "Data", got.EventCategory)
		require.False(t, got.ManagementEvent)
		require.NotContains(t, got.UserIdentity, "invokedBy")
		require.Equal(t, u.Code, got.ErrorCode)
		require.Equal(t, "b/"+u.Key, got.AdditionalEventData.KMSFS.Path)
		require.NotEmpty(t, got.AdditionalEventData.KMSFS.Command)
		require.Equal(t, []map[string]string{{"type": "AWS::S3::Object", "ARN": "arn:aws:s3:::b/" + u.Key},
			{"type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::b", "accountId": kms.DefaultAccount}}, got.Resources)
		readOnly := "false"
		if got.ReadOnly {
			readOnly = "true"
		}
		require.Equal(t, want, `"`+got.EventName+`"|`+string(got.RequestParameters)+"|"+string(got.ResponseElements)+"|"+readOnly+"|"+
			string(got.AdditionalEventData.SSEApplied)+"|"+string(got.AdditionalEventData.BytesTransferredIn))
		report, err := kms.VerifyAudit(dir, auditKey(), false)
		require.NoError(t, err)
		require.Empty(t, report.Issues)
	}
}
