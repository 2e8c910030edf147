package kms_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func openAuditor(t *testing.T, dir string, size int64) *kms.FileAuditor {
	t.Helper()
	a, err := kms.OpenFileAuditor(dir, kms.AuditOptions{Key: auditKey(), MaxFileSize: size})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

func auditKey() []byte { return bytes.Repeat([]byte{7}, kms.KeySize) }

// auditLines reads all files of dir in the order of writing.
func auditLines(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "audit*.jsonl"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	var lines []string
	for _, name := range names { // "audit-..." sorts before "audit.jsonl"
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range bytes.Lines(raw) {
			lines = append(lines, string(bytes.TrimSuffix(line, []byte("\n"))))
		}
	}
	return lines
}

func TestAuditLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store.audit")
	a := openAuditor(t, dir, 0)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.FixedZone("CET", 3600))
	require.NoError(t, a.Record(kms.Event{
		Time:      at,
		Caller:    kms.Caller{Principal: "arn:aws:iam::000000000000:user/ann", UID: 4294967295, PID: 1 << 30, Command: "cat", Via: "mount", Path: "/mnt/a\n\"b\"\\\x01é\xff"},
		Operation: kms.OpDecrypt, KeyARN: testARN, Context: kms.Context{"z": "1", "a": "2"},
		Code: kms.DisabledException, Message: testARN + " is disabled.",
	}))
	require.NoError(t, a.Record(kms.Event{Time: at, Operation: kms.OpListKeys}))
	uuid := regexp.MustCompile(`ID":"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	mac := regexp.MustCompile(`"[A-Za-z0-9_-]{43}"`)
	lines := auditLines(t, dir)
	require.Len(t, lines, 2)
	for i, want := range []string{
		`{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::000000000000:user/ann","accountId":"000000000000",` +
			`"userName":"ann","invokedBy":"AWS Internal"},"eventTime":"2026-01-02T02:04:05Z","eventSource":"kms.amazonaws.com",` +
			`"eventName":"Decrypt","awsRegion":"us-east-1","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal",` +
			`"errorCode":"DisabledException","errorMessage":"` + testARN + ` is disabled.","requestParameters":{"keyId":"` + testARN + `",` +
			`"encryptionAlgorithm":"SYMMETRIC_DEFAULT","encryptionContext":{"a":"2","z":"1"}},"responseElements":null,` +
			`"requestID":"UUID","eventID":"UUID","readOnly":true,"resources":[{"accountId":"000000000000","type":"AWS::KMS::Key","ARN":"` + testARN + `"}],` +
			`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"000000000000","eventCategory":"Management",` +
			`"additionalEventData":{"kmsfs":{"time":"2026-01-02T02:04:05.000000678Z","uid":4294967295,"pid":1073741824,"command":"cat",` +
			`"via":"mount","path":"/mnt/a\n\"b\"\\\u0001é` + "\ufffd" + `","seq":1,"prev":"","mac":MAC}}}`,
		`{"eventVersion":"1.11","userIdentity":{"type":"Unknown"},"eventTime":"2026-01-02T02:04:05Z","eventSource":"kms.amazonaws.com",` +
			`"eventName":"ListKeys","awsRegion":"us-east-1","sourceIPAddress":"AWS Internal","userAgent":"AWS Internal",` +
			`"requestParameters":null,"responseElements":null,"requestID":"UUID","eventID":"UUID","readOnly":true,` +
			`"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"000000000000","eventCategory":"Management",` +
			`"additionalEventData":{"kmsfs":{"time":"2026-01-02T02:04:05.000000678Z","uid":0,"pid":0,"seq":2,"prev":MAC,"mac":MAC}}}`,
	} {
		require.True(t, json.Valid([]byte(lines[i])), lines[i])
		require.Equal(t, want, mac.ReplaceAllString(uuid.ReplaceAllString(lines[i], `ID":"UUID`), "MAC"))
	}
	for name, mode := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, filepath.Join(dir, "audit.jsonl"): 0o600} {
		st, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode(), name)
	}
}

