package fusefs

import (
	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
)

// Sizes of a directory entry in an answer, in bytes, without and with attributes, for names of up to 16 bytes.
const (
	direntSize     = 24 + 16
	direntPlusSize = 128 + direntSize
)

// OpenDir opens a directory.
func (f *filesystem) OpenDir(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	d, err := f.view.OpenDir(f.ctx(&in.InHeader), f.ino(in.NodeId))
	if err != nil {
		return f.status("opendir", &in.InHeader, err)
	}
	out.Fh = f.dirs.add(&openDir{d})
	return gofuse.OK
}

// ReadDir lists names.
func (f *filesystem) ReadDir(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return f.readDir(in, direntSize, false, func(e fs.DirEntry) bool { return out.AddDirEntry(f.dirent(e)) })
}

// ReadDirPlus lists names with attributes. An entry without a node is given without: the kernel looks it up.
func (f *filesystem) ReadDirPlus(cancel <-chan struct{}, in *gofuse.ReadIn, out *gofuse.DirEntryList) gofuse.Status {
	return f.readDir(in, direntPlusSize, true, func(e fs.DirEntry) bool {
		entry := out.AddDirLookupEntry(f.dirent(e))
		if entry != nil && e.Node != nil {
			f.entry(entry, e.Node, e.Stable)
		}
		return entry != nil
	})
}

func (f *filesystem) dirent(e fs.DirEntry) gofuse.DirEntry {
	ino := uint64(e.Ino)
	if e.Ino == fs.BucketsRoot {
		ino = gofuse.FUSE_ROOT_ID
	}
	return gofuse.DirEntry{Name: e.Name, Ino: ino, Mode: e.Type, Off: e.Next}
}

// readDir adds entries until the answer is full, which is when add answers false.
func (f *filesystem) readDir(in *gofuse.ReadIn, size int, plus bool, add func(fs.DirEntry) bool) gofuse.Status {
	d, status := f.dirs.get(in.Fh)
	if status != gofuse.OK {
		return status
	}
	entries, err := d.Read(f.ctx(&in.InHeader), in.Offset, int(in.Size)/size+1, plus)
	if err != nil {
		return f.status("readdir", &in.InHeader, err)
	}
	next := in.Offset
	for _, e := range entries {
		if !add(e) {
			break
		}
		next = e.Next
	}
	d.Given(next)
	return gofuse.OK
}

// ReleaseDir closes a directory.
func (f *filesystem) ReleaseDir(in *gofuse.ReleaseIn) { f.dirs.remove(in.Fh) }

// FsyncDir makes the changes of directories survive power loss.
func (f *filesystem) FsyncDir(cancel <-chan struct{}, in *gofuse.FsyncIn) gofuse.Status {
	return f.status("fsyncdir", &in.InHeader, f.view.SyncTree(f.ctx(&in.InHeader)))
}
