package kms_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/kmstest"
)

func openAuditor(t *testing.T, dir string, size int64) *kms.FileAuditor {
	t.Helper()
	a, err := kms.OpenFileAuditor(dir, size)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

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
		Caller:    kms.Caller{Principal: "arn:aws:iam::000000000000:user/root", UID: 4294967295, PID: 42, Via: "mount", Path: "/mnt/a\n\"b\"\\\x01é\xff"},
		Operation: kms.OpDecrypt, KeyARN: testARN, Context: kms.Context{"z": "1", "a": "2"},
		Code: kms.DisabledException, Message: testARN + " is disabled.",
	}))
	require.NoError(t, a.Record(kms.Event{Time: at, Operation: kms.OpListKeys}))
	require.Equal(t, []string{
		`{"time":"2026-01-02T02:04:05.000000678Z","principal":"arn:aws:iam::000000000000:user/root","uid":4294967295,"pid":42,"via":"mount",` +
			`"path":"/mnt/a\n\"b\"\\\u0001é` + "\ufffd" + `","operation":"Decrypt","key":"` + testARN + `","context":{"a":"2","z":"1"},` +
			`"result":"DisabledException","message":"` + testARN + ` is disabled."}`,
		`{"time":"2026-01-02T02:04:05.000000678Z","principal":"","uid":0,"pid":0,"operation":"ListKeys","result":"ok"}`,
	}, auditLines(t, dir))
	for name, mode := range map[string]fs.FileMode{dir: fs.ModeDir | 0o700, filepath.Join(dir, "audit.jsonl"): 0o600} {
		st, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, st.Mode(), name)
	}
}

func TestAuditAppendsBehindTornLine(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "audit.jsonl"), []byte("{\"operation\":\"Encrypt\"}\n{\"oper"), 0o600))
	a := openAuditor(t, dir, 0)
	require.NoError(t, a.Record(kms.Event{Operation: kms.OpDecrypt}))
	require.NoError(t, a.Record(kms.Event{Operation: kms.OpDecrypt}))
	lines := auditLines(t, dir)
	require.Len(t, lines, 4)
	require.Equal(t, `{"oper`, lines[1])
	for _, i := range []int{0, 2, 3} {
		require.True(t, json.Valid([]byte(lines[i])), lines[i])
	}
}

func TestAuditRotationLosesNothing(t *testing.T) {
	dir := t.TempDir()
	a := openAuditor(t, dir, 4096)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				if err := a.Record(kms.Event{Time: time.Now(), Caller: kms.Caller{PID: w*1000 + i}, Operation: kms.OpDecrypt}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := map[int]bool{}
	for _, line := range auditLines(t, dir) {
		var e struct{ PID int }
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		require.False(t, seen[e.PID])
		seen[e.PID] = true
	}
	require.Len(t, seen, 800)
	names, err := filepath.Glob(filepath.Join(dir, "audit-*.jsonl"))
	require.NoError(t, err)
	require.Greater(t, len(names), 5)
	for _, name := range names {
		st, err := os.Stat(name)
		require.NoError(t, err)
		require.Less(t, st.Size(), int64(4096+512))
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
		{Operation: kms.OpGenerateDataKey, KeyARN: m.ARN, Context: c},
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
