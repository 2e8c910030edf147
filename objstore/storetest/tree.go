package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func trees() []Case {
	return []Case{
		{"CreateLookupReadDir", treeCreate}, {"ReadDirPages", treeReadDir}, {"Names", treeNames}, {"Links", treeLinks},
		{"RenameOntoItself", renameOntoItself}, {"ExchangeFileAndDirectory", exchangeKinds}, {"History", treeHistory},
		{"DirectoryComesBack", directoryComesBack}, {"RenameOntoHistory", renameOntoHistory}, {"S3Directory", s3Directory},
		{"WeirdKeysAndMount", weirdKeysAndMount}, {"UnlinkedWhileOpen", unlinkedWhileOpen}, {"Restore", treeRestore},
		{"Xattrs", treeXattrs}, {"RenamedDirectoryOrder", renamedVersionOrder},
	}
}

const (
	modeFile = 0o100644
	modeDir  = 0o040755
)

func (f *Fixture) mk(parent objstore.Ino, name string, mode uint32) *objstore.Node {
	f.Helper()
	n, err := f.tree().Create(f.Ctx, parent, name, objstore.NodeInit{Mode: mode})
	require.NoError(f, err)
	return n
}

// write replaces a file's content in one session.
func (f *Fixture) write(ino objstore.Ino, body string) *objstore.Node {
	f.Helper()
	h, err := f.tree().OpenFile(f.Ctx, ino)
	require.NoError(f, err)
	require.NoError(f, h.Begin(f.Ctx, objstore.Encryption{Algorithm: objstore.KMS, BucketKey: true}, objstore.BeginEmpty))
	require.NoError(f, h.WriteChunks(0, []byte(body)))
	n, err := h.Commit(f.Ctx, objstore.AttrChange{})
	require.NoError(f, err)
	require.NoError(f, h.Close())
	return n
}

func (f *Fixture) names(dir objstore.Ino) (out []string) {
	f.Helper()
	es, err := f.tree().ReadDir(f.Ctx, dir, "", 1000, true)
	require.NoError(f, err)
	for _, e := range es {
		out = append(out, e.Name)
	}
	return out
}

func treeCreate(f *Fixture) {
	tr := f.tree()
	d := f.mk(f.Root, "d", modeDir)
	a := f.mk(d.Ino, "a", modeFile)
	_, err := tr.Create(f.Ctx, d.Ino, "a", objstore.NodeInit{Mode: modeFile})
	f.requireCode(objstore.NodeExists, err)
	_, err = tr.Create(f.Ctx, a.Ino, "x", objstore.NodeInit{Mode: modeFile})
	f.requireCode(objstore.NotDirectory, err)
	_, err = tr.Lookup(f.Ctx, d.Ino, "none")
	f.requireCode(objstore.NoSuchNode, err)
	got, err := tr.Lookup(f.Ctx, d.Ino, "a")
	require.NoError(f, err)
	require.Equal(f, a.Ino, got.Ino)
	f.requireCode(objstore.NotEmpty, tr.Rmdir(f.Ctx, f.Root, "d"))
	f.requireCode(objstore.IsDirectory, tr.Unlink(f.Ctx, f.Root, "d"))
	f.requireCode(objstore.NotDirectory, tr.Rmdir(f.Ctx, d.Ino, "a"))
	f.reopen()
	tr = f.tree()
	require.Equal(f, []string{"a"}, f.names(d.Ino))
	require.NoError(f, tr.Unlink(f.Ctx, d.Ino, "a"))
	require.NoError(f, tr.Rmdir(f.Ctx, f.Root, "d"))
	_, err = tr.Node(f.Ctx, d.Ino)
	f.requireCode(objstore.NoSuchNode, err)
	_, err = tr.Create(f.Ctx, d.Ino, "x", objstore.NodeInit{Mode: modeFile})
	f.requireCode(objstore.NoSuchNode, err)
}

