package fs

import (
	"context"
	"errors"
	"io"
	"slices"

	"kmsfs/objstore"
)

// versionTime is how the time of a version begins its file name: it sorts as the times do.
const versionTime = "20060102T150405.000000000Z"

// versionFileName names a noncurrent version under .versions/NAME/.
func versionFileName(o objstore.Object) string {
	return o.LastModified.UTC().Format(versionTime) + "-" + string(o.VersionID)
}

// lookupVersions finds .versions in the directory dir.
func (v *View) lookupVersions(ctx context.Context, dir objstore.Ino) (*objstore.Node, error) {
	parent, err := v.fs.tree.Node(ctx, dir)
	if err != nil {
		return nil, err
	}
	if parent.Mode&sIFMT != sIFDIR {
		return nil, deny(objstore.NotDirectory, "lookup", "it is not a directory")
	}
	return virtualDirNode(v.virtual.number(vkey{kind: versionsDir, dir: dir}), parent), nil
}

// virtualDirNode is a read-only directory that whoever may use the directory of may use.
func virtualDirNode(ino objstore.Ino, of *objstore.Node) *objstore.Node {
	n := &objstore.Node{
		Ino: ino, Bucket: of.Bucket, Mode: of.Mode &^ 0o7222, UID: of.UID, GID: of.GID, Nlink: 2,
		Atime: of.Atime, Mtime: of.Mtime, Ctime: of.Ctime, Btime: of.Btime,
	}
	if list, ok := of.Xattrs[AccessACL]; ok {
		n.Xattrs = map[string][]byte{AccessACL: list}
	}
	return n
}

func (v *View) lookupVirtual(ctx context.Context, parent objstore.Ino, name string) (*objstore.Node, error) {
	if parent == BucketsRoot {
		return v.lookupBucket(ctx, name)
	}
	k, ok := v.virtual.find(parent)
	if !ok {
		return nil, Stale
	}
	switch k.kind {
	case versionsDir:
		return v.lookupNameDir(ctx, k.dir, name)
	case nameDir:
		return v.lookupVersionFile(ctx, k, name)
	}
	return nil, deny(objstore.NotDirectory, "lookup", "an old version is not a directory")
}

func (v *View) lookupNameDir(ctx context.Context, dir objstore.Ino, name string) (*objstore.Node, error) {
	old, err := v.noncurrent(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	if len(old) == 0 {
		return nil, deny(objstore.NoSuchNode, "lookup", "%q has no old versions", name)
	}
	parent, err := v.fs.tree.Node(ctx, dir)
	if err != nil {
		return nil, err
	}
	return virtualDirNode(v.virtual.number(vkey{kind: nameDir, dir: dir, name: name}), parent), nil
}

func (v *View) lookupVersionFile(ctx context.Context, in vkey, name string) (*objstore.Node, error) {
	old, err := v.noncurrent(ctx, in.dir, in.name)
	if err != nil {
		return nil, err
	}
	for _, o := range old {
		if versionFileName(o) == name {
			return v.versionNode(ctx, vkey{versionFile, in.dir, in.name, o.VersionID})
		}
	}
	return nil, deny(objstore.NoSuchNode, "lookup", "%q has no old version %q", in.name, name)
}

// versionNode describes an old version as a file that nobody may write. It counts one reference.
func (v *View) versionNode(ctx context.Context, k vkey) (*objstore.Node, error) {
	n, err := v.fs.tree.VersionNode(ctx, k.dir, k.name, k.version)
	if err != nil {
		return nil, err
	}
	return readOnlyNode(n, v.virtual.number(k)), nil
}

func readOnlyNode(n *objstore.Node, ino objstore.Ino) *objstore.Node {
	c := *n
	c.Ino, c.Nlink, c.Noncurrent = ino, 1, true
	c.Mode = sIFREG | c.Mode&0o555
	return &c
}

// noncurrent lists the old versions of a name, newest first, without delete markers. A name that never was has none.
func (v *View) noncurrent(ctx context.Context, dir objstore.Ino, name string) ([]objstore.Object, error) {
	all, err := v.fs.tree.Versions(ctx, dir, name)
	if errors.Is(err, objstore.NoSuchNode) || errors.Is(err, objstore.NoSuchKey) {
		return nil, nil
	}
	var old []objstore.Object
	for _, o := range all {
		if !o.IsLatest && !o.DeleteMarker {
			old = append(old, o)
		}
	}
	return old, err
}

// virtualAttr is GetAttr of a virtual node.
func (v *View) virtualAttr(ctx context.Context, ino objstore.Ino) (*objstore.Node, error) {
	if ino == BucketsRoot {
		return v.bucketsNode(), nil
	}
	k, ok := v.virtual.find(ino)
	if !ok {
		return nil, Stale
	}
	if k.kind == versionFile {
		n, err := v.fs.tree.VersionNode(ctx, k.dir, k.name, k.version)
		if err != nil {
			return nil, err
		}
		return readOnlyNode(n, ino), nil
	}
	parent, err := v.fs.tree.Node(ctx, k.dir)
	if err != nil {
		return nil, stale(err)
	}
	return virtualDirNode(ino, parent), nil
}

// readVirtualDir lists a virtual directory. Its entries have no nodes: the kernel looks them up one by one.
func (v *View) readVirtualDir(ctx context.Context, ino objstore.Ino, after string, limit int) ([]objstore.DirEntry, error) {
	if ino == BucketsRoot {
		return v.listBuckets(ctx, after, limit)
	}
	k, ok := v.virtual.find(ino)
	if !ok {
		return nil, Stale
	}
	if k.kind == versionsDir {
		names, err := v.fs.tree.VersionNames(ctx, k.dir, after, limit)
		return dirEntries(names, sIFDIR), err
	}
	old, err := v.noncurrent(ctx, k.dir, k.name)
	var names []string
	for _, o := range old {
		if name := versionFileName(o); name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return dirEntries(names[:min(limit, len(names))], sIFREG), err
}

func dirEntries(names []string, kind uint32) []objstore.DirEntry {
	out := make([]objstore.DirEntry, len(names))
	for k, name := range names {
		out[k] = objstore.DirEntry{Name: name, Type: kind}
	}
	return out
}

// versionReader is an open old version.
type versionReader struct{ r objstore.Reader }

func (v *View) openVersion(ctx context.Context, ino objstore.Ino) (*Handle, error) {
	k, ok := v.virtual.find(ino)
	if !ok {
		return nil, Stale
	}
	if k.kind != versionFile {
		return nil, deny(objstore.IsDirectory, "open", "it is a directory")
	}
	_, r, err := v.fs.tree.OpenVersion(uncancelled(ctx), k.dir, k.name, k.version)
	if err != nil {
		return nil, err
	}
	return &Handle{view: v, old: &versionReader{r}, ino: ino, KeepPages: true}, nil
}

func (o *versionReader) size() int64 { return o.r.Size() }

func (o *versionReader) close() { _ = o.r.Close() } // nothing was written

// read is short at the end, with no error.
func (o *versionReader) read(p []byte, off int64) (int, error) {
	p = p[:max(0, min(int64(len(p)), o.r.Size()-off))]
	n, err := o.r.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// seek answers at: an old version is shown as data from its start to its end.
func (o *versionReader) seek(off, at int64) (int64, error) {
	if off < 0 || off >= o.r.Size() {
		return 0, deny(objstore.NoData, "lseek", "nothing behind %d", off)
	}
	return at, nil
}
