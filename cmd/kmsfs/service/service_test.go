package service

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/fs"
	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
	"kmsfs/xattr"
)

// testFiles is the files of a store without any kernel.
type testFiles struct{ *fs.FS }

func (testFiles) LastError(context.Context, objstore.Ino) string { return "" }

// open makes a service over a new store, with a bucket "b".
func open(t *testing.T) (context.Context, *Service) {
	t.Helper()
	ctx := kms.WithCaller(context.Background(), Caller(0, 1))
	st, err := badgerstore.Open(t.TempDir(), badgerstore.Options{Secret: make([]byte, 32)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	keys, err := local.Open(st.Records(), make([]byte, 32), local.Options{})
	require.NoError(t, err)
	k := kms.NewService(keys, kms.Options{ServiceKeys: map[uint32][]byte{1: make([]byte, 32)}})
	st.SetKMS(k)
	files := fs.New(fs.Options{Tree: st, Store: st})
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	s := New(Options{Path: "/store", Store: st, KMS: k, Files: testFiles{files}, Logger: slog.New(slog.DiscardHandler)})
	_, err = s.BucketCreate(ctx, BucketSettings{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	return ctx, s
}

func put(t *testing.T, ctx context.Context, s *Service, key, body string) {
	t.Helper()
	_, err := s.Store.PutObject(ctx, objstore.PutInput{Bucket: "bkt", Key: key, Body: strings.NewReader(body)})
	require.NoError(t, err)
}

func key(t *testing.T, ctx context.Context, s *Service, alias string) Key {
	t.Helper()
	k, err := s.KeyCreate(ctx, KeyCreateRequest{Alias: alias})
	require.NoError(t, err)
	return k
}

// set selects an attribute of an object or directory.
func set(t *testing.T, ctx context.Context, s *Service, o Object, name, value string) {
	t.Helper()
	p, err := s.locate(ctx, o)
	require.NoError(t, err)
	n, err := s.node(ctx, p, o)
	require.NoError(t, err)
	require.NoError(t, s.Store.SetXattr(ctx, n.Ino, name, []byte(value), objstore.XattrSet))
}

func TestBucketSettings(t *testing.T) {
	ctx, s := open(t)
	k := key(t, ctx, s, "alias/x")
	week := 7 * 24 * time.Hour
	yes := true
	b, err := s.BucketCreate(ctx, BucketSettings{Name: "two", Versioning: objstore.VersioningEnabled, ExpireNoncurrent: &week, KeyID: "alias/x", BucketKey: &yes})
	require.NoError(t, err)
	require.Equal(t, Settings{SSE: "aws:kms", KeyID: "alias/x", BucketKey: true}, b.Default)
	require.Equal(t, "enabled", b.Versioning)

	b, err = s.BucketSet(ctx, BucketSettings{Name: "two", Versioning: objstore.VersioningSuspended})
	require.NoError(t, err)
	require.Equal(t, "suspended", b.Versioning)
	require.Equal(t, week, b.Expire)
	require.Equal(t, "alias/x", b.Default.KeyID)

	b, err = s.BucketSet(ctx, BucketSettings{Name: "two", SSE: "AES256"})
	require.NoError(t, err)
	require.Equal(t, Settings{SSE: "AES256"}, b.Default)

	_, err = s.BucketSet(ctx, BucketSettings{Name: "two", SSE: "AES256", KeyID: k.ARN})
	require.ErrorIs(t, err, BadRequest)
	_, err = s.BucketSet(ctx, BucketSettings{Name: "two", KeyID: "alias/none"})
	require.ErrorIs(t, err, kms.NotFoundException)
	_, err = s.BucketShow(ctx, BucketName{"none"})
	require.ErrorIs(t, err, objstore.NoSuchBucket)
}

func TestKeyWithATakenAliasIsNotMade(t *testing.T) {
	ctx, s := open(t)
	key(t, ctx, s, "alias/x")
	_, err := s.KeyCreate(ctx, KeyCreateRequest{Alias: "alias/x"})
	require.ErrorIs(t, err, kms.AlreadyExistsException)
	_, err = s.KeyCreate(ctx, KeyCreateRequest{Alias: "x"})
	require.Error(t, err)
	all, err := s.KeyList(ctx, Nothing{})
	require.NoError(t, err)
	require.Len(t, all, 1)
}

func TestKeysAreChangedByAlias(t *testing.T) {
	ctx, s := open(t)
	k := key(t, ctx, s, "alias/x")
	stopped, err := s.KeyDisable(ctx, KeyID{"alias/x"})
	require.NoError(t, err)
	require.Equal(t, kms.StateDisabled, stopped.State)
	require.Equal(t, kms.DefaultBucketKeyLifetime, stopped.BucketKeyLifetime)
	require.True(t, stopped.BucketKeysDropped)
	require.False(t, stopped.Shared)
	got, err := s.KeyEnable(ctx, KeyID{k.ARN})
	require.NoError(t, err)
	require.Equal(t, kms.StateEnabled, got.State)
	require.Equal(t, []string{"alias/x"}, got.Aliases)
	got, err = s.KeyRotate(ctx, KeyID{"alias/x"})
	require.NoError(t, err)
	require.NotEqual(t, k.MaterialID, got.MaterialID)
	s.Provider = func() KeyProvider { return KeyProvider{Name: "aws"} }
	stopped, err = s.KeyScheduleDeletion(ctx, KeyDeletionRequest{ID: "alias/x", Days: 7})
	require.NoError(t, err)
	require.Equal(t, kms.StatePendingDeletion, stopped.State)
	require.True(t, stopped.Shared, "the key is where others use it too")
	_, err = s.KeyEnable(ctx, KeyID{"alias/x"})
	require.ErrorIs(t, err, kms.KMSInvalidStateException)
}

func TestManyKeysAndAliasesAreListed(t *testing.T) {
	ctx, s := open(t)
	want := pageSize + 5
	for i := range want {
		key(t, ctx, s, "alias/k"+strings.Repeat("x", i))
	}
	keys, err := s.KeyList(ctx, Nothing{})
	require.NoError(t, err)
	require.Len(t, keys, want)
	aliases, err := s.AliasList(ctx, Nothing{})
	require.NoError(t, err)
	require.Len(t, aliases, want)
	for _, k := range keys {
		require.Len(t, k.Aliases, 1)
	}
}

func TestVersionsAndRestore(t *testing.T) {
	ctx, s := open(t)
	put(t, ctx, s, "d/f", "one")
	put(t, ctx, s, "d/f", "two!")
	o := Object{"bkt", "d/f"}
	all, err := s.Versions(ctx, o)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.True(t, all[0].Current)
	require.Equal(t, int64(4), all[0].Size)

	v, err := s.Restore(ctx, RestoreRequest{o, all[1].ID})
	require.NoError(t, err)
	require.Equal(t, int64(3), v.Size)
	require.True(t, v.Current)
	_, err = s.Restore(ctx, RestoreRequest{o, "nonsense"})
	require.ErrorIs(t, err, objstore.NoSuchVersion)

	_, err = s.Store.DeleteObject(ctx, "bkt", "d/f", "", objstore.Condition{})
	require.NoError(t, err)
	all, err = s.Versions(ctx, o)
	require.NoError(t, err)
	require.True(t, all[0].DeleteMarker, "the directory is gone, too: nothing else was in it")
	_, err = s.Restore(ctx, RestoreRequest{o, "nonsense"})
	require.ErrorIs(t, err, objstore.NoSuchVersion)
	v, err = s.Restore(ctx, RestoreRequest{o, all[1].ID})
	require.NoError(t, err)
	require.Equal(t, int64(3), v.Size)

	_, err = s.Versions(ctx, Object{"bkt", "d/none"})
	require.Error(t, err)
	_, err = s.Versions(ctx, Object{"bkt", ""})
	require.ErrorIs(t, err, BadRequest)
}

func TestReencryptTakesWhatIsPending(t *testing.T) {
	ctx, s := open(t)
	key(t, ctx, s, "alias/x")
	for _, k := range []string{"d/a", "d/e/b", "d/e/c", "other"} {
		put(t, ctx, s, k, "text")
	}
	set(t, ctx, s, Object{"bkt", "d"}, xattr.KeyID, "alias/x")
	tree := TreeRequest{Objects: []Object{{"bkt", "d"}}, Recursive: true}

	dry := tree
	dry.DryRun = true
	a, err := s.Reencrypt(ctx, dry, nil)
	require.NoError(t, err)
	require.Equal(t, TreeAnswer{Files: 3, Bytes: 12, KMSCalls: 3, DryRun: true}, a)

	a, err = s.Reencrypt(ctx, tree, nil)
	require.NoError(t, err)
	require.Equal(t, TreeAnswer{Files: 3, Bytes: 12, KMSCalls: 3}, a)
	all, err := s.Versions(ctx, Object{"bkt", "d/e/c"})
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "aws:kms", all[0].Stored.SSE)

	a, err = s.Reencrypt(ctx, tree, nil)
	require.NoError(t, err)
	require.Equal(t, TreeAnswer{Skipped: 3}, a, "a second run has nothing to do")
	tree.All = true
	a, err = s.Reencrypt(ctx, tree, nil)
	require.NoError(t, err)
	require.Equal(t, int64(3), a.Files)

	a, err = s.Reencrypt(ctx, TreeRequest{Objects: []Object{{"bkt", "d/a"}}}, nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Files, "a file that is named is always done")
	_, err = s.Reencrypt(ctx, TreeRequest{Objects: []Object{{"bkt", "d"}}}, nil)
	require.ErrorIs(t, err, BadRequest)
	_, err = s.Reencrypt(ctx, TreeRequest{Objects: []Object{{"bkt", "none"}}}, nil)
	require.ErrorIs(t, err, objstore.NoSuchNode)
}

func TestReencryptGoesOnPastAFailure(t *testing.T) {
	ctx, s := open(t)
	key(t, ctx, s, "alias/x")
	put(t, ctx, s, "a", "text")
	put(t, ctx, s, "b", "text")
	set(t, ctx, s, Object{"bkt", "a"}, xattr.KeyID, "alias/x")
	_, err := s.KeyDisable(ctx, KeyID{"alias/x"})
	require.NoError(t, err)
	var failed []Event
	a, err := s.Reencrypt(ctx, TreeRequest{Objects: []Object{{"bkt", ""}}, Recursive: true, All: true}, func(e Event) {
		if e.Error != "" {
			failed = append(failed, e)
		}
	})
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Files)
	require.Equal(t, int64(1), a.Failed)
	require.Len(t, failed, 1)
	require.Equal(t, "bkt/a", failed[0].Path)
	require.Contains(t, failed[0].Error, "disabled")
	require.ErrorIs(t, failed[0].Cause, kms.DisabledException)
}

func TestRewrapMakesNoVersion(t *testing.T) {
	ctx, s := open(t)
	key(t, ctx, s, "alias/x")
	k := key(t, ctx, s, "alias/y")
	_, err := s.BucketSet(ctx, BucketSettings{Name: "bkt", KeyID: "alias/x"})
	require.NoError(t, err)
	put(t, ctx, s, "a", "text")
	_, err = s.BucketSet(ctx, BucketSettings{Name: "bkt", KeyID: "alias/y"})
	require.NoError(t, err)
	a, err := s.Rewrap(ctx, TreeRequest{Objects: []Object{{"bkt", ""}}, Recursive: true}, nil)
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Files)
	all, err := s.Versions(ctx, Object{"bkt", "a"})
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, k.ARN, all[0].Stored.KeyID)
}

