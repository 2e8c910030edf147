package kms_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

// written makes a directory with n records, rotated when size is small, and closes it.
func written(t *testing.T, n int, size int64) string {
	t.Helper()
	dir := t.TempDir()
	appendRecords(t, dir, n, size)
	return dir
}

func appendRecords(t *testing.T, dir string, n int, size int64) {
	t.Helper()
	a, err := kms.OpenFileAuditor(dir, kms.AuditOptions{Key: auditKey(), MaxFileSize: size})
	require.NoError(t, err)
	for range n {
		require.NoError(t, a.Record(kms.Event{Operation: kms.OpDecrypt, KeyARN: testARN}))
	}
	require.NoError(t, a.Close())
}

func verify(t *testing.T, dir string) kms.AuditReport {
	t.Helper()
	r, err := kms.VerifyAudit(dir, auditKey(), false)
	require.NoError(t, err)
	return r
}

func requireWhole(t *testing.T, dir string, records int) {
	t.Helper()
	r := verify(t, dir)
	require.Empty(t, r.Issues)
	require.Zero(t, r.IssueCount)
	require.Equal(t, records, r.Records)
	require.Equal(t, uint64(records), r.Last)
}

func TestVerifyWhole(t *testing.T) {
	dir := written(t, 5, 0)
	requireWhole(t, dir, 5)
	appendRecords(t, dir, 5, 0)
	requireWhole(t, dir, 10)
	dir = written(t, 50, 4096)
	appendRecords(t, dir, 50, 4096)
	files, err := kms.AuditFiles(dir)
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	requireWhole(t, dir, 100)
	r, err := kms.VerifyAudit(dir, bytes.Repeat([]byte{8}, kms.KeySize), false)
	require.NoError(t, err)
	require.Zero(t, r.Records, "another key: nothing is what it was")
	require.Equal(t, 101, r.IssueCount, "and the head")
}

// TestVerifyFinds changes one file of ten records, one fault each.
func TestVerifyFinds(t *testing.T) {
	const changed = "the line was changed, or kmsfs did not write it"
	replace := func(n int, with func(line []byte) [][]byte) func(lines [][]byte) [][]byte {
		return func(lines [][]byte) [][]byte {
			return append(append(append([][]byte{}, lines[:n-1]...), with(lines[n-1])...), lines[n:]...)
		}
	}
	forged := []byte(`{"eventVersion":"1.11","eventName":"Decrypt"}` + "\n")
	for name, c := range map[string]struct {
		change func(lines [][]byte) [][]byte
		line   int
		what   string
		count  int
	}{
		"a byte": {replace(4, func(l []byte) [][]byte {
			return [][]byte{bytes.Replace(l, []byte("Decrypt"), []byte("Encrypt"), 1)}
		}), 4, changed, 1},
		"mac of another": {func(lines [][]byte) [][]byte {
			at := len(lines[3]) - 50
			lines[3] = append(append([]byte{}, lines[3][:at]...), lines[4][len(lines[4])-50:]...)
			return lines
		}, 4, changed, 1},
		"removed":               {replace(4, func([]byte) [][]byte { return nil }), 4, "before this line record 4 is missing", 1},
		"two removed":           {func(l [][]byte) [][]byte { return append(l[:3:3], l[5:]...) }, 4, "before this line records 4 to 5 are missing", 1},
		"first removed":         {func(l [][]byte) [][]byte { return l[2:] }, 1, "before this line records 1 to 2 are missing", 1},
		"last removed":          {func(l [][]byte) [][]byte { return l[:9] }, 0, "at the end record 10 is missing", 1},
		"all removed":           {func(l [][]byte) [][]byte { return nil }, 0, "at the end records 1 to 10 are missing", 1},
		"repeated":              {replace(4, func(l []byte) [][]byte { return [][]byte{l, l} }), 5, "record 4 stands here again, or in the wrong place", 1},
		"appended":              {func(l [][]byte) [][]byte { return append(l, forged) }, 11, changed, 1},
		"inserted":              {replace(4, func(l []byte) [][]byte { return [][]byte{forged, l} }), 4, changed, 1},
		"exchanged":             {func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l }, 4, "before this line record 4 is missing", 2},
		"changed, others":       {func(l [][]byte) [][]byte { l[3], l[7] = forged, forged; return l }, 4, changed, 2},
		"changed, next removed": {func(l [][]byte) [][]byte { l[3] = forged; return append(l[:4:4], l[5:]...) }, 4, changed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := written(t, 10, 0)
			path := filepath.Join(dir, "audit.jsonl")
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			lines := bytes.SplitAfter(raw, []byte("\n"))[:10]
			require.NoError(t, os.WriteFile(path, bytes.Join(c.change(lines), nil), 0o600))
			r := verify(t, dir)
			require.NotEmpty(t, r.Issues)
			require.Equal(t, kms.AuditIssue{File: path, Line: c.line, What: c.what}, r.Issues[0])
			require.Equal(t, c.count, r.IssueCount, "%v", r.Issues)
		})
	}
}

