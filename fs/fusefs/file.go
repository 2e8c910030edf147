package fusefs

import (
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
	"kmsfs/objstore"
)

// openFlags reads the flags of open(2). O_TRUNC of a file open for reading changes it all the same.
func openFlags(flags uint32, kill bool) fs.OpenFlags {
	truncate := flags&syscall.O_TRUNC != 0
	return fs.OpenFlags{
		Write:          flags&syscall.O_ACCMODE != syscall.O_RDONLY || truncate,
		NoRead:         flags&syscall.O_ACCMODE == syscall.O_WRONLY,
		Truncate:       truncate,
		KillPrivileges: kill,
	}
}

// Open opens a regular file: the key service is asked.
func (f *filesystem) Open(cancel <-chan struct{}, in *gofuse.OpenIn, out *gofuse.OpenOut) gofuse.Status {
	open := &openFile{ctx: f.ctx(&in.InHeader)}
	var err error
	open.Handle, err = f.view.Open(open.ctx, f.ino(in.NodeId), openFlags(in.Flags, in.Mode&gofuse.OPEN_KILL_SUIDGID != 0))
	if err != nil {
		return f.status("open", &in.InHeader, err)
	}
	f.opened(out, open)
	return gofuse.OK
}

func (f *filesystem) opened(out *gofuse.OpenOut, open *openFile) {
	out.Fh = f.files.add(open)
	if open.KeepPages {
		out.OpenFlags |= gofuse.FOPEN_KEEP_CACHE
	}
	if !open.Writable() {
		out.OpenFlags |= gofuse.FOPEN_NOFLUSH
	}
}

// Create makes and opens a regular file.
func (f *filesystem) Create(cancel <-chan struct{}, in *gofuse.CreateIn, name string, out *gofuse.CreateOut) gofuse.Status {
	return f.create("create", in, out, func(open *openFile, init fs.NodeInit) (n *objstore.Node, err error) {
		flags := openFlags(in.Flags, in.OpenFlags&gofuse.OPEN_KILL_SUIDGID != 0)
		n, open.Handle, err = f.view.Create(open.ctx, f.ino(in.NodeId), name, init, flags, in.Flags&syscall.O_EXCL != 0)
		return n, err
	})
}

// Tmpfile makes and opens a regular file without a name.
func (f *filesystem) Tmpfile(cancel <-chan struct{}, in *gofuse.CreateIn, out *gofuse.CreateOut) gofuse.Status {
	return f.create("tmpfile", in, out, func(open *openFile, init fs.NodeInit) (n *objstore.Node, err error) {
		n, open.Handle, err = f.view.Tmpfile(open.ctx, f.ino(in.NodeId), init, openFlags(in.Flags, false))
		return n, err
	})
}

func (f *filesystem) create(op string, in *gofuse.CreateIn, out *gofuse.CreateOut,
	do func(*openFile, fs.NodeInit) (*objstore.Node, error)) gofuse.Status {
	open := &openFile{ctx: f.ctx(&in.InHeader)}
	n, err := do(open, fs.NodeInit{Mode: in.Mode, Umask: in.Umask, UID: in.Uid, GID: in.Gid})
	if err != nil {
		return f.status(op, &in.InHeader, err)
	}
	f.entry(&out.EntryOut, n, true)
	f.opened(&out.OpenOut, open)
	return gofuse.OK
}

// Read fills buf, from which the answer is sent.
func (f *filesystem) Read(cancel <-chan struct{}, in *gofuse.ReadIn, buf []byte) (gofuse.ReadResult, gofuse.Status) {
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return nil, status
	}
	n, err := open.Read(buf, int64(in.Offset))
	if err != nil {
		return nil, f.status("read", &in.InHeader, err)
	}
	return inPlace(buf[:n]), gofuse.OK
}

// inPlace is the result of a read that lies already where it is sent from: it need not be copied there.
type inPlace []byte

func (r inPlace) Bytes([]byte) ([]byte, gofuse.Status) { return r, gofuse.OK }
func (r inPlace) Size() int                            { return len(r) }
func (r inPlace) Done()                                {}

// Readv is how the answer is made.
func (r inPlace) Readv(dst [][]byte) (n int, status gofuse.Status) {
	if len(dst) == 1 && len(r) > 0 && &dst[0][0] == &r[0] {
		return len(r), gofuse.OK
	}
	for _, d := range dst {
		n += copy(d, r[n:])
	}
	return n, gofuse.OK
}

// Write is not torn by signals: cancel is not looked at.
func (f *filesystem) Write(cancel <-chan struct{}, in *gofuse.WriteIn, data []byte) (uint32, gofuse.Status) {
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return 0, status
	}
	n, finish, err := open.WriteBehind(open.ctx, int64(in.Offset), data, in.WriteFlags&gofuse.WRITE_KILL_SUIDGID != 0)
	if finish != nil {
		f.behind.add(in.Unique, finish)
	}
	if n > 0 {
		return uint32(n), gofuse.OK
	}
	return 0, f.status("write", &in.InHeader, err)
}

// CopyFileRange is copy_file_range(2).
func (f *filesystem) CopyFileRange(cancel <-chan struct{}, in *gofuse.CopyFileRangeIn) (uint32, gofuse.Status) {
	from, status := f.files.get(in.FhIn)
	if status != gofuse.OK {
		return 0, status
	}
	to, status := f.files.get(in.FhOut)
	if status != gofuse.OK {
		return 0, status
	}
	n, err := from.CopyRange(to.ctx, int64(in.OffIn), to.Handle, int64(in.OffOut), int64(min(in.Len, 1<<62)))
	if n > 0 {
		return uint32(n), gofuse.OK
	}
	return 0, f.status("copy_file_range", &in.InHeader, err)
}

// Flush is close(2) of a descriptor.
func (f *filesystem) Flush(cancel <-chan struct{}, in *gofuse.FlushIn) gofuse.Status {
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return status
	}
	return f.status("flush", &in.InHeader, open.Flush(open.ctx))
}

// Fsync is fsync(2) and fdatasync(2).
func (f *filesystem) Fsync(cancel <-chan struct{}, in *gofuse.FsyncIn) gofuse.Status {
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return status
	}
	return f.status("fsync", &in.InHeader, open.Sync(open.ctx))
}

// Release is for the last close of an open file description.
func (f *filesystem) Release(cancel <-chan struct{}, in *gofuse.ReleaseIn) {
	if open, ok := f.files.remove(in.Fh); ok {
		open.Release(open.ctx)
	}
}

// Fallocate is fallocate(2).
func (f *filesystem) Fallocate(cancel <-chan struct{}, in *gofuse.FallocateIn) gofuse.Status {
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return status
	}
	err := open.Allocate(open.ctx, int64(in.Offset), int64(in.Length), in.Mode)
	return f.status("fallocate", &in.InHeader, err)
}

// Lseek is lseek(2) for data and holes.
func (f *filesystem) Lseek(cancel <-chan struct{}, in *gofuse.LseekIn, out *gofuse.LseekOut) gofuse.Status {
	const seekData, seekHole = 3, 4
	open, status := f.files.get(in.Fh)
	if status != gofuse.OK {
		return status
	}
	seek := open.SeekData
	switch in.Whence {
	case seekData:
	case seekHole:
		seek = open.SeekHole
	default:
		return gofuse.EINVAL
	}
	at, err := seek(int64(in.Offset))
	out.Offset = uint64(at)
	return f.status("lseek", &in.InHeader, err)
}
