package storetest

import (
	"bytes"
	"io"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func files() []Case {
	return []Case{
		{"Sparse", fileSparse}, {"ManyPages", fileManyPages}, {"SessionsMakeVersions", fileSessions}, {"CrashAfterSync", crashAfterSync},
		{"CloseAfterSync", closeAfterSync}, {"CrashAfterCommit", crashAfterCommit}, {"CrashUnlinked", crashUnlinked},
		{"Clone", fileClone}, {"ChangedSettings", changedSettings}, {"AmendAfterRename", amendAfterRename}, {"PutWhileOpen", putWhileOpen},
		{"AttributesOnly", attributesOnly}, {"NotBegun", notBegun}, {"Rewrap", fileRewrap}, {"CopyOfAmended", copyOfAmended},
		{"CommitTwoInlineStates", commitInlineTwice},
	}
}

const chunk = objstore.ChunkSize

var kmsEncryption = objstore.Encryption{Algorithm: objstore.KMS}

func (f *Fixture) openFile(ino objstore.Ino) objstore.File {
	f.Helper()
	h, err := f.tree().OpenFile(f.Ctx, ino)
	require.NoError(f, err)
	return h
}

// newFile makes a file and opens it for change.
func (f *Fixture) newFile(name string) (*objstore.Node, objstore.File) {
	f.Helper()
	n := f.mk(f.Root, name, modeFile)
	h := f.openFile(n.Ino)
	require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
	return n, h
}

func (f *Fixture) commit(h objstore.File) *objstore.Node {
	f.Helper()
	n, err := h.Commit(f.Ctx, objstore.AttrChange{})
	require.NoError(f, err)
	return n
}

func readFile(h objstore.File) ([]byte, error) {
	return io.ReadAll(io.NewSectionReader(h, 0, h.Size()))
}

func fileSparse(f *Fixture) {
	n, h := f.newFile("sparse")
	require.NoError(f, h.WriteChunks(2, block(1, chunk)))
	require.NoError(f, h.WriteChunks(5, block(2, 3*chunk)))
	require.NoError(f, h.SetSize(20*chunk+7))
	f.commit(h)
	at := func(seek func(int64) (int64, error), off int64) int64 {
		got, err := seek(off)
		require.NoError(f, err)
		return got
	}
	require.EqualValues(f, 2*chunk, at(h.SeekData, 0))
	require.EqualValues(f, 3*chunk, at(h.SeekHole, 2*chunk+1))
	require.EqualValues(f, 5*chunk, at(h.SeekData, 3*chunk))
	require.EqualValues(f, 8*chunk, at(h.SeekHole, 5*chunk))
	_, err := h.SeekData(8 * chunk)
	f.requireCode(objstore.NoData, err)
	_, err = h.SeekHole(20*chunk + 7)
	f.requireCode(objstore.NoData, err)
	require.EqualValues(f, 4*chunk, h.Allocated())
	require.NoError(f, h.DropChunks(5, 1))
	require.EqualValues(f, 6*chunk, at(h.SeekData, 3*chunk))
	require.NoError(f, h.Close())
	node, err := f.tree().Node(f.Ctx, n.Ino)
	require.NoError(f, err)
	require.EqualValues(f, 20*chunk+7, node.Size)
	want := make([]byte, 20*chunk+7)
	copy(want[2*chunk:], block(1, chunk))
	copy(want[5*chunk:], block(2, 3*chunk))
	require.True(f, string(want) == f.get("sparse", ""))
}

// fileManyPages: every second chunk, so that no extent joins another and the map needs pages.
func fileManyPages(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	n, h := f.newFile("pages")
	for i := range int64(40) {
		require.NoError(f, h.WriteChunks(i*50, block(uint64(i), chunk)))
	}
	first := f.commit(h)
	h.EndSession()
	require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
	require.NoError(f, h.WriteChunks(600, block(99, chunk)))
	f.commit(h)
	require.NoError(f, h.Close())
	f.gc()
	f.reopen()
	_, r, err := f.tree().OpenVersion(f.Ctx, f.Root, "pages", first.VersionID)
	require.NoError(f, err)
	defer r.Close()
	now := f.openFile(n.Ino)
	defer now.Close()
	p := make([]byte, chunk)
	for i := range int64(40) {
		_, err := r.ReadAt(p, i*50*chunk)
		require.NoError(f, err)
		require.True(f, bytes.Equal(block(uint64(i), chunk), p), "old version, chunk %d", i*50)
		_, err = now.ReadAt(p, i*50*chunk)
		require.NoError(f, err)
		want := block(uint64(i), chunk)
		if i*50 == 600 {
			want = block(99, chunk)
		}
		require.True(f, bytes.Equal(want, p), "chunk %d", i*50)
	}
}

func fileSessions(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	_, h := f.newFile("s")
	var ids []objstore.VersionID
	for session := range 3 {
		require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
		var id objstore.VersionID
		for i := range 4 {
			require.NoError(f, h.WriteChunks(0, block(uint64(session*10+i), 100+i*20<<10)))
			n := f.commit(h)
			require.True(f, i == 0 || n.VersionID == id, "one session makes one version")
			id = n.VersionID
		}
		ids = append(ids, id)
		h.EndSession()
	}
	require.NoError(f, h.Close())
	f.gc()
	vs, err := f.tree().Versions(f.Ctx, f.Root, "s")
	require.NoError(f, err)
	require.Len(f, vs, 3)
	for session, id := range ids {
		require.True(f, string(block(uint64(session*10+3), 100+3*20<<10)) == f.get("s", id)[:100+3*20<<10])
	}
}

func crashAfterSync(f *Fixture) {
	if f.Crash == nil {
		f.Skip("the store cannot be crashed")
	}
	for i, size := range []int{100, 3 * chunk} {
		n, h := f.newFile("x" + string(rune('a'+i)))
		require.NoError(f, h.WriteChunks(0, block(1, size)))
		f.commit(h)
		h.EndSession()
		require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
		for i := range 5 {
			require.NoError(f, h.WriteChunks(0, block(uint64(i), size)))
			require.NoError(f, h.Sync(f.Ctx, objstore.AttrChange{}))
		}
		require.NoError(f, h.WriteChunks(0, block(77, size)))
		env := f.Crash(f)
		got, err := readObject(f.Ctx, env.Store, f.Bucket, n.Name, "")
		require.NoError(f, err)
		require.True(f, bytes.Equal(block(4, size), got), "what was fsynced is the content")
		requireClean(f, env)
		require.NoError(f, env.Store.Close())
		require.NoError(f, h.Close())
	}
}

func closeAfterSync(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	_, h := f.newFile("x")
	require.NoError(f, h.WriteChunks(0, []byte("synced")))
	require.NoError(f, h.Sync(f.Ctx, objstore.AttrChange{}))
	require.NoError(f, h.WriteChunks(0, []byte("after it")))
	require.NoError(f, h.Close())
	require.Equal(f, "synced", f.get("x", ""))
}

func crashAfterCommit(f *Fixture) {
	if f.Crash == nil {
		f.Skip("the store cannot be crashed")
	}
	f.versioning(objstore.VersioningEnabled)
	_, h := f.newFile("x")
	want := block(1, 5*chunk+1)
	require.NoError(f, h.WriteChunks(0, want))
	f.commit(h)
	require.NoError(f, h.Close())
	f.put("y", "one")
	f.put("y", "two")
	f.delete("z", "")
	env := f.Crash(f)
	got, err := readObject(f.Ctx, env.Store, f.Bucket, "x", "")
	require.NoError(f, err)
	require.True(f, bytes.Equal(want, got))
	require.Equal(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 10), listVersions(f, env.Store, f.Bucket, objstore.ListInput{}, 10))
	requireClean(f, env)
	requireUsage(f, env.Store, f.Bucket)
	require.NoError(f, env.Store.Close())
}

