package fs

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/fs/fstest"
	"kmsfs/objstore"
)

func TestSessionIsOneVersion(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	require.NoError(t, h.Flush(t.Context())) // the close of a copy of the descriptor
	require.Equal(t, 1, s.VersionCount(h.Ino()), "a created file has an empty version")
	write(t, h, 0, "one")
	require.NoError(t, h.Flush(t.Context()))
	write(t, h, 3, " two")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	require.Equal(t, 1, s.VersionCount(h.Ino()))

	again := open(t, v, h.Ino(), OpenFlags{Write: true})
	require.Equal(t, "one two", string(readAll(t, again, 7)))
	write(t, again, 0, "ONE")
	require.NoError(t, again.Flush(t.Context()))
	again.Release(t.Context())
	require.Equal(t, 2, s.VersionCount(h.Ino()))
}

func TestOpeningForWriteMakesNoVersion(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "x")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	again := open(t, v, h.Ino(), OpenFlags{Write: true})
	require.NoError(t, again.Flush(t.Context()))
	again.Release(t.Context())
	require.Equal(t, 1, s.VersionCount(h.Ino()))
}

// The kernel tells of the end of a close after the next open: versions must not depend on that.
func TestEachOpenForWriteIsAVersion(t *testing.T) {
	s, _, v := setup(t)
	first := create(t, v, "f")
	write(t, first, 0, "first")
	require.NoError(t, first.Flush(t.Context()))
	second := open(t, v, first.Ino(), OpenFlags{Write: true, Truncate: true})
	first.Release(t.Context())
	write(t, second, 0, "second")
	require.NoError(t, second.Flush(t.Context()))
	require.Equal(t, 2, s.VersionCount(first.Ino()))
	size := int64(3)
	_, err := v.SetAttr(t.Context(), first.Ino(), nil, SetAttr{Size: &size})
	require.NoError(t, err)
	require.Equal(t, 3, s.VersionCount(first.Ino()))
	second.Release(t.Context())
	require.Equal(t, 3, s.VersionCount(first.Ino()))
}

func TestTruncateWhileAnotherWrites(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "writing")
	size := int64(3)
	_, err := v.SetAttr(t.Context(), h.Ino(), nil, SetAttr{Size: &size})
	require.NoError(t, err)
	require.Zero(t, s.VersionCount(h.Ino()), "half of what the writer writes is no version")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	require.Equal(t, 1, s.VersionCount(h.Ino()))
}

func TestTruncateByPathIsAVersion(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "hello")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	for k, size := range []int64{2, 0, 100000} {
		node, err := v.SetAttr(t.Context(), h.Ino(), nil, SetAttr{Size: &size})
		require.NoError(t, err)
		require.Equal(t, size, node.Size)
		require.Equal(t, k+2, s.VersionCount(h.Ino()))
	}
}

func TestFailedCommitKeepsThePreviousVersion(t *testing.T) {
	s, f, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "good")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())

	full := errors.New("the disk is full")
	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "commit" {
			return full
		}
		return nil
	})
	reader := open(t, v, h.Ino(), OpenFlags{})
	writer := open(t, v, h.Ino(), OpenFlags{Write: true, Truncate: true})
	write(t, writer, 0, "bad")
	require.ErrorIs(t, writer.Flush(t.Context()), full)
	writer.Release(t.Context())
	require.Equal(t, "bad", string(readAll(t, reader, 9)), "data is kept while someone has the file open")
	why, err := v.GetXattr(t.Context(), h.Ino(), "user.kmsfs.error")
	require.NoError(t, err)
	require.Contains(t, string(why), "the disk is full")
	reader.Release(t.Context())
	require.Zero(t, f.OpenFiles())

	s.RefuseWith(nil)
	after := open(t, v, h.Ino(), OpenFlags{})
	defer after.Release(t.Context())
	require.Equal(t, "good", string(readAll(t, after, 9)))
	require.Equal(t, 1, s.VersionCount(h.Ino()))
}

func TestFailedCommitIsMadeUpByTheNextWriter(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "first")
	fails := true
	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "commit" && fails {
			return errors.New("no")
		}
		return nil
	})
	require.Error(t, h.Flush(t.Context()))
	fails = false
	write(t, h, 5, " second")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	node, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)
	require.EqualValues(t, 12, node.Size)
	_, err = v.GetXattr(t.Context(), h.Ino(), "user.kmsfs.error")
	require.ErrorIs(t, err, objstore.NoSuchXattr)
}

