package fusefs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"kmsfs/fs"
	"kmsfs/kms"
)

// Options of [New]. The zero value of each but Dir is a default.
type Options struct {
	Dir    string // where to mount
	Bucket string // "": every bucket is a directory

	ReadOnly   bool
	AllowOther bool
	Suid, Dev  bool // allow set-user-ID programs and devices; by default neither, as fusermount does
	NoExec     bool
	UID, GID   *uint32 // shown as owner of everything
	Umask      *uint32 // permission bits that nothing shows

	// NoPermissions lets every process that may use the mount do everything. By default the kernel checks owner and mode,
	// for which it asks for a directory's attributes again after each change in it: one request in seven of creating a
	// small file, one in four of a rename. It makes no difference where only root with its capabilities may use the mount.
	NoPermissions bool

	ReencryptOnSet bool
	FSName         string // the source in /proc/mounts; "": kmsfs#BUCKET
	// CacheTimeout is how long the kernel keeps names and attributes that it is not told to drop; 0: an hour.
	CacheTimeout time.Duration
	// Caller makes the context of a request: it names the process to the key service.
	// nil: a caller with the process's numbers, Via "mount".
	Caller func(uid, pid uint32) context.Context
	Logger *slog.Logger
	Debug  bool // log each request

	owner gofuse.Owner // of the list of buckets
}

// overrides reports whether the mount decides who owns what: then access control lists, which are about other owners,
// are neither shown nor kept.
func (o *Options) overrides() bool { return o.UID != nil || o.GID != nil || o.Umask != nil }

// enforcesACLs: the kernel looks at access control lists.
func (o *Options) enforcesACLs() bool { return !o.NoPermissions && !o.overrides() }

// defaultCacheTimeout: all changes come through the daemon, which tells the kernel.
const defaultCacheTimeout = time.Hour

