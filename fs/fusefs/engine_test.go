package fusefs_test

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/stretchr/testify/require"

	"kmsfs/fs"
	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
)

// engine mounts bucket "files" of a new store on disk, which is checked at the end.
func engine(t testing.TB) *mounted { return auditedEngine(t, nil, false) }

// auditedEngine keeps records of the uses of keys; with objects, of those of objects too.
func auditedEngine(t testing.TB, audit kms.Auditor, objects bool) *mounted {
	t.Helper()
	root := bytes.Repeat([]byte{7}, 32)
	s, err := badgerstore.Open(filepath.Join(t.TempDir(), "store"), badgerstore.Options{
		Secret: local.Derive(root, "kmsfs store v1"), SyncEvery: time.Hour,
	})
	require.NoError(t, err)
	p, err := local.Open(s.Records(), root, local.Options{})
	require.NoError(t, err)
	service := kms.NewService(p, kms.Options{Audit: audit, ServiceKeys: map[uint32][]byte{1: local.Derive(root, "kmsfs sse-s3 v1")}})
	s.SetKMS(service)
	_, err = s.CreateBucket(t.Context(), objstore.Bucket{
		Name: "files", Versioning: objstore.VersioningEnabled, Default: objstore.Encryption{Algorithm: objstore.KMS},
	})
	require.NoError(t, err)
	o := fs.Options{Tree: s, Store: s, Logger: testLog(t)}
	if objects {
		o.Reads, o.Writes = service, service
	}
	m := &mounted{files: fs.New(o)}
	t.Cleanup(func() {
		require.NoError(t, m.files.Close())
		require.Zero(t, m.files.OpenFiles(), "files are open after unmounting")
		_, err := s.Check(context.Background(), nil, func(d objstore.Damage) { t.Errorf("damage: %s/%s: %s", d.Bucket, d.Key, d.What) })
		require.NoError(t, err)
		require.NoError(t, s.Close())
	})
	m.dir = m.mount(t)
	return m
}

// TestPosixOnTheEngine is TestPosix on the store that is shipped.
func TestPosixOnTheEngine(t *testing.T) {
	require.NotEmpty(t, posixtest.All)
	for name, run := range posixtest.All {
		if slices.Contains(wrongCases(), name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := engine(t)
			t.Cleanup(func() { require.False(t, t.Skipped(), "a case of the suite was skipped") })
			run(t, m.dir)
		})
	}
}