func treeReadDir(f *Fixture) {
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("n%02d", i))
		f.mk(f.Root, want[i], modeFile)
	}
	for _, limit := range []int{1, 7, 50, 100} {
		var got []string
		for after := ""; ; {
			es, err := f.tree().ReadDir(f.Ctx, f.Root, after, limit, limit == 7)
			require.NoError(f, err)
			for _, e := range es {
				got = append(got, e.Name)
				require.Equal(f, limit == 7, e.Node != nil)
				after = e.Name
			}
			if len(es) < limit {
				break
			}
		}
		require.Equal(f, want, got)
	}
}

func treeNames(f *Fixture) {
	tr := f.tree()
	long := strings.Repeat("x", objstore.MaxName)
	f.mk(f.Root, long, modeFile)
	_, err := tr.Create(f.Ctx, f.Root, long+"x", objstore.NodeInit{Mode: modeFile})
	f.requireCode(objstore.NameTooLong, err)
	_, err = tr.Lookup(f.Ctx, f.Root, long+"x")
	f.requireCode(objstore.NameTooLong, err)
	for _, name := range []string{"", ".", "..", "a/b", "a\x00"} {
		_, err := tr.Create(f.Ctx, f.Root, name, objstore.NodeInit{Mode: modeFile})
		require.Error(f, err, "%q", name)
	}
	f.mk(f.Root, "\xff\xfe", modeFile) // a name of a file is bytes
	require.Equal(f, []string{long, "\xff\xfe"}, f.names(f.Root))
}

func treeLinks(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	f.write(a.Ino, "one")
	d := f.mk(f.Root, "d", modeDir)
	n, err := tr.Link(f.Ctx, a.Ino, d.Ino, "b")
	require.NoError(f, err)
	require.EqualValues(f, 2, n.Nlink)
	f.write(a.Ino, "two")
	require.Equal(f, "two", f.get("a", ""))
	require.Equal(f, "two", f.get("d/b", ""))
	for _, at := range []struct {
		dir  objstore.Ino
		name string
	}{{f.Root, "a"}, {d.Ino, "b"}} {
		vs, err := tr.Versions(f.Ctx, at.dir, at.name)
		require.NoError(f, err)
		require.Len(f, vs, 2, "a commit makes a version under each name")
	}
	require.NoError(f, tr.Unlink(f.Ctx, f.Root, "a"))
	f.gc()
	require.Equal(f, "two", f.get("d/b", ""))
	n, err = tr.Node(f.Ctx, a.Ino)
	require.NoError(f, err)
	require.Equal(f, "b", n.Name)
	require.Equal(f, d.Ino, n.Parent)
	_, err = tr.Link(f.Ctx, d.Ino, f.Root, "dd")
	f.requireCode(objstore.NotPermitted, err)
}

func renameOntoItself(f *Fixture) {
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	f.write(a.Ino, "x")
	_, err := tr.Link(f.Ctx, a.Ino, f.Root, "b")
	require.NoError(f, err)
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "a", f.Root, "a", objstore.RenamePlain))
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "a", f.Root, "b", objstore.RenamePlain))
	require.Equal(f, []string{"a", "b"}, f.names(f.Root), "rename(2): two names of one file stay")
	f.requireCode(objstore.NodeExists, tr.Rename(f.Ctx, f.Root, "a", f.Root, "b", objstore.RenameNoReplace))
}

func exchangeKinds(f *Fixture) {
	tr := f.tree()
	d := f.mk(f.Root, "d", modeDir)
	p := f.mk(f.Root, "p", modeDir)
	x := f.mk(p.Ino, "x", modeFile)
	f.write(x.Ino, "file")
	f.mk(d.Ino, "inside", modeFile)
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "d", p.Ino, "x", objstore.RenameExchange))
	require.Equal(f, "file", f.get("d", ""))
	root, err := tr.Node(f.Ctx, f.Root)
	require.NoError(f, err)
	require.EqualValues(f, 3, root.Nlink)
	pn, err := tr.Node(f.Ctx, p.Ino)
	require.NoError(f, err)
	require.EqualValues(f, 3, pn.Nlink)
	_, key, err := tr.PathOf(f.Ctx, d.Ino)
	require.NoError(f, err)
	require.Equal(f, "p/x/", key)
	f.requireCode(objstore.InvalidMove, tr.Rename(f.Ctx, f.Root, "p", d.Ino, "inside", objstore.RenameExchange))
}

