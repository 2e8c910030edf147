package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/cmd/kmsfs/service"
)

// bucketKeyFiles is how many files are written and read back.
const bucketKeyFiles = 10_000

// kmsCalls is how often the daemon has asked its provider.
func (b *bench) kmsCalls() int64 {
	b.t.Helper()
	var st service.Status
	require.NoError(b.t, json.Unmarshal([]byte(b.run("--json", "status", "--brief")), &st))
	return st.KMSCalls
}

// keyUses is how many records of the audit log are about data keys.
func (b *bench) keyUses() (n int64) {
	b.t.Helper()
	for line := range strings.Lines(b.run("--json", "audit", "tail", "-n", "1000000")) {
		var r struct{ EventSource, EventName string }
		require.NoError(b.t, json.Unmarshal([]byte(line), &r))
		if r.EventSource == "kms.amazonaws.com" && (r.EventName == "GenerateDataKey" || r.EventName == "Decrypt") {
			n++
		}
	}
	return n
}

// writeAndReread writes n small files, mounts anew so that nothing is cached, and reads them back. It answers how many
// calls of the KMS both took.
func (b *bench) writeAndReread(n int) (calls int64) {
	b.t.Helper()
	name := func(i int) string { return fmt.Sprintf("d%02d/f%05d", i%50, i) }
	for i := range 50 {
		require.NoError(b.t, os.Mkdir(b.path(fmt.Sprintf("d%02d", i)), 0o755))
	}
	before := b.kmsCalls()
	start := time.Now()
	for i := range n {
		b.write(name(i), []byte(name(i)))
	}
	written := time.Since(start)
	calls = b.kmsCalls() - before
	b.umount()
	b.mount()
	start = time.Now()
	for i := range n {
		got, err := os.ReadFile(b.path(name(i)))
		require.NoError(b.t, err)
		require.Equal(b.t, name(i), string(got))
	}
	calls += b.kmsCalls()
	b.t.Logf("%d files: written in %v, read in %v, %d KMS calls", n, written, time.Since(start), calls)
	return calls
}

// A bucket key makes 100 calls at most of the 20,000 that 10,000 files written and read back take without.
func TestBucketKeySavesCalls(t *testing.T) {
	n := scaled(t, "KMSFS_BUCKETKEY_FILES", bucketKeyFiles)
	b := newBench(t)
	b.run("init")
	b.run("key", "create", "--alias", "alias/hr")
	b.mount()
	b.setxattr("", "user.sse-kms-key-id", "alias/hr")
	b.setxattr("", "user.bucket-key", "true")
	calls := b.writeAndReread(n)
	require.NotZero(t, calls, "the key was never asked for")
	require.LessOrEqual(t, calls, int64(100))
	require.Equal(t, calls, b.keyUses(), "the audit log shows what the provider was asked")
}

// Without a bucket key each file is asked for when it is written and when it is read.
func TestWithoutBucketKeyEachFileIsACall(t *testing.T) {
	n := scaled(t, "KMSFS_NO_BUCKETKEY_FILES", 500)
	b := newBench(t)
	b.run("init")
	b.run("key", "create", "--alias", "alias/hr")
	b.mount()
	b.setxattr("", "user.sse-kms-key-id", "alias/hr")
	require.GreaterOrEqual(t, b.writeAndReread(n), int64(2*n))
	require.GreaterOrEqual(t, b.keyUses(), int64(2*n))
}
