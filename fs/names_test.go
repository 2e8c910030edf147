package fs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func lookup(t testing.TB, v *View, parent objstore.Ino, name string) *objstore.Node {
	t.Helper()
	n, _, err := v.Lookup(t.Context(), parent, name)
	require.NoError(t, err)
	return n
}

// list reads a directory with answers of limit entries.
func list(t *testing.T, v *View, ino objstore.Ino, limit int) (names []string) {
	t.Helper()
	d, err := v.OpenDir(t.Context(), ino)
	require.NoError(t, err)
	for offset := uint64(0); ; {
		entries, err := d.Read(t.Context(), offset, limit, true)
		require.NoError(t, err)
		if len(entries) == 0 {
			return names
		}
		for _, e := range entries {
			names = append(names, e.Name)
			offset = e.Next
		}
		d.Given(offset)
	}
}

func TestDirectoryOffsetsStayValid(t *testing.T) {
	_, _, v := setup(t)
	for k := range 30 {
		put(t, v, v.Root(), fmt.Sprintf("f%02d", k), "x")
	}
	d, err := v.OpenDir(t.Context(), v.Root())
	require.NoError(t, err)
	first, err := d.Read(t.Context(), 0, 10, false)
	require.NoError(t, err)
	require.Len(t, first, 12)
	require.Equal(t, ".", first[0].Name)
	require.Equal(t, "..", first[1].Name)
	require.EqualValues(t, 3, first[2].Next)
	d.Given(first[6].Next) // f04 was the last that fitted
	for k := range 10 {
		require.NoError(t, v.Unlink(t.Context(), v.Root(), fmt.Sprintf("f%02d", k)))
	}
	rest, err := d.Read(t.Context(), first[6].Next, 10, true)
	require.NoError(t, err)
	require.Equal(t, "f10", rest[0].Name)
	require.NotNil(t, rest[0].Node)
	back, err := d.Read(t.Context(), first[3].Next, 10, false)
	require.NoError(t, err)
	require.Equal(t, "f02", back[0].Name, "what was told of stays")
	anew, err := d.Read(t.Context(), 0, 10, false)
	require.NoError(t, err)
	require.Equal(t, "f10", anew[2].Name, "offset 0 starts anew")
}