func treeHistory(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	first := f.write(a.Ino, "one")
	f.write(a.Ino, "two")
	require.NoError(f, tr.Unlink(f.Ctx, f.Root, "a"))
	names, err := tr.VersionNames(f.Ctx, f.Root, "", 10)
	require.NoError(f, err)
	require.Equal(f, []string{"a"}, names)
	vs, err := tr.Versions(f.Ctx, f.Root, "a")
	require.NoError(f, err)
	require.Len(f, vs, 3)
	require.True(f, vs[0].DeleteMarker)
	n, r, err := tr.OpenVersion(f.Ctx, f.Root, "a", first.VersionID)
	require.NoError(f, err)
	defer r.Close()
	require.True(f, n.Noncurrent)
	b := make([]byte, 3)
	_, err = r.ReadAt(b, 0)
	require.NoError(f, err)
	require.Equal(f, "one", string(b))
	_, _, err = tr.OpenVersion(f.Ctx, f.Root, "a", vs[0].VersionID)
	f.requireCode(objstore.MethodNotAllowed, err)
}

// directoryComesBack: old versions are found again below a directory of the same name.
func directoryComesBack(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	tr := f.tree()
	d := f.mk(f.Root, "d", modeDir)
	e := f.mk(d.Ino, "e", modeDir)
	x := f.mk(e.Ino, "x", modeFile)
	v := f.write(x.Ino, "one")
	require.NoError(f, tr.Unlink(f.Ctx, e.Ino, "x"))
	require.NoError(f, tr.Rmdir(f.Ctx, d.Ino, "e"))
	require.NoError(f, tr.Rmdir(f.Ctx, f.Root, "d"))
	require.Equal(f, "one", f.get("d/e/x", v.VersionID))
	d = f.mk(f.Root, "d", modeDir)
	e = f.mk(d.Ino, "e", modeDir)
	vs, err := tr.Versions(f.Ctx, e.Ino, "x")
	require.NoError(f, err)
	require.Len(f, vs, 2)
	require.Equal(f, "one", f.get("d/e/x", v.VersionID))
}

// renameOntoHistory: what a directory finds under its new name is not lost.
func renameOntoHistory(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	old := f.put("b/sub/x", "old b")
	f.delete("b/sub/x", "")
	tr := f.tree()
	a := f.mk(f.Root, "a", modeDir)
	sub := f.mk(a.Ino, "sub", modeDir)
	x := f.mk(sub.Ino, "x", modeFile)
	v := f.write(x.Ino, "old a")
	f.write(x.Ino, "new a")
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "a", f.Root, "b", objstore.RenamePlain))
	require.Equal(f, "old b", f.get("b/sub/x", old.VersionID))
	require.Equal(f, "old a", f.get("b/sub/x", v.VersionID))
	require.Equal(f, "new a", f.get("b/sub/x", ""))
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{Prefix: "b/sub/x"}, 2), 4)
}

// s3Directory: "dir/" is how S3 clients make a directory.
func s3Directory(f *Fixture) {
	tr := f.tree()
	f.put("dir/", "")
	d, err := tr.Lookup(f.Ctx, f.Root, "dir")
	require.NoError(f, err)
	require.Empty(f, f.names(d.Ino))
	require.NoError(f, tr.Rmdir(f.Ctx, f.Root, "dir"), "it is empty to a mount")
	f.mk(f.Root, "made", modeDir)
	o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "made/", "")
	require.NoError(f, err)
	require.Zero(f, o.Size)
	f.put("implicit/x", "")
	im, err := tr.Lookup(f.Ctx, f.Root, "implicit")
	require.NoError(f, err)
	require.NoError(f, tr.Unlink(f.Ctx, im.Ino, "x"))
	require.Contains(f, f.names(f.Root), "implicit", "a mount's rm does not remove the directory")
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Equal(f, []string{"implicit/", "made/"}, keys)
	f.delete("made/", "")
	f.delete("implicit/", "")
	require.Empty(f, f.names(f.Root))
}