// TestAuditParameters has requestParameters, resources and readOnly of each kind of operation.
func TestAuditParameters(t *testing.T) {
	const other = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000001"
	key := `{"accountId":"000000000000","type":"AWS::KMS::Key","ARN":"` + testARN + `"}`
	from := kms.Context{"a": "1"}
	for _, c := range []struct {
		event                 kms.Event
		parameters, resources string
		readOnly              bool
	}{
		{kms.Event{Operation: kms.OpGenerateDataKey, KeyARN: testARN, Bytes: 32}, `{"keyId":"` + testARN + `","keySpec":"AES_256"}`, "[" + key + "]", true},
		{kms.Event{Operation: kms.OpGenerateDataKey, KeyARN: testARN, Bytes: 64}, `{"keyId":"` + testARN + `","numberOfBytes":64}`, "[" + key + "]", true},
		{kms.Event{Operation: kms.OpReEncrypt, KeyARN: testARN, SourceKeyARN: other, SourceContext: from}, `{"sourceKeyId":"` + other +
			`","sourceEncryptionContext":{"a":"1"},"sourceEncryptionAlgorithm":"SYMMETRIC_DEFAULT","destinationKeyId":"` + testARN +
			`","destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, `[{"accountId":"000000000000","type":"AWS::KMS::Key","ARN":"` + other + `"},` + key + "]", true},
		{kms.Event{Operation: kms.OpReEncrypt, KeyARN: testARN, SourceKeyARN: testARN}, `{"sourceKeyId":"` + testARN +
			`","sourceEncryptionAlgorithm":"SYMMETRIC_DEFAULT","destinationKeyId":"` + testARN + `","destinationEncryptionAlgorithm":"SYMMETRIC_DEFAULT"}`, "[" + key + "]", true},
		{kms.Event{Operation: kms.OpCreateAlias, KeyARN: testARN, Alias: "alias/x"}, `{"aliasName":"alias/x","targetKeyId":"` + testARN + `"}`, "[" + key + "]", false},
		{kms.Event{Operation: kms.OpDeleteAlias, KeyARN: "arn:aws:kms:us-east-1:000000000000:alias/x", Alias: "alias/x"}, `{"aliasName":"alias/x"}`,
			`[{"accountId":"000000000000","type":"AWS::KMS::Alias","ARN":"arn:aws:kms:us-east-1:000000000000:alias/x"}]`, false},
		{kms.Event{Operation: kms.OpSign, KeyARN: testARN, Algorithm: "ECDSA_SHA_256"}, `{"keyId":"` + testARN + `","signingAlgorithm":"ECDSA_SHA_256"}`, "[" + key + "]", true},
		{kms.Event{Operation: kms.OpDisableKey, KeyARN: testARN}, `{"keyId":"` + testARN + `"}`, "[" + key + "]", false},
	} {
		dir := t.TempDir()
		require.NoError(t, openAuditor(t, dir, 0).Record(c.event))
		var got struct {
			RequestParameters, Resources json.RawMessage
			ReadOnly                     bool
		}
		require.NoError(t, json.Unmarshal([]byte(auditLines(t, dir)[0]), &got))
		require.Equal(t, c.parameters, string(got.RequestParameters), c.event.Operation)
		require.Equal(t, c.resources, string(got.Resources), c.event.Operation)
		require.Equal(t, c.readOnly, got.ReadOnly, c.event.Operation)
	}
}

// TestAuditCommand: the name is the process's present one, from /proc.
func TestAuditCommand(t *testing.T) {
	dir := t.TempDir()
	a := openAuditor(t, dir, 0)
	child := exec.Command("sleep", "60")
	require.NoError(t, child.Start())
	for range 2 {
		require.NoError(t, a.Record(kms.Event{Caller: kms.Caller{PID: child.Process.Pid}}))
	}
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NoError(t, a.Record(kms.Event{Caller: kms.Caller{PID: child.Process.Pid}}))
	lines := auditLines(t, dir)
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], `"command":"sleep"`)
	require.Contains(t, lines[1], `"command":"sleep"`)
	require.NotContains(t, lines[2], `"command"`, "the process is gone")
}