func TestOffsetOfAnotherHandle(t *testing.T) {
	_, _, v := setup(t)
	for k := range 20 {
		put(t, v, v.Root(), fmt.Sprintf("f%02d", k), "x")
	}
	d, err := v.OpenDir(t.Context(), v.Root())
	require.NoError(t, err)
	entries, err := d.Read(t.Context(), 12, 100, false)
	require.NoError(t, err)
	require.Len(t, entries, 10)
	require.Equal(t, "f10", entries[0].Name)
	entries, err = d.Read(t.Context(), 1<<40, 100, false)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestListingIsComplete(t *testing.T) {
	_, _, v := setup(t)
	want := []string{".", ".."}
	for k := range 57 {
		put(t, v, v.Root(), fmt.Sprintf("f%02d", k), "x")
		want = append(want, fmt.Sprintf("f%02d", k))
	}
	for _, limit := range []int{1, 7, 57, 58, 1000} {
		require.Equal(t, want, list(t, v, v.Root(), limit))
	}
}

func TestSetgidDirectory(t *testing.T) {
	_, _, v := setup(t)
	d := mkdir(t, v, v.Root(), "d")
	mode, gid := uint32(0o2775), uint32(42)
	_, err := v.SetAttr(t.Context(), d, nil, SetAttr{AttrChange: objstore.AttrChange{Mode: &mode, GID: &gid}})
	require.NoError(t, err)
	require.EqualValues(t, 42, lookup(t, v, v.Root(), "d").GID)
	put(t, v, d, "f", "x")
	require.EqualValues(t, 42, lookup(t, v, d, "f").GID)
	mkdir(t, v, d, "sub")
	require.EqualValues(t, 0o2755, lookup(t, v, d, "sub").Mode&0o7777)
}

func TestRenameOverAnOpenFile(t *testing.T) {
	_, _, v := setup(t)
	put(t, v, v.Root(), "new", "new")
	old := put(t, v, v.Root(), "old", "old")
	h := open(t, v, old, OpenFlags{})
	require.NoError(t, v.Rename(t.Context(), v.Root(), "new", v.Root(), "old", objstore.RenamePlain))
	require.Equal(t, "old", string(readAll(t, h, 3)))
	node, _, err := v.GetAttr(t.Context(), old)
	require.NoError(t, err)
	require.Zero(t, node.Nlink)
	h.Release(t.Context())
}

func TestOldVersions(t *testing.T) {
	_, _, v := setup(t)
	dir := mkdir(t, v, v.Root(), "d")
	for k := range 3 {
		put(t, v, dir, "f", strings.Repeat("x", k+1))
		h := open(t, v, lookup(t, v, dir, "f").Ino, OpenFlags{Write: true, Truncate: true})
		write(t, h, 0, fmt.Sprint("content ", k))
		require.NoError(t, h.Flush(t.Context()))
		h.Release(t.Context())
	}
	put(t, v, dir, "single", "x")
	put(t, v, dir, "gone", "was here")
	require.NoError(t, v.Unlink(t.Context(), dir, "gone"))

	require.NotContains(t, list(t, v, dir, 100), VersionsName)
	versions := lookup(t, v, dir, VersionsName)
	require.Equal(t, []string{".", "..", "f", "gone"}, list(t, v, versions.Ino, 100))
	of := lookup(t, v, versions.Ino, "f")
	names := list(t, v, of.Ino, 2)
	require.Len(t, names, 2+5)
	require.IsIncreasing(t, names[2:])
	last := lookup(t, v, of.Ino, names[6])
	require.Zero(t, last.Mode&0o222, "nobody may write")
	h := open(t, v, last.Ino, OpenFlags{})
	require.Equal(t, "xxxtent 1", string(readAll(t, h, 100)), "put overwrote without truncating")
	end, err := h.SeekHole(0)
	require.NoError(t, err)
	require.EqualValues(t, 9, end)
	h.Release(t.Context())
	_, err = v.Open(t.Context(), last.Ino, OpenFlags{Write: true})
	require.ErrorIs(t, err, objstore.ReadOnly)
	requireXattr(t, v, last.Ino, "user.sse", "AES256")

	_, _, err = v.Lookup(t.Context(), versions.Ino, "single")
	require.ErrorIs(t, err, objstore.NoSuchNode)
	for _, name := range []string{"f", "gone"} {
		n := lookup(t, v, versions.Ino, name)
		require.NotEqual(t, last.Ino, n.Ino)
		require.NotZero(t, n.Ino&VirtualBit)
	}
}

func TestVersionsDirectoryIsNoKey(t *testing.T) {
	_, _, v := setup(t)
	f := put(t, v, v.Root(), "f", "x")
	_, err := v.Mknod(t.Context(), v.Root(), VersionsName, NodeInit{Mode: sIFDIR})
	require.ErrorIs(t, err, objstore.NodeExists)
	_, _, err = v.Create(t.Context(), v.Root(), VersionsName, NodeInit{}, OpenFlags{Write: true}, false)
	require.ErrorIs(t, err, objstore.NodeExists)
	require.ErrorIs(t, v.Rmdir(t.Context(), v.Root(), VersionsName), objstore.NotPermitted)
	require.ErrorIs(t, v.Rename(t.Context(), v.Root(), "f", v.Root(), VersionsName, objstore.RenamePlain), objstore.NotPermitted)
	_, err = v.Link(t.Context(), f, v.Root(), VersionsName)
	require.ErrorIs(t, err, objstore.NodeExists)
	_, _, err = v.Lookup(t.Context(), f, VersionsName)
	require.ErrorIs(t, err, objstore.NotDirectory)
	versions := lookup(t, v, v.Root(), VersionsName)
	_, err = v.Mknod(t.Context(), versions.Ino, "x", NodeInit{Mode: sIFDIR})
	require.ErrorIs(t, err, objstore.ReadOnly)
}

func TestVirtualNodesAreForgotten(t *testing.T) {
	_, _, v := setup(t)
	a, b := lookup(t, v, v.Root(), VersionsName), lookup(t, v, v.Root(), VersionsName)
	require.Equal(t, a.Ino, b.Ino)
	v.Forget(a.Ino, 1)
	_, _, err := v.GetAttr(t.Context(), a.Ino)
	require.NoError(t, err)
	v.Forget(a.Ino, 1)
	_, _, err = v.GetAttr(t.Context(), a.Ino)
	require.ErrorIs(t, err, Stale)
	require.Zero(t, v.virtual.len())
}

func TestVersionFileNamesSortByTime(t *testing.T) {
	at := time.Date(2024, 2, 3, 4, 5, 6, 7000, time.FixedZone("", 3600))
	name := versionFileName(objstore.Object{LastModified: at, VersionID: "v-1"})
	require.Equal(t, "20240203T030506.000007000Z-v-1", name)
	require.Less(t, name, versionFileName(objstore.Object{LastModified: at.Add(time.Nanosecond), VersionID: "a"}))
}

func TestBucketsAreDirectories(t *testing.T) {
	s, f, _ := setup(t)
	v, err := f.NewView(t.Context(), ViewOptions{})
	require.NoError(t, err)
	require.Equal(t, BucketsRoot, v.Root())
	made, err := v.Mknod(t.Context(), v.Root(), "new", NodeInit{Mode: sIFDIR | 0o700, UID: 5})
	require.NoError(t, err)
	require.EqualValues(t, 5, made.UID)
	require.Equal(t, []string{".", "..", "files", "new"}, list(t, v, v.Root(), 1))
	put(t, v, made.Ino, "f", "x")
	require.ErrorIs(t, v.Rmdir(t.Context(), v.Root(), "new"), objstore.BucketNotEmpty)
	b := lookup(t, v, v.Root(), "files")
	require.ErrorIs(t, v.Rename(t.Context(), made.Ino, "f", b.Ino, "f", objstore.RenamePlain), objstore.CrossBucket)
	require.ErrorIs(t, v.Rename(t.Context(), v.Root(), "new", v.Root(), "x", objstore.RenamePlain), objstore.NotPermitted)
	require.ErrorIs(t, v.Rename(t.Context(), v.Root(), "new", b.Ino, "x", objstore.RenamePlain), objstore.CrossBucket)
	_, _, err = v.Create(t.Context(), v.Root(), "f", NodeInit{}, OpenFlags{Write: true}, false)
	require.ErrorIs(t, err, objstore.ReadOnly)
	require.NoError(t, v.Unlink(t.Context(), made.Ino, "f"))
	require.NoError(t, v.Rmdir(t.Context(), v.Root(), "new"))
	_, _, err = v.Lookup(t.Context(), v.Root(), "new")
	require.ErrorIs(t, err, objstore.NoSuchNode)
	space, err := v.Space(t.Context())
	require.NoError(t, err)
	require.NotZero(t, space.Free)
	require.NoError(t, s.Sync(t.Context()))
}

// told records what a kernel is told.
type told struct{ c chan change }

func (n told) InodeChanged(ino objstore.Ino, data bool) { n.c <- change{ino: ino, data: data} }
func (n told) EntryChanged(p objstore.Ino, name string) { n.c <- change{ino: p, name: name} }

func TestOtherMountsAreTold(t *testing.T) {
	_, f, v := setup(t)
	n := told{make(chan change, 100)}
	other, err := f.NewView(t.Context(), ViewOptions{Bucket: "files", Notifier: n})
	require.NoError(t, err)
	put(t, other, v.Root(), "own", "x")
	require.Empty(t, n.c, "a kernel knows what it did itself")
	ino := put(t, v, v.Root(), "f", "x")
	seen := map[change]bool{}
	for len(seen) < 3 {
		seen[<-n.c] = true
	}
	require.True(t, seen[change{ino: v.Root(), name: "f"}])
	require.True(t, seen[change{ino: ino, data: true}])
	require.NoError(t, other.Close(t.Context()))
	f.InodeChanged(ino, true)
	require.Empty(t, n.c)
}

func TestReadOnlyView(t *testing.T) {
	_, f, v := setup(t)
	ino := put(t, v, v.Root(), "f", "x")
	ro, err := f.NewView(t.Context(), ViewOptions{Bucket: "files", ReadOnly: true})
	require.NoError(t, err)
	_, err = ro.Open(t.Context(), ino, OpenFlags{Write: true})
	require.ErrorIs(t, err, objstore.ReadOnly)
	require.ErrorIs(t, ro.Unlink(t.Context(), ro.Root(), "f"), objstore.ReadOnly)
	size := int64(0)
	_, err = ro.SetAttr(t.Context(), ino, nil, SetAttr{Size: &size})
	require.ErrorIs(t, err, objstore.ReadOnly)
	h := open(t, ro, ino, OpenFlags{})
	require.Equal(t, "x", string(readAll(t, h, 5)))
	h.Release(t.Context())
}

func TestWatchTellsOfWhatAnotherDoorChanged(t *testing.T) {
	s, f, v := setup(t)
	n := told{make(chan change, 100)}
	_, err := f.NewView(t.Context(), ViewOptions{Bucket: "files", Notifier: n})
	require.NoError(t, err)
	d, err := s.Create(t.Context(), v.Root(), "d", objstore.NodeInit{Mode: sIFDIR})
	require.NoError(t, err)
	pass := func(key string, change func()) {
		done := f.Watch(t.Context(), "files", key)
		change()
		done()
	}
	file := func(parent objstore.Ino, name string) (n *objstore.Node) {
		n, err := s.Create(t.Context(), parent, name, objstore.NodeInit{Mode: sIFREG})
		require.NoError(t, err)
		return n
	}
	var made *objstore.Node
	pass("d/f", func() { made = file(d.Ino, "f") })
	require.Equal(t, change{ino: d.Ino, name: "f"}, <-n.c)
	require.Equal(t, change{ino: d.Ino}, <-n.c)
	pass("d/f", func() { s.Replace(made.Ino, "x") })
	require.Equal(t, change{ino: made.Ino, data: true}, <-n.c)
	pass("new/sub/f", func() {
		sub, err := s.Create(t.Context(), v.Root(), "new", objstore.NodeInit{Mode: sIFDIR})
		require.NoError(t, err)
		file(sub.Ino, "sub")
	})
	require.Equal(t, change{ino: v.Root(), name: "new"}, <-n.c)
	require.Equal(t, change{ino: v.Root()}, <-n.c)
	pass("d/f", func() { require.NoError(t, s.Unlink(t.Context(), d.Ino, "f")) })
	require.Equal(t, change{ino: d.Ino, name: "f"}, <-n.c)
	require.Equal(t, change{ino: d.Ino}, <-n.c)
	pass("d/f", func() {})
	require.Empty(t, n.c)
}

// A file that a rename replaces can be opened until the kernel forgets it: whoever has just looked its name up finds it.
func TestReplacedFileCanBeOpened(t *testing.T) {
	_, _, v := setup(t)
	create := func(name, content string) *objstore.Node {
		n, h, err := v.Create(t.Context(), v.Root(), name, NodeInit{Mode: 0o100644}, OpenFlags{Write: true}, true)
		require.NoError(t, err)
		write(t, h, 0, content)
		require.NoError(t, h.Flush(t.Context()))
		h.Release(t.Context())
		return n
	}
	old := create("name", "old")
	create("next", "new")
	require.NoError(t, v.Rename(t.Context(), v.Root(), "next", v.Root(), "name", objstore.RenamePlain))
	h, err := v.Open(t.Context(), old.Ino, OpenFlags{})
	require.NoError(t, err)
	buf := make([]byte, 3)
	n, err := h.Read(buf, 0)
	require.NoError(t, err)
	require.Equal(t, "old", string(buf[:n]))
	h.Release(t.Context())
	v.Forget(old.Ino, 1)
	_, err = v.Open(t.Context(), old.Ino, OpenFlags{})
	require.ErrorIs(t, err, Stale)
	require.Empty(t, v.held)

	now := lookup(t, v, v.Root(), "name")
	create("third", "third")
	require.NoError(t, v.Rename(t.Context(), v.Root(), "third", v.Root(), "name", objstore.RenamePlain))
	require.NotEqual(t, now.Ino, lookup(t, v, v.Root(), "name").Ino)
	require.Len(t, v.held, 1)
	require.NoError(t, v.Close(t.Context()), "an unmount lets go")
	require.Empty(t, v.held)
}