func weirdKeysAndMount(f *Fixture) {
	tr := f.tree()
	for _, k := range []string{"a//b", "..", "a", "a/b"} {
		f.put(k, k)
	}
	require.Equal(f, []string{"a"}, f.names(f.Root))
	d, err := tr.Lookup(f.Ctx, f.Root, "a")
	require.NoError(f, err)
	require.EqualValues(f, modeDir, d.Mode, "the directory is shown, not the file of the same name")
	require.Equal(f, []string{"b"}, f.names(d.Ino))
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "a", f.Root, "z", objstore.RenamePlain))
	require.Equal(f, "a", f.get("a", ""), "the key beside the directory stays")
	require.Equal(f, "a//b", f.get("z//b", ""))
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "z", f.Root, "y", objstore.RenamePlain))
	f.put("y", "file y")
	f.mk(f.Root, "w", modeFile)
	f.requireCode(objstore.NodeExists, tr.Rename(f.Ctx, f.Root, "y", f.Root, "w", objstore.RenameExchange))
	require.Equal(f, "file y", f.get("y", ""))
}

func unlinkedWhileOpen(f *Fixture) {
	for _, v := range []objstore.Versioning{objstore.VersioningOff, objstore.VersioningEnabled} {
		if v != objstore.VersioningOff {
			f.versioning(v)
		}
		tr := f.tree()
		a := f.mk(f.Root, "a", modeFile)
		f.write(a.Ino, "one")
		h, err := tr.OpenFile(f.Ctx, a.Ino)
		require.NoError(f, err)
		b := f.mk(f.Root, "b", modeFile)
		f.write(b.Ino, "b")
		require.NoError(f, tr.Rename(f.Ctx, f.Root, "b", f.Root, "a", objstore.RenamePlain))
		n, err := tr.Node(f.Ctx, a.Ino)
		require.NoError(f, err)
		require.Zero(f, n.Nlink)
		f.gc()
		p := make([]byte, 3)
		_, err = h.ReadAt(p, 0)
		require.NoError(f, err)
		require.Equal(f, "one", string(p))
		require.NoError(f, h.Begin(f.Ctx, objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
		require.NoError(f, h.WriteChunks(0, block(1, 3*objstore.ChunkSize)))
		require.NoError(f, h.Sync(f.Ctx, objstore.AttrChange{}))
		_, err = h.Commit(f.Ctx, objstore.AttrChange{})
		require.NoError(f, err)
		require.NoError(f, h.Close())
		_, err = tr.Node(f.Ctx, a.Ino)
		f.requireCode(objstore.NoSuchNode, err)
		require.Equal(f, "b", f.get("a", ""))
		require.NoError(f, tr.Unlink(f.Ctx, f.Root, "a"))
	}
}

func treeRestore(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	v := f.write(a.Ino, "one")
	f.write(a.Ino, "two")
	_, err := tr.Restore(f.Ctx, f.Root, "a", v.VersionID)
	require.NoError(f, err)
	require.Equal(f, "one", f.get("a", ""))
	require.NoError(f, tr.Unlink(f.Ctx, f.Root, "a"))
	n, err := tr.Restore(f.Ctx, f.Root, "a", v.VersionID)
	require.NoError(f, err)
	require.Equal(f, "one", f.get("a", ""))
	require.EqualValues(f, 3, n.Size)
	_, err = tr.Restore(f.Ctx, f.Root, "a", "none")
	f.requireCode(objstore.NoSuchVersion, err)
}

func treeXattrs(f *Fixture) {
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	require.NoError(f, tr.SetXattr(f.Ctx, a.Ino, "user.x", []byte("1"), objstore.XattrCreate))
	f.requireCode(objstore.XattrExists, tr.SetXattr(f.Ctx, a.Ino, "user.x", nil, objstore.XattrCreate))
	f.requireCode(objstore.NoSuchXattr, tr.SetXattr(f.Ctx, a.Ino, "user.y", nil, objstore.XattrReplace))
	require.NoError(f, tr.SetXattr(f.Ctx, a.Ino, "user.x", []byte{}, objstore.XattrReplace))
	f.requireCode(objstore.NoSuchXattr, tr.RemoveXattr(f.Ctx, a.Ino, "user.y"))
	f.requireCode(objstore.XattrTooLarge, tr.SetXattr(f.Ctx, a.Ino, "user.z", make([]byte, 1<<20), objstore.XattrSet))
	f.write(a.Ino, "x")
	f.reopen()
	n, err := f.tree().Node(f.Ctx, a.Ino)
	require.NoError(f, err)
	require.Equal(f, map[string][]byte{"user.x": {}}, n.Xattrs)
}

// renamedVersionOrder: a version that comes by rename is newer than what the name had before, whenever it was made.
func renamedVersionOrder(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	tr := f.tree()
	a := f.mk(f.Root, "a", modeFile)
	va := f.write(a.Ino, "from a")
	b := f.mk(f.Root, "b", modeFile)
	f.write(b.Ino, "b1")
	require.NoError(f, tr.Unlink(f.Ctx, f.Root, "b"))
	require.NoError(f, tr.Rename(f.Ctx, f.Root, "a", f.Root, "b", objstore.RenamePlain))
	now := f.put("b", "b3")
	vs, err := tr.Versions(f.Ctx, f.Root, "b")
	require.NoError(f, err)
	require.Len(f, vs, 4)
	require.Equal(f, []objstore.VersionID{now.VersionID, va.VersionID}, []objstore.VersionID{vs[0].VersionID, vs[1].VersionID})
	f.delete("b", now.VersionID)
	require.Equal(f, "from a", f.get("b", ""))
}

// treeRun is a run of random operations on a tree and a model.
type treeRun struct {
	*Fixture
	r   *rand.Rand
	m   *treeModel
	all []*treeNode
	n   int
}

func randomTree(f *Fixture, seed uint64) {
	f.Logf("seed %d", seed)
	f.tree()
	if seed%2 == 1 {
		f.versioning(objstore.VersioningEnabled)
	}
	run := &treeRun{Fixture: f, r: rand.New(rand.NewPCG(seed, 3)), m: newTreeModel(f.Root)}
	steps := []func(){run.create, run.create, run.create, run.mkdir, run.mkdir, run.link, run.unlink, run.rmdir, run.rename, run.rename, run.rename,
		run.xattr, run.attr, run.writeFile, run.writeFile}
	for range 300 {
		steps[run.r.IntN(len(steps))]()
		switch run.r.IntN(80) {
		case 0:
			f.reopen()
		case 1:
			f.gc()
		case 2:
			run.everything()
		}
	}
	run.everything()
}

func (s *treeRun) dir() *treeNode {
	ds := s.m.dirs()
	return ds[s.r.IntN(len(ds))]
}

func (s *treeRun) name() string { return string(rune('a' + s.r.IntN(5))) }

func (s *treeRun) require(code objstore.Code, err error, format string, args ...any) {
	s.Helper()
	if code == "" {
		require.NoError(s, err, append([]any{format}, args...)...)
		return
	}
	require.Error(s, err, append([]any{format}, args...)...)
	require.Equal(s, code, objstore.CodeOf(err), "%v", err)
}

func (s *treeRun) make(dir bool, mode uint32) {
	p, name := s.dir(), s.name()
	code := s.m.create(p, name, dir)
	n, err := s.tree().Create(s.Ctx, p.ino, name, objstore.NodeInit{Mode: mode})
	s.require(code, err, "create %s in %d", name, p.ino)
	if err == nil {
		p.names[name].ino, p.names[name].mode = n.Ino, mode
		s.all = append(s.all, p.names[name])
	}
}

func (s *treeRun) create() { s.make(false, modeFile) }
func (s *treeRun) mkdir()  { s.make(true, modeDir) }

// any gives a node that has a name.
func (s *treeRun) any() *treeNode {
	s.all = slices.DeleteFunc(s.all, func(n *treeNode) bool { return n.nlink == 0 })
	if len(s.all) == 0 {
		return s.m.root
	}
	return s.all[s.r.IntN(len(s.all))]
}

func (s *treeRun) link() {
	n, p, name := s.any(), s.dir(), s.name()
	code := s.m.link(n, p, name)
	_, err := s.tree().Link(s.Ctx, n.ino, p.ino, name)
	s.require(code, err, "link %d to %s in %d", n.ino, name, p.ino)
}

func (s *treeRun) unlink() {
	p, name := s.dir(), s.name()
	code := s.m.unlink(p, name)
	s.require(code, s.tree().Unlink(s.Ctx, p.ino, name), "unlink %s in %d", name, p.ino)
}

func (s *treeRun) rmdir() {
	p, name := s.dir(), s.name()
	code := s.m.rmdir(p, name)
	s.require(code, s.tree().Rmdir(s.Ctx, p.ino, name), "rmdir %s in %d", name, p.ino)
}

func (s *treeRun) rename() {
	p, name, q, newName := s.dir(), s.name(), s.dir(), s.name()
	mode := objstore.RenameMode(s.r.IntN(3))
	code := s.m.rename(p, name, q, newName, mode)
	err := s.tree().Rename(s.Ctx, p.ino, name, q.ino, newName, mode)
	s.require(code, err, "rename %s in %d to %s in %d, mode %d", name, p.ino, newName, q.ino, mode)
}

func (s *treeRun) xattr() {
	n := s.any()
	s.n++
	name, value := "user."+s.name(), fmt.Sprint(s.n)
	if _, ok := n.xattrs[name]; ok && s.r.IntN(2) == 0 {
		delete(n.xattrs, name)
		require.NoError(s, s.tree().RemoveXattr(s.Ctx, n.ino, name))
		return
	}
	n.xattrs[name] = value
	require.NoError(s, s.tree().SetXattr(s.Ctx, n.ino, name, []byte(value), objstore.XattrSet))
}

func (s *treeRun) attr() {
	n := s.any()
	if n == s.m.root {
		return
	}
	mode := uint32(s.r.IntN(0o1000))
	n.mode = n.mode&0o170000 | mode
	_, err := s.tree().SetAttr(s.Ctx, n.ino, objstore.AttrChange{Mode: &mode})
	require.NoError(s, err)
}

func (s *treeRun) writeFile() {
	n := s.any()
	if n.dir {
		return
	}
	s.n++
	n.body = fmt.Sprintf("%d%s", s.n, strings.Repeat("y", []int{0, 30 << 10, 130 << 10}[s.r.IntN(3)]))
	s.write(n.ino, n.body)
}

func (s *treeRun) everything() {
	s.Helper()
	s.compare(s.m.root, "")
}

func (s *treeRun) compare(d *treeNode, path string) {
	s.Helper()
	want := slices.Sorted(maps.Keys(d.names))
	require.Equal(s, want, s.names(d.ino), "directory %q", path)
	s.compareNode(d, path)
	for _, name := range want {
		c := d.names[name]
		n, err := s.tree().Lookup(s.Ctx, d.ino, name)
		require.NoError(s, err)
		require.Equal(s, c.ino, n.Ino)
		if c.dir {
			s.compare(c, path+name+"/")
			continue
		}
		s.compareNode(c, path+name)
		if c.body != "" {
			require.True(s, c.body == s.get(path+name, ""), "%q has other bytes", path+name)
		}
	}
}

func (s *treeRun) compareNode(n *treeNode, path string) {
	s.Helper()
	got, err := s.tree().Node(s.Ctx, n.ino)
	require.NoError(s, err)
	require.EqualValues(s, n.nlink, got.Nlink, "links of %q", path)
	require.Len(s, got.Xattrs, len(n.xattrs), "%q", path)
	for k, v := range n.xattrs {
		require.Equal(s, v, string(got.Xattrs[k]), "%q", path)
	}
	if n != s.m.root {
		require.Equal(s, n.mode, got.Mode, "%q", path)
	}
	if n.dir {
		_, key, err := s.tree().PathOf(s.Ctx, n.ino)
		require.NoError(s, err)
		require.Equal(s, path, key)
	}
}