func crashUnlinked(f *Fixture) {
	if f.Crash == nil {
		f.Skip("the store cannot be crashed")
	}
	n, h := f.newFile("x")
	require.NoError(f, h.WriteChunks(0, block(1, 3*chunk)))
	f.commit(h)
	require.NoError(f, f.tree().Unlink(f.Ctx, f.Root, "x"))
	require.NoError(f, h.WriteChunks(1, block(2, chunk)))
	require.NoError(f, h.Sync(f.Ctx, objstore.AttrChange{}))
	env := f.Crash(f)
	_, err := env.Store.(objstore.Tree).Node(f.Ctx, n.Ino)
	f.requireCode(objstore.NoSuchNode, err)
	requireClean(f, env)
	requireUsage(f, env.Store, f.Bucket)
	require.NoError(f, env.Store.Close())
	require.NoError(f, h.Close())
}

func fileClone(f *Fixture) {
	_, a := f.newFile("a")
	want := block(1, 6*chunk+5)
	require.NoError(f, a.WriteChunks(0, want))
	f.commit(a)
	_, b := f.newFile("b")
	ok, err := b.CloneFrom(f.Ctx, a, 0, 0, 7)
	require.NoError(f, err)
	if !ok {
		f.Skip("the store does not share chunks")
	}
	got, err := readFile(b)
	require.NoError(f, err)
	require.True(f, bytes.Equal(want, got), "a clone")
	f.commit(b)
	require.NoError(f, a.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
	require.NoError(f, a.WriteChunks(0, block(2, 6*chunk)))
	f.commit(a)
	require.NoError(f, a.Close())
	require.NoError(f, b.Close())
	f.gc()
	require.True(f, string(want) == f.get("b", ""), "the clone keeps its bytes")
	require.NoError(f, f.tree().Unlink(f.Ctx, f.Root, "a"))
	f.gc()
	f.reopen()
	require.True(f, string(want) == f.get("b", ""))
	f.cloneUncommitted()
}

// cloneUncommitted: the source goes without a commit, also with chunks that no transaction has stored.
func (f *Fixture) cloneUncommitted() {
	for _, size := range []int{200, 9*chunk + 200} {
		_, a := f.newFile("a" + string(rune('0'+size%10)) + "x" + string(rune('0'+size/chunk)))
		require.NoError(f, a.WriteChunks(0, block(3, size)))
		require.NoError(f, a.Sync(f.Ctx, objstore.AttrChange{}))
		require.NoError(f, a.WriteChunks(0, block(4, size)))
		n, b := f.newFile("b" + string(rune('0'+size/chunk)))
		ok, err := b.CloneFrom(f.Ctx, a, 0, 0, int64(size+chunk-1)/chunk)
		require.NoError(f, err)
		require.True(f, ok)
		require.NoError(f, a.Close())
		f.commit(b)
		require.NoError(f, b.Close())
		f.gc()
		require.True(f, string(block(4, size)) == f.get(n.Name, ""))
	}
}

func changedSettings(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	n, h := f.newFile("x")
	want := block(1, 30*chunk+1)
	require.NoError(f, h.WriteChunks(0, want))
	f.commit(h)
	h.EndSession()
	encs := []objstore.Encryption{{Algorithm: objstore.AES256}, {Algorithm: objstore.DSSE}, {Algorithm: objstore.KMS, BucketKey: true}, kmsEncryption}
	for i, enc := range encs {
		require.NoError(f, h.Begin(f.Ctx, enc, objstore.BeginKeep))
		copy(want[(3+i)*chunk:], block(uint64(50+i), chunk))
		require.NoError(f, h.WriteChunks(int64(3+i), want[(3+i)*chunk:(4+i)*chunk]))
		got, err := readFile(h)
		require.NoError(f, err)
		require.True(f, bytes.Equal(want, got), "half under the old key")
		require.Equal(f, enc.Algorithm, f.commit(h).Stored.Algorithm)
		h.EndSession()
		got, err = readFile(h)
		require.NoError(f, err)
		require.True(f, bytes.Equal(want, got))
	}
	require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginRenew))
	f.commit(h)
	require.NoError(f, h.Close())
	f.reopen()
	require.True(f, string(want) == f.get("x", ""))
	vs, err := f.tree().Versions(f.Ctx, f.Root, "x")
	require.NoError(f, err)
	require.Len(f, vs, 2+len(encs))
	require.Equal(f, n.Name, vs[0].Key)
}