// TestVerifyFindsFiles: a rotated file that is gone, and one that was put in its place.
func TestVerifyFindsFiles(t *testing.T) {
	dir := written(t, 50, 4096)
	files, err := kms.AuditFiles(dir)
	require.NoError(t, err)
	require.NoError(t, os.Rename(files[2], filepath.Join(t.TempDir(), "kept")))
	r := verify(t, dir)
	require.Equal(t, 1, r.IssueCount)
	require.Equal(t, files[3], r.Issues[0].File)
	require.Equal(t, 1, r.Issues[0].Line)
	require.Contains(t, r.Issues[0].What, "missing")
	require.NoError(t, os.Remove(files[0]))
	require.NoError(t, os.Remove(files[1]))
	require.Equal(t, 1, verify(t, dir).IssueCount)
	r, err = kms.VerifyAudit(dir, auditKey(), true)
	require.NoError(t, err)
	require.Empty(t, r.Issues)
}

// TestVerifyAfterTornLine: what a crash cut short is noted by the next record; the same without a crash is an issue.
func TestVerifyAfterTornLine(t *testing.T) {
	dir := written(t, 3, 0)
	path := filepath.Join(dir, "audit.jsonl")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"eventVersion":"1.1`)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	requireWhole(t, dir, 3) // it may be written this moment
	appendRecords(t, dir, 2, 0)
	r := verify(t, dir)
	require.Empty(t, r.Issues)
	require.Equal(t, 1, r.Torn)
	require.Equal(t, 5, r.Records)

	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte("1.1\n"), []byte("1.12\n"), 1), 0o600))
	r = verify(t, dir)
	require.Equal(t, 1, r.IssueCount, "another fragment than the one that was there")
	require.Equal(t, 4, r.Issues[0].Line)
}

// TestChainGoesOn behind lines that are no records, and behind an end that is missing: both stay to be seen.
func TestChainGoesOn(t *testing.T) {
	dir := written(t, 3, 0)
	path := filepath.Join(dir, "audit.jsonl")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	cut := bytes.Join(bytes.SplitAfter(raw, []byte("\n"))[:2], nil)
	require.NoError(t, os.WriteFile(path, append(cut, "{}\n{}\n"...), 0o600))
	appendRecords(t, dir, 2, 0)
	r := verify(t, dir)
	require.Equal(t, uint64(5), r.Last)
	require.Equal(t, 4, r.Records)
	require.Equal(t, 2, r.IssueCount, "the two lines; one of them stands where record 3 was")
	require.NoError(t, os.WriteFile(path, cut, 0o600))
	appendRecords(t, dir, 1, 0)
	r = verify(t, dir)
	require.Equal(t, 1, r.IssueCount)
	require.Equal(t, "before this line records 3 to 5 are missing", r.Issues[0].What)
}

// TestUnrecorded: a record that failed is counted by the next one.
func TestUnrecorded(t *testing.T) {
	dir := t.TempDir()
	a := openAuditor(t, dir, 1)
	require.NoError(t, a.Record(kms.Event{Operation: kms.OpDecrypt}))
	require.NoError(t, os.Rename(filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "away")))
	require.Error(t, a.Record(kms.Event{Operation: kms.OpDecrypt}), "it cannot be rotated")
	require.NoError(t, os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "audit.jsonl")))
	require.NoError(t, a.Record(kms.Event{Operation: kms.OpEncrypt}))
	lines := auditLines(t, dir)
	require.Len(t, lines, 2)
	require.Contains(t, lines[1], `"unrecorded":1,"seq":2,`)
}