func TestExplain(t *testing.T) {
	ctx, s := open(t)
	k := key(t, ctx, s, "alias/x")
	put(t, ctx, s, "d/a", "text")
	o := Object{"bkt", "d/a"}
	e, err := s.Explain(ctx, o)
	require.NoError(t, err)
	require.Equal(t, []Reason{{xattr.SSE, "AES256", "built-in", ""}}, e.Why)
	require.False(t, e.Pending)
	require.WithinDuration(t, time.Now(), e.Since, time.Minute)

	set(t, ctx, s, Object{"bkt", "d"}, xattr.KeyID, "alias/x")
	set(t, ctx, s, o, xattr.EncryptionContext, `{"team":"hr"}`)
	e, err = s.Explain(ctx, o)
	require.NoError(t, err)
	require.Equal(t, []Reason{
		{xattr.SSE, "aws:kms", "directory", "d/"},
		{xattr.KeyID, "alias/x", "directory", "d/"},
		{xattr.EncryptionContext, `{"team":"hr"}`, "file", "d/a"},
		{xattr.BucketKey, "false", "built-in", ""},
	}, e.Why)
	require.True(t, e.Pending)
	require.Equal(t, k.ARN, e.Selected.KeyID)
	require.Equal(t, "AES256", e.Stored.SSE)

	_, err = s.KeyDisable(ctx, KeyID{"alias/x"})
	require.NoError(t, err)
	e, err = s.Explain(ctx, o)
	require.NoError(t, err)
	require.Contains(t, e.Error, "disabled")

	e, err = s.Explain(ctx, Object{"bkt", "d"})
	require.NoError(t, err)
	require.True(t, e.Directory)
	require.Nil(t, e.Stored)
	require.Equal(t, "Disabled", e.KeyState)
}