// amendAfterRename: a rename in the middle of a session does not make a version.
func amendAfterRename(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	_, h := f.newFile("a")
	require.NoError(f, h.WriteChunks(0, []byte("one")))
	f.commit(h)
	require.NoError(f, f.tree().Rename(f.Ctx, f.Root, "a", f.Root, "b", objstore.RenamePlain))
	require.NoError(f, h.WriteChunks(0, []byte("two")))
	f.commit(h)
	require.NoError(f, h.Close())
	vs, err := f.tree().Versions(f.Ctx, f.Root, "b")
	require.NoError(f, err)
	require.Len(f, vs, 1)
	require.Equal(f, "two", f.get("b", ""))
}

// putWhileOpen: a PUT through another door between two commits of a session is a version of its own.
func putWhileOpen(f *Fixture) {
	for _, v := range []objstore.Versioning{objstore.VersioningOff, objstore.VersioningEnabled} {
		if v != objstore.VersioningOff {
			f.versioning(v)
		}
		name := "f" + string(v)
		_, h := f.newFile(name)
		require.NoError(f, h.WriteChunks(0, block(1, 2*chunk)))
		v1 := f.commit(h)
		h.EndSession()
		require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginKeep))
		require.NoError(f, h.WriteChunks(0, block(2, 3*chunk)))
		v2 := f.commit(h)
		f.put(name, "put")
		if v != objstore.VersioningOff {
			f.delete(name, v1.VersionID)
		}
		require.NoError(f, h.WriteChunks(0, block(3, 3*chunk)))
		f.commit(h)
		require.NoError(f, h.Close())
		f.gc()
		require.True(f, string(block(3, 3*chunk)) == f.get(name, ""))
		if v != objstore.VersioningOff {
			require.True(f, string(block(2, 3*chunk)) == f.get(name, v2.VersionID), "the version that the PUT replaced keeps its bytes")
		}
	}
}