func TestRefusedKeyLeavesNoFile(t *testing.T) {
	s, _, v := setup(t)
	refused := errors.New("the key is disabled")
	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "begin" {
			return refused
		}
		return nil
	})
	_, _, err := v.Create(t.Context(), v.Root(), "f", NodeInit{Mode: 0o644}, OpenFlags{Write: true}, false)
	require.ErrorIs(t, err, refused)
	_, _, err = v.Lookup(t.Context(), v.Root(), "f")
	require.ErrorIs(t, err, objstore.NoSuchNode)
}

func TestEachOpenAsksForTheKey(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	asked := map[string]int{}
	s.RefuseWith(func(op string, _ objstore.Ino) error { asked[op]++; return nil })
	second := open(t, v, h.Ino(), OpenFlags{})
	require.Equal(t, 1, asked["authorize"])
	require.Zero(t, asked["open"], "all handles share one file")
	second.Release(t.Context())
	s.RefuseWith(func(string, objstore.Ino) error { return errors.New("revoked") })
	_, err := v.Open(t.Context(), h.Ino(), OpenFlags{})
	require.ErrorContains(t, err, "revoked")
	s.RefuseWith(nil)
	h.Release(t.Context())
}

func TestUnlinkedFileStaysUsable(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "data")
	require.NoError(t, v.Unlink(t.Context(), v.Root(), "f"))
	write(t, h, 4, " more")
	require.Equal(t, "data more", string(readAll(t, h, 9)))
	node, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)
	require.Zero(t, node.Nlink)
	require.EqualValues(t, 9, node.Size)
	require.NoError(t, h.Flush(t.Context()))
	require.Zero(t, s.VersionCount(h.Ino()), "what has no name gets no version")
	h.Release(t.Context())

	node, _, err = v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err, "the kernel may still hold it")
	require.Zero(t, node.Nlink)
	v.Forget(h.Ino(), 1)
	_, _, err = v.GetAttr(t.Context(), h.Ino())
	require.ErrorIs(t, err, Stale)
}

func TestTmpfileCanBeNamed(t *testing.T) {
	s, _, v := setup(t)
	node, h, err := v.Tmpfile(t.Context(), v.Root(), NodeInit{Mode: 0o600}, OpenFlags{Write: true})
	require.NoError(t, err)
	require.Zero(t, node.Nlink)
	write(t, h, 0, "x")
	_, err = v.Link(t.Context(), node.Ino, v.Root(), "f")
	require.NoError(t, err)
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	require.Equal(t, 1, s.VersionCount(node.Ino))
	node, _, err = v.Lookup(t.Context(), v.Root(), "f")
	require.NoError(t, err)
	require.EqualValues(t, 1, node.Size)
	require.EqualValues(t, 1, node.Nlink)
}

func TestReplacedFileIsSeenAtTheNextOpen(t *testing.T) {
	s, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "mine")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	reader := open(t, v, h.Ino(), OpenFlags{})
	require.True(t, reader.KeepPages, "the kernel saw every write")
	s.Replace(h.Ino(), "theirs")
	require.Equal(t, "mine", string(readAll(t, reader, 9)))
	next := open(t, v, h.Ino(), OpenFlags{})
	require.False(t, next.KeepPages)
	require.Equal(t, "theirs", string(readAll(t, next, 9)))
	reader.Release(t.Context())
	next.Release(t.Context())
}

func TestReencryptLosesNoWrite(t *testing.T) {
	s, f, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "begin ")
	done := make(chan error)
	go func() {
		for range 20 {
			if _, err := f.Reencrypt(t.Context(), h.Ino(), true); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	want := "begin "
	for range 200 {
		write(t, h, int64(len(want)), "word ")
		want += "word "
	}
	require.NoError(t, <-done)
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	again := open(t, v, h.Ino(), OpenFlags{})
	defer again.Release(t.Context())
	require.Equal(t, want, string(readAll(t, again, len(want))))
	require.GreaterOrEqual(t, s.VersionCount(h.Ino()), 20)
}

func TestReencryptOfAClosedFile(t *testing.T) {
	s, f, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "data")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	before, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)

	changed, err := f.Reencrypt(t.Context(), h.Ino(), false)
	require.NoError(t, err)
	require.False(t, changed, "nothing is pending")
	changed, err = f.Reencrypt(t.Context(), h.Ino(), true)
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, 2, s.VersionCount(h.Ino()))
	after, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)
	require.Equal(t, before.Mtime, after.Mtime, "the content did not change")
}

