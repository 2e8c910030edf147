package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// loadWriter goes through what fsbench measures, in a directory of its own, and checks what it reads.
type loadWriter struct {
	dir string
	rng *rand.Rand
	ops atomic.Int64
}

const (
	loadLarge = 4 * mib
	loadSmall = 40
)

func (w *loadWriter) path(name string, i int) string {
	return filepath.Join(w.dir, fmt.Sprintf("%s-%d", name, i))
}

// work runs rounds until stop is closed or something fails.
func (w *loadWriter) work(stop <-chan struct{}) error {
	for {
		for _, part := range []func() error{w.large, w.blocks, w.appends, w.create, w.look, w.change, w.unlink} {
			select {
			case <-stop:
				return nil
			default:
			}
			if err := part(); err != nil {
				return err
			}
		}
	}
}

// large writes a file anew and reads it.
func (w *loadWriter) large() error {
	data := noise(w.rng.Uint64(), loadLarge)
	if _, err := put(w.path("large", 0), data, true); err != nil {
		return err
	}
	return w.has(w.path("large", 0), data)
}

func (w *loadWriter) has(path string, want []byte) error {
	w.ops.Add(1)
	got, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s has %d bytes that are not those that were written", path, len(got))
	}
	return err
}

// blocks writes and reads 4 KiB here and there, each time in a version of its own.
func (w *loadWriter) blocks() error {
	for range 8 {
		block, at := noise(w.rng.Uint64(), 4096), w.rng.Int64N(loadLarge/4096)*4096
		f, err := os.OpenFile(w.path("large", 0), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(block, at)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		got := make([]byte, len(block))
		if f, err = os.Open(f.Name()); err != nil {
			return err
		}
		_, err = f.ReadAt(got, at)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if !bytes.Equal(got, block) {
			return fmt.Errorf("%s: other bytes at %d", f.Name(), at)
		}
		w.ops.Add(2)
	}
	return nil
}

func (w *loadWriter) appends() error {
	f, err := os.OpenFile(w.path("log", 0), os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for range 10 {
		if _, err := f.Write(noise(w.rng.Uint64(), 4096)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		w.ops.Add(1)
	}
	return f.Close()
}

func (w *loadWriter) content(i int) []byte { return noise(uint64(i), 1000+10*i) }

func (w *loadWriter) create() error {
	for i := range loadSmall {
		if _, err := put(w.path("small", i), w.content(i), i%8 == 0); err != nil {
			return err
		}
		w.ops.Add(1)
	}
	return nil
}

// look stats, lists and reads.
func (w *loadWriter) look() error {
	names, err := os.ReadDir(w.dir)
	if err == nil && len(names) != loadSmall+2 {
		err = fmt.Errorf("%s has %d names, not %d", w.dir, len(names), loadSmall+2)
	}
	for i := range loadSmall {
		_, serr := os.Lstat(w.path("small", i))
		err = errors.Join(err, serr, w.has(w.path("small", i), w.content(i)))
		w.ops.Add(1)
	}
	return err
}

// change overwrites, renames, sets attributes.
func (w *loadWriter) change() (err error) {
	for i := range loadSmall {
		_, perr := put(w.path("small", i), w.content(i+1), false)
		err = errors.Join(err, perr, unix.Setxattr(w.path("small", i), noteAttr, w.content(i)[:20], 0),
			os.Rename(w.path("small", i), w.path("other", i)), w.has(w.path("other", i), w.content(i+1)))
		w.ops.Add(3)
	}
	return err
}

func (w *loadWriter) unlink() (err error) {
	for i := range loadSmall {
		err = errors.Join(err, os.Remove(w.path("other", i)))
		w.ops.Add(1)
	}
	return err
}

// usage is what a process takes. Pages of the database's files that are mapped are not its own: the kernel takes them back
// when it wants memory.
type usage struct {
	own, mapped int64 // resident, in bytes
	descriptors int
}

func usageOf(pid int) (u usage, err error) {
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	u.descriptors = len(fds)
	if u.own, err = statusBytes(status, "RssAnon:"); err == nil {
		u.mapped, err = statusBytes(status, "RssFile:")
	}
	return u, err
}

// statusBytes is a figure of /proc/PID/status, see proc(5).
func statusBytes(status []byte, name string) (int64, error) {
	_, rest, _ := strings.Cut(string(status), name)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0, fmt.Errorf("there is no %s", name)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

// Bounds of the daemon under load. Descriptors are mostly content files that wait for the next sync, or for the next reader.
const (
	loadWriters    = 8
	loadResident   = 512 * mib
	loadDescriptor = 2048 + 256 + 200
	loadSample     = 250 * time.Millisecond
)

// Eight writers do all that fsbench does: nothing fails, nothing that is read is wrong, and the daemon's memory and
// descriptors stay bounded. $KMSFS_TEST_LOAD is for how long; from a minute on they must not grow either.
func TestLoad(t *testing.T) {
	long := 5 * time.Second
	if text := os.Getenv("KMSFS_TEST_LOAD"); text != "" {
		var err error
		long, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	b := newBench(t)
	b.mount()
	pid := b.pid()
	start, err := usageOf(pid)
	require.NoError(t, err)
	samples, ops := loadFor(t, b, pid, long)
	t.Logf("%v: %d operations; at the start %d MiB, %d descriptors", long, ops, start.own/mib, start.descriptors)
	requireBounded(t, samples)
	require.Equal(t, pid, b.pid(), "the daemon did not live through it")
	log, err := os.ReadFile(b.store + ".log")
	require.NoError(t, err)
	require.NotContains(t, string(log), "level=ERROR")
	b.umount()
	if long < time.Minute {
		b.check() // else it would take as long again
	}
}

// loadFor lets the writers work and samples the daemon meanwhile.
func loadFor(t *testing.T, b *bench, pid int, long time.Duration) (samples []usage, ops int64) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	var all []*loadWriter
	for i := range loadWriters {
		w := &loadWriter{dir: b.path(fmt.Sprint("w", i)), rng: rand.New(rand.NewPCG(uint64(i), 1))}
		require.NoError(t, os.Mkdir(w.dir, 0o755))
		all = append(all, w)
		running.Go(func() {
			if err := w.work(stop); err != nil {
				t.Errorf("%s: %v", w.dir, err)
			}
		})
	}
	for begin := time.Now(); time.Since(begin) < long && !t.Failed(); time.Sleep(loadSample) {
		u, err := usageOf(pid)
		if err != nil {
			t.Errorf("the daemon: %v", err)
		}
		samples = append(samples, u)
	}
	close(stop)
	running.Wait()
	for _, w := range all {
		ops += w.ops.Load()
	}
	require.Positive(t, ops)
	return samples, ops
}

// requireBounded looks at the most in each tenth of the time.
func requireBounded(t *testing.T, samples []usage) {
	t.Helper()
	require.NotEmpty(t, samples)
	var parts []usage
	for n := range 10 {
		var most usage
		for _, u := range samples[n*len(samples)/10 : (n+1)*len(samples)/10] {
			most.own, most.mapped = max(most.own, u.own), max(most.mapped, u.mapped)
			most.descriptors = max(most.descriptors, u.descriptors)
		}
		t.Logf("%3d %%: %4d MiB and %4d mapped, %4d descriptors", 10*(n+1), most.own/mib, most.mapped/mib, most.descriptors)
		require.Less(t, most.own, int64(loadResident))
		require.Less(t, most.descriptors, loadDescriptor)
		parts = append(parts, most)
	}
	if len(samples) < int(time.Minute/loadSample)/2 {
		return // caches still fill
	}
	early, late := max(parts[3].own, parts[4].own), max(parts[8].own, parts[9].own)
	require.Less(t, late, early+early/4+16*mib, "memory grows")
	require.Less(t, max(parts[8].descriptors, parts[9].descriptors), 2*max(parts[3].descriptors, parts[4].descriptors)+100, "descriptors grow")
}