// copyOfAmended: a copy of a version that its session goes on to change.
func copyOfAmended(f *Fixture) {
	_, h := f.newFile("x")
	for _, size := range []int{100, 3 * chunk} {
		require.NoError(f, h.Begin(f.Ctx, kmsEncryption, objstore.BeginEmpty))
		require.NoError(f, h.WriteChunks(0, block(1, size)))
		f.commit(h)
		f.copy("x", "copy", "", &kmsEncryption)
		require.NoError(f, h.WriteChunks(0, block(2, size)))
		f.commit(h)
		f.gc()
		require.True(f, string(block(1, size)) == f.get("copy", ""))
		require.True(f, string(block(2, size)) == f.get("x", ""))
	}
	require.NoError(f, h.Close())
}

func attributesOnly(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	n, h := f.newFile("x")
	require.NoError(f, h.WriteChunks(0, []byte("x")))
	first := f.commit(h)
	h.EndSession()
	mode := uint32(0o600)
	again, err := h.Commit(f.Ctx, objstore.AttrChange{Mode: &mode})
	require.NoError(f, err)
	require.Equal(f, first.VersionID, again.VersionID)
	require.EqualValues(f, 0o100600, again.Mode)
	_, err = f.tree().SetAttr(f.Ctx, n.Ino, objstore.AttrChange{})
	require.NoError(f, err)
	require.NoError(f, h.Close())
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 10), 1)
}

func notBegun(f *Fixture) {
	n := f.mk(f.Root, "x", modeFile)
	h := f.openFile(n.Ino)
	require.Error(f, h.WriteChunks(0, []byte("x")))
	require.Zero(f, h.Size())
	_, err := h.ReadAt(make([]byte, 1), 0)
	require.Equal(f, io.EOF, err)
	require.NoError(f, h.Authorize(f.Ctx, true))
	require.NoError(f, h.Close())
	_, err = f.Store.HeadObject(f.Ctx, f.Bucket, "x", "")
	f.requireCode(objstore.NoSuchKey, err)
	d := f.mk(f.Root, "d", modeDir)
	_, err = f.tree().OpenFile(f.Ctx, d.Ino)
	f.requireCode(objstore.IsDirectory, err)
}

func fileRewrap(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	n := f.mk(f.Root, "x", modeFile)
	f.write(n.Ino, string(block(1, 3*chunk)))
	arn := f.newKey()
	enc := objstore.Encryption{Algorithm: objstore.KMS, KeyID: arn, Context: map[string]string{"a": "b"}}
	require.NoError(f, f.tree().Rewrap(f.Ctx, n.Ino, enc))
	now, err := f.tree().Node(f.Ctx, n.Ino)
	require.NoError(f, err)
	require.True(f, enc.Equal(now.Stored))
	require.True(f, string(block(1, 3*chunk)) == f.get("x", ""))
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 10), 1)
	h := f.openFile(n.Ino)
	require.NoError(f, h.Begin(f.Ctx, enc, objstore.BeginKeep))
	enc = objstore.Encryption{Algorithm: objstore.KMS, KeyID: f.newKey()}
	require.NoError(f, f.tree().Rewrap(f.Ctx, n.Ino, enc))
	require.NoError(f, h.WriteChunks(0, block(2, chunk)))
	require.True(f, enc.Equal(f.commit(h).Stored), "a commit does not bring back the key that was left")
	require.NoError(f, h.Close())
	require.True(f, string(block(2, chunk)) == f.get("x", "")[:chunk])
}

// commitInlineTwice: small chunks of one session replace each other and leave nothing behind.
func commitInlineTwice(f *Fixture) {
	_, h := f.newFile("x")
	for i := range 20 {
		require.NoError(f, h.WriteChunks(0, block(uint64(i), 500)))
		if i%3 == 0 {
			require.NoError(f, h.Sync(f.Ctx, objstore.AttrChange{}))
		}
		f.commit(h)
		got, err := readFile(h)
		require.NoError(f, err)
		require.True(f, bytes.Equal(block(uint64(i), 500), got))
	}
	require.NoError(f, h.Close())
}