func TestMtimeThatWasSetSurvivesTheClose(t *testing.T) {
	_, _, v := setup(t)
	h := create(t, v, "f")
	write(t, h, 0, "data")
	when := objstore.Time{Sec: 12345, Nsec: 6}
	_, err := v.SetAttr(t.Context(), h.Ino(), h, SetAttr{AttrChange: objstore.AttrChange{Mtime: &when}})
	require.NoError(t, err)
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	node, _, err := v.GetAttr(t.Context(), h.Ino())
	require.NoError(t, err)
	require.Equal(t, when, node.Mtime)
}

func TestWriteDropsPrivileges(t *testing.T) {
	_, _, v := setup(t)
	for _, c := range []struct {
		mode, want uint32
		kill       bool
	}{
		{0o6755, 0o755, true}, {0o6745, 0o2745, true}, {0o4644, 0o644, true}, {0o6755, 0o6755, false},
	} {
		h := create(t, v, "f")
		mode := c.mode
		_, err := v.SetAttr(t.Context(), h.Ino(), nil, SetAttr{AttrChange: objstore.AttrChange{Mode: &mode}})
		require.NoError(t, err)
		require.NoError(t, v.SetXattr(t.Context(), h.Ino(), capabilityName, []byte("caps"), objstore.XattrSet))
		_, err = h.Write(t.Context(), 0, []byte("x"), c.kill)
		require.NoError(t, err)
		node, _, err := v.GetAttr(t.Context(), h.Ino())
		require.NoError(t, err)
		require.Equal(t, c.want, node.Mode&0o7777, "%o", c.mode)
		require.NotContains(t, node.Xattrs, capabilityName)
		require.NoError(t, v.Unlink(t.Context(), v.Root(), "f"))
		h.Release(context.Background())
	}
}

func TestChownDropsPrivileges(t *testing.T) {
	_, _, v := setup(t)
	h := create(t, v, "f")
	defer h.Release(t.Context())
	mode, uid := uint32(0o6755), uint32(7)
	_, err := v.SetAttr(t.Context(), h.Ino(), nil, SetAttr{AttrChange: objstore.AttrChange{Mode: &mode}})
	require.NoError(t, err)
	node, err := v.SetAttr(t.Context(), h.Ino(), nil, SetAttr{AttrChange: objstore.AttrChange{UID: &uid}})
	require.NoError(t, err)
	require.EqualValues(t, 0o755, node.Mode&0o7777)
}

func TestMemoryIsBounded(t *testing.T) {
	s, f, v := setup(t, func(o *Options) { o.DirtyLimit = 8 * chunkSize })
	h := create(t, v, "f")
	defer h.Release(t.Context())
	for k := range int64(100) {
		write(t, h, k*2*chunkSize+5, "x")
		require.LessOrEqual(t, f.pool.count, 8)
	}
	s.RefuseWith(func(op string, _ objstore.Ino) error {
		if op == "write" {
			return errors.New("the disk is full")
		}
		return nil
	})
	var err error
	for k := int64(100); k < 200 && err == nil; k++ {
		_, err = h.Write(t.Context(), k*2*chunkSize+5, []byte("x"), false)
	}
	require.ErrorContains(t, err, "the disk is full", "the writer is told when nothing can be written")
	s.RefuseWith(nil)
}

func TestReencryptOnSet(t *testing.T) {
	s := fstest.New()
	f := New(Options{Tree: s, Store: s})
	v, err := f.NewView(t.Context(), ViewOptions{Bucket: "files", ReencryptOnSet: true})
	require.NoError(t, err)
	h := create(t, v, "f")
	write(t, h, 0, "data")
	require.NoError(t, h.Flush(t.Context()))
	h.Release(t.Context())
	require.NoError(t, v.SetXattr(t.Context(), h.Ino(), "user.sse", []byte("aws:kms"), objstore.XattrSet))
	require.NoError(t, v.SetXattr(t.Context(), h.Ino(), "user.sse-kms-key-id", []byte("alias/x"), objstore.XattrSet))
	require.Equal(t, 1, s.VersionCount(h.Ino()), "not at once")
	start := time.Now()
	require.NoError(t, f.Close())
	require.Less(t, time.Since(start), reencryptDelay/2, "what waits runs at the end")
	require.Equal(t, 2, s.VersionCount(h.Ino()))
	node, err := s.Node(t.Context(), h.Ino())
	require.NoError(t, err)
	require.Contains(t, node.Stored.KeyID, "key/x")
}