func (o *Options) setDefaults() {
	o.owner = *gofuse.CurrentOwner()
	if o.CacheTimeout == 0 {
		o.CacheTimeout = defaultCacheTimeout
	}
	if o.FSName == "" {
		o.FSName = "kmsfs#" + o.Bucket
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Caller == nil {
		o.Caller = func(uid, pid uint32) context.Context {
			return kms.WithCaller(context.Background(), kms.Caller{UID: uid, PID: int(pid), Via: "mount"})
		}
	}
}

// Mount is a mounted file system.
type Mount struct {
	fs   *filesystem
	dev  *device
	done chan struct{}

	mu  sync.Mutex
	err error // of the end, once done is closed
}

// New mounts files at o.Dir and returns when it answers. [Mount.Unmount], or umount(8), ends it.
func New(ctx context.Context, files *fs.FS, o Options) (*Mount, error) {
	o.setDefaults()
	f := &filesystem{RawFileSystem: gofuse.NewDefaultRawFileSystem(), opt: o, errnos: newErrnos(), log: o.Logger}
	view, err := files.NewView(ctx, fs.ViewOptions{
		Bucket: o.Bucket, Notifier: f, ReadOnly: o.ReadOnly, ReencryptOnSet: o.ReencryptOnSet, EnforcesACLs: o.enforcesACLs(),
	})
	if err != nil {
		return nil, err
	}
	f.view, f.root = view, view.Root()
	dev, err := mountDevice(devicePlan{dir: o.Dir, source: o.FSName, options: optionStrings(o), maxRead: maxTransfer})
	if err != nil {
		return nil, errors.Join(mountError(o.Dir, err), view.Close(ctx))
	}
	m := &Mount{fs: f, dev: dev, done: make(chan struct{})}
	f.kernel.set(dev)
	go m.serve(gofuse.NewProtocolServer(f, protocolOptions(o)))
	if err := firstRequests(dev.dir); err != nil {
		return nil, errors.Join(mountError(o.Dir, err), m.Unmount())
	}
	readAhead(o.Dir, o.Logger)
	return m, nil
}

// firstRequests returns when the file system answers. It polls a file that go-fuse's protocol server knows by name: then
// the kernel learns that there is no polling here. Otherwise Go programs would ask for each file, this one about files in
// its own mount, too, which can use up its threads.
func firstRequests(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return unix.Close(fd)
}

func mountError(dir string, err error) error {
	return fmt.Errorf("cannot mount at %s: %w; it must be a directory that you may write, /dev/fuse must be accessible "+
		"and, unless you are root, fusermount3 (package fuse3) installed", dir, err)
}

// maxTransfer is the largest READ and WRITE, in bytes.
const maxTransfer = 1 << 20

// maxReadAhead is how far the kernel reads ahead, in bytes: several requests, so that one is opened while others are copied.
const maxReadAhead = 4 * maxTransfer

// capabilities of the kernel that are used where it has them. With DONT_MASK the umask comes with the request, for a
// directory's default access control list takes its place; SETXATTR_EXT tells who may not keep S_ISGID.
const capabilities = gofuse.CAP_ATOMIC_O_TRUNC | gofuse.CAP_HANDLE_KILLPRIV_V2 | gofuse.CAP_READDIRPLUS_AUTO |
	gofuse.CAP_ASYNC_DIO | gofuse.CAP_DONT_MASK | gofuse.CAP_SETXATTR_EXT

func protocolOptions(o Options) *gofuse.MountOptions {
	return &gofuse.MountOptions{
		Name:          "kmsfs",
		MaxWrite:      maxTransfer,
		MaxReadAhead:  maxReadAhead,
		MaxBackground: 64,
		// Pages are dropped when the daemon says so, not whenever a time of a file that is written changes.
		ExplicitDataCacheControl: true,
		EnableSymlinkCaching:     true,
		ExtraCapabilities:        capabilities,
		EnableAcl:                o.enforcesACLs(),
		Debug:                    o.Debug,
		Logger:                   log.New(logWriter{o.Logger}, "", 0),
		PanicHandler: func(v any) gofuse.Status {
			o.Logger.Error("a request made the daemon panic", "panic", v, "stack", string(debug.Stack()))
			return gofuse.EIO
		},
	}
}

func optionStrings(o Options) []string {
	var list []string
	for _, c := range []struct {
		on   bool
		name string
	}{{!o.NoPermissions, "default_permissions"}, {o.ReadOnly, "ro"}, {o.Suid, "suid"}, {o.Dev, "dev"}, {o.NoExec, "noexec"}, {o.AllowOther, "allow_other"}} {
		if c.on {
			list = append(list, c.name)
		}
	}
	return list
}

// logWriter passes go-fuse's messages on.
type logWriter struct{ to *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.to.Debug("fuse", "message", string(p))
	return len(p), nil
}

// readAhead raises the read-ahead of the mount: the kernel offers FUSE no more than 128 KiB by itself. Only root may; without
// it reading is slower.
func readAhead(dir string, log *slog.Logger) {
	var st syscall.Stat_t
	if os.Geteuid() != 0 || syscall.Stat(dir, &st) != nil {
		return
	}
	major, minor := st.Dev>>8&0xfff, st.Dev&0xff|st.Dev>>12&0xfff00
	file := fmt.Sprintf("/sys/class/bdi/%d:%d/read_ahead_kb", major, minor)
	if err := os.WriteFile(file, fmt.Appendf(nil, "%d", maxReadAhead>>10), 0); err != nil {
		log.Debug("read-ahead stays at the kernel's default", "error", err)
	}
}

// serve answers requests until the end and then closes what the kernel left open.
func (m *Mount) serve(p *gofuse.ProtocolServer) {
	newWorkers(m.dev, m.fs.log, func(in, out []byte) int {
		n, status := p.HandleRequest([][]byte{in}, [][]byte{out})
		if status != gofuse.OK {
			return refusal(in, out, status)
		}
		return n
	}, m.fs.behind.run).serve()
	m.fs.kernel.set(nil)
	_ = m.dev.close()
	for _, open := range m.fs.files.drain() {
		open.Release(open.ctx)
	}
	m.mu.Lock()
	m.err = m.fs.view.Close(context.Background())
	m.mu.Unlock()
	close(m.done)
}

// refusal makes the answer to a request that could not be parsed: a struct fuse_out_header. Without one, who asked would
// wait for ever.
func refusal(in, out []byte, status gofuse.Status) int {
	if len(in) < 16 {
		return 0
	}
	binary.NativeEndian.PutUint32(out, 16)
	binary.NativeEndian.PutUint32(out[4:], uint32(-int32(status)))
	copy(out[8:16], in[8:16]) // the request's number
	return 16
}

// Dir is where it is mounted.
func (m *Mount) Dir() string { return m.fs.opt.Dir }

// Bucket is the bucket that is mounted, "" for all.
func (m *Mount) Bucket() string { return m.fs.opt.Bucket }

// Wait returns when the file system is no longer mounted and all that was written survives power loss.
func (m *Mount) Wait() error {
	<-m.done
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Done is closed when [Mount.Wait] would return.
func (m *Mount) Done() <-chan struct{} { return m.done }

// Unmount unmounts and waits. It fails with EBUSY, changing nothing, while files are open or a process is in it.
func (m *Mount) Unmount() error {
	if err := m.dev.unmount(); err != nil {
		return fmt.Errorf("cannot unmount %s: %w; close what uses it", m.fs.opt.Dir, err)
	}
	return m.Wait()
}