func TestOnlyADaemonMounts(t *testing.T) {
	ctx, s := open(t)
	_, err := s.Mount(ctx, MountRequest{Dir: "/x", Bucket: "bkt"})
	require.ErrorIs(t, err, NotDaemon)
	_, err = s.Umount(ctx, UmountRequest{Dir: "/x"})
	require.ErrorIs(t, err, NotMounted)
}

// fakeMount is a mount that tests end.
type fakeMount struct {
	busy  bool
	ended chan struct{}
}

func (m *fakeMount) Unmount() error {
	if m.busy {
		return &Error{Code: Busy, Message: "in use"}
	}
	close(m.ended)
	return nil
}
func (m *fakeMount) Detach() error { return nil }
func (m *fakeMount) Abort() error  { close(m.ended); return nil }
func (m *fakeMount) Wait()         { <-m.ended }

func TestTheDaemonEndsWithItsLastMount(t *testing.T) {
	ctx, s := open(t)
	made := map[string]*fakeMount{}
	s.Mounter = func(_ context.Context, r MountRequest) (Mounted, error) {
		m := &fakeMount{ended: make(chan struct{})}
		made[r.Dir] = m
		return m, nil
	}
	for _, dir := range []string{"/x", "/y"} {
		_, err := s.Mount(ctx, MountRequest{Dir: dir, Bucket: "new"})
		require.NoError(t, err)
	}
	_, err := s.Mount(ctx, MountRequest{Dir: "/x", Bucket: "new"})
	require.ErrorIs(t, err, BadMount)
	_, err = s.BucketRemove(ctx, BucketName{"new"})
	require.ErrorIs(t, err, Busy)

	made["/x"].busy = true
	_, err = s.Umount(ctx, UmountRequest{"/x"})
	require.ErrorIs(t, err, Busy)
	a, err := s.Umount(ctx, UmountRequest{"/y"})
	require.NoError(t, err)
	require.False(t, a.Last)
	close(made["/x"].ended) // as umount(8) does it
	<-s.Ended()
	_, err = s.Mount(ctx, MountRequest{Dir: "/x", Bucket: "new"})
	require.ErrorIs(t, err, Closing)
}

func TestShutdownTakesBusyMountsAway(t *testing.T) {
	ctx, s := open(t)
	s.Mounter = func(context.Context, MountRequest) (Mounted, error) {
		return &fakeMount{busy: true, ended: make(chan struct{})}, nil
	}
	_, err := s.Mount(ctx, MountRequest{Dir: "/x", Bucket: "bkt"})
	require.NoError(t, err)
	s.Shutdown(ctx)
	<-s.Ended()
	require.Empty(t, s.mountList())
}