func TestAuditRotationLosesNothing(t *testing.T) {
	dir := t.TempDir()
	a := openAuditor(t, dir, 4096)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if err := a.Record(kms.Event{Time: time.Now(), Caller: kms.Caller{PID: 1<<30 + w*1000 + i}, Operation: kms.OpDecrypt}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, line := range auditLines(t, dir) {
		var e struct {
			AdditionalEventData struct{ KMSFS struct{ PID int } }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		pid := e.AdditionalEventData.KMSFS.PID
		require.False(t, seen[pid])
		seen[pid] = true
	}
	require.Len(t, seen, 800)
	report, err := kms.VerifyAudit(dir, auditKey(), false)
	require.NoError(t, err)
	require.Empty(t, report.Issues)
	require.Equal(t, 800, report.Records)
	names, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	require.NoError(t, err)
	require.Greater(t, len(names), 5)
	for _, name := range names {
		st, err := os.Stat(name)
		require.NoError(t, err)
		require.Less(t, st.Size(), int64(4096+4*1024), "the records of four callers may be one write")
	}
}

func TestAuditClosed(t *testing.T) {
	a := openAuditor(t, t.TempDir(), 0)
	require.NoError(t, a.Close())
	require.Error(t, a.Record(kms.Event{}))
	require.NoError(t, a.Close(), "twice is no error")
}

// TestEveryUseIsRecorded also has the failed ones, with code and message.
func TestEveryUseIsRecorded(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	ctx := kms.WithCaller(t.Context(), benchCaller)
	m, err := s.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	c := kms.Context{"a": "1"}
	d, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: m.ID, Context: c, Bytes: 32})
	require.NoError(t, err)
	_, err = s.Decrypt(ctx, kms.DecryptInput{Blob: d.Blob})
	require.Error(t, err)
	_, err = s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: d.Blob, SourceContext: c, KeyID: m.ID})
	require.NoError(t, err)
	require.NoError(t, s.DisableKey(ctx, m.ID))
	_, err = s.Encrypt(ctx, kms.EncryptInput{KeyID: m.ID, Context: c, Plaintext: []byte("x")})
	require.Error(t, err)
	_, err = s.ResolveKey(ctx, m.ID)
	require.Error(t, err)
	require.Error(t, s.CreateAlias(ctx, "x", m.ID))

	disabled := m.ARN + " is disabled."
	want := []kms.Event{
		{Operation: kms.OpCreateKey, KeyARN: m.ARN},
		{Operation: kms.OpGenerateDataKey, KeyARN: m.ARN, Context: c, Bytes: 32},
		{Operation: kms.OpDecrypt, KeyARN: m.ARN, Code: kms.InvalidCiphertextException, Message: "InvalidCiphertextException"},
		{Operation: kms.OpReEncrypt, KeyARN: m.ARN, SourceKeyARN: m.ARN, SourceContext: c},
		{Operation: kms.OpDisableKey, KeyARN: m.ARN},
		{Operation: kms.OpEncrypt, KeyARN: m.ARN, Context: c, Code: kms.DisabledException, Message: disabled},
		{Operation: kms.OpDescribeKey, KeyARN: m.ARN, Code: kms.DisabledException, Message: disabled},
		{Operation: kms.OpCreateAlias, KeyARN: m.ARN, Alias: "x", Code: kms.ValidationException,
			Message: `Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html`},
	}
	got := audit.Events()
	for i := range got {
		require.WithinDuration(t, time.Now(), got[i].Time, time.Minute)
		require.Equal(t, benchCaller, got[i].Caller)
		got[i].Time, got[i].Caller = time.Time{}, kms.Caller{}
	}
	require.Equal(t, want, got)
}

// TestUnrecordedUseIsRefused: no plaintext and no blob without a record.
func TestUnrecordedUseIsRefused(t *testing.T) {
	s, audit := kmstest.NewService(t, nil, kms.Options{})
	ctx := t.Context()
	m, err := s.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	d, err := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
	require.NoError(t, err)
	full := errors.New("no space left on device")
	audit.Fail(full)
	request := benchRequest(m.ARN, true)
	request.Context = nil

	g, err1 := s.GenerateDataKey(ctx, kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
	e, err2 := s.Encrypt(ctx, kms.EncryptInput{KeyID: m.ID, Plaintext: []byte("x")})
	p, err3 := s.Decrypt(ctx, kms.DecryptInput{Blob: d.Blob})
	r, err4 := s.ReEncrypt(ctx, kms.ReEncryptInput{Blob: d.Blob, KeyID: m.ID})
	k, env, err5 := s.NewDataKey(ctx, request)
	for i, err := range []error{err1, err2, err3, err4, err5} {
		require.Error(t, err, i)
		require.ErrorIs(t, err, kms.KMSInternalException, i)
		require.ErrorIs(t, err, full, i)
	}
	require.Zero(t, g)
	require.Zero(t, e)
	require.Zero(t, p)
	require.Zero(t, r)
	require.Nil(t, k)
	require.Zero(t, env)

	// A failed use that cannot be recorded keeps its own error.
	_, err = s.Encrypt(ctx, kms.EncryptInput{KeyID: "alias/none", Plaintext: []byte("x")})
	require.Error(t, err)
	require.Equal(t, kms.NotFoundException, kms.CodeOf(err))
	require.ErrorIs(t, err, full)

	audit.Fail(nil)
	_, _, err = s.NewDataKey(ctx, request)
	require.NoError(t, err, "nothing was cached of the refused use")
}

// TestBestEffort: with the setting, a use goes on without its record, and is told about.
func TestBestEffort(t *testing.T) {
	a := &kmstest.Audit{}
	var told []kms.Operation
	s, _ := kmstest.NewService(t, nil, kms.Options{Audit: kms.BestEffort(a, func(e kms.Event, err error) {
		require.Error(t, err)
		told = append(told, e.Operation)
	})})
	m, err := s.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	a.Fail(errors.New("no space left on device"))
	_, err = s.GenerateDataKey(t.Context(), kms.GenerateDataKeyInput{KeyID: m.ID, Bytes: 32})
	require.NoError(t, err)
	require.Equal(t, []kms.Operation{kms.OpGenerateDataKey}, told)
}
