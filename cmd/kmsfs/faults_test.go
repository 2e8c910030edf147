package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// steps makes calls fail from a certain one on.
type steps struct {
	ops   []string      // what is counted
	dirs  []string      // ... of files that begin with one of these; none: all
	from  int64         // the first that fails
	count int64         // how many fail; 0: all
	err   unix.Errno    // what they answer; 0: nothing is wrong but
	delay time.Duration // ... that they take longer
	half  bool          // the first one, if it is a pwrite(2), writes half of its bytes and says so

	seen atomic.Int64
	hit  atomic.Pointer[syscallOf] // the first that failed
}

func (s *steps) decide(c syscallOf) verdict {
	below := func(dir string) bool { return strings.HasPrefix(c.path, dir) }
	if !slices.Contains(s.ops, c.op) || len(s.dirs) > 0 && !slices.ContainsFunc(s.dirs, below) {
		return verdict{}
	}
	n := s.seen.Add(1) - s.from
	if n < 0 || s.count > 0 && n >= s.count {
		return verdict{}
	}
	s.hit.CompareAndSwap(nil, &c)
	if n == 0 && s.half && c.op == "pwrite" {
		if s.count > 0 {
			s.count++ // those that fail come after it
		}
		return verdict{short: true}
	}
	return verdict{err: s.err, delay: s.delay}
}

// takeSpace are the calls that a full disk refuses.
func takeSpace() []string {
	return []string{"write", "pwrite", "pwritev2", "ftruncate", "fallocate", "open", "mkdir"}
}

// faultLoad is a little of everything, on few files, while calls of the daemon fail.
type faultLoad struct {
	*bench
	ledger                   // what was acknowledged
	may    map[string][]byte // what may be there instead, or a beginning of it, since a call failed; nil: nothing at all
	told   []error           // what the calls said since the run began
	runs   int
}

func newFaultLoad(b *bench) *faultLoad {
	return &faultLoad{bench: b, ledger: ledger{}, may: map[string][]byte{}}
}

func (l *faultLoad) file(name string, size int, sync bool) {
	data := noise(uint64(1000*l.runs+size), size)
	if where, err := put(l.path(name), data, sync); err != nil {
		l.told = append(l.told, fmt.Errorf("%s: %w", where, err))
		l.may[name] = data
		return
	}
	l.ledger[name] = data
	delete(l.may, name)
}

// other notes the answer of a call that makes no file.
func (l *faultLoad) other(err error) bool {
	if err != nil {
		l.told = append(l.told, err)
	}
	return err == nil
}

// run works once and answers what the calls said.
func (l *faultLoad) run() []error {
	l.runs++
	l.told = nil
	l.file("small", 100, false)
	l.file("large", 3*mib, false)
	l.file("synced", 200_000, true)
	l.file(fmt.Sprint("new-", l.runs), 3000, true)
	l.other(os.MkdirAll(l.path("dir"), 0o755))
	l.other(unix.Setxattr(l.mnt, noteAttr, fmt.Append(nil, l.runs), 0))
	l.other(syncDir(l.mnt))
	if old := fmt.Sprint("new-", l.runs-2); l.ledger[old] != nil {
		l.may[old] = nil
		if l.other(os.Remove(l.path(old))) {
			delete(l.ledger, old)
		}
	}
	return l.told
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// kept requires what was acknowledged.
func (l *faultLoad) kept() {
	l.t.Helper()
	for name, want := range l.ledger {
		got, err := os.ReadFile(l.path(name))
		if may, ok := l.may[name]; ok && (may == nil && errors.Is(err, os.ErrNotExist) || err == nil && bytes.HasPrefix(may, got)) {
			continue
		}
		require.NoError(l.t, err, name)
		require.True(l.t, bytes.Equal(got, want), "%s is neither what was acknowledged nor what failed: %d bytes, not %d", name, len(got), len(want))
	}
}

// under runs the load once while calls fail. It reports false when none did. What was told must be want.
func (l *faultLoad) under(o *overseer, s *steps, want unix.Errno) bool {
	l.t.Helper()
	o.set(s.decide)
	told := l.run()
	o.set(nil)
	if s.hit.Load() == nil {
		require.Empty(l.t, told)
		return false
	}
	for _, err := range told {
		require.ErrorIs(l.t, err, want, "after a failed %s", *s.hit.Load())
	}
	l.kept()
	return true
}

// The disk is full at each single step of the daemon, for one call, or from that one on. The calls of the program say
// ENOSPC and nothing else, what was acknowledged stays, and as soon as there is space all goes on.
func TestDiskFullAtEveryStep(t *testing.T) {
	b := newBench(t)
	o := oversee(b)
	b.mount()
	l, pid := newFaultLoad(b), b.pid()
	require.Empty(t, l.run())
	for count := range int64(2) {
		step := int64(1)
		for ; l.under(o, &steps{ops: takeSpace(), from: step, count: count, err: unix.ENOSPC, half: step%2 == 0}, unix.ENOSPC); step++ {
			require.Empty(t, l.run(), "there is space again")
			l.kept()
		}
		require.Greater(t, step, int64(8), "the daemon writes less than expected: this test sees nothing")
	}
	require.Equal(t, pid, b.pid(), "the daemon did not live through it")
	b.check()
	requireKept(t, b, l.ledger)
}

// A disk that fails at one call, or for a while, or is slow: who asked is told, nothing that was acknowledged is lost, and
// the next call works. One failed write of a large file's content is made up by the next flush, and nobody need be told.
func TestFailingDisk(t *testing.T) {
	const eio = unix.EIO
	content, journal := []string{"content"}, []string{"journal/"}
	b := newBench(t)
	o := oversee(b)
	b.mount()
	l, pid := newFaultLoad(b), b.pid()
	require.Empty(t, l.run())
	for name, s := range map[string]*steps{
		"write of content":         {ops: []string{"pwrite"}, dirs: content, err: eio},
		"short write of content":   {ops: []string{"pwrite"}, dirs: content, err: eio, half: true},
		"flush of content":         {ops: []string{"fdatasync"}, dirs: content, err: eio},
		"flush of a directory":     {ops: []string{"fsync"}, dirs: content, err: eio},
		"write of a record":        {ops: []string{"pwrite"}, dirs: journal, err: eio},
		"short write of a record":  {ops: []string{"pwrite"}, dirs: journal, err: eio, half: true},
		"flush of the journal":     {ops: []string{"fdatasync"}, dirs: journal, err: eio},
		"flush, for want of space": {ops: []string{"fdatasync"}, err: unix.ENOSPC},
		"slow flushes":             {ops: []string{"fdatasync", "fsync"}, delay: 30 * time.Millisecond},
		"slow writes":              {ops: []string{"pwrite"}, delay: 10 * time.Millisecond},
	} {
		for _, count := range []int64{1, 0} {
			tried := &steps{ops: s.ops, dirs: s.dirs, from: 1, count: count, err: s.err, delay: s.delay, half: s.half}
			require.True(t, l.under(o, tried, s.err), "%s: nothing failed: this test sees nothing", name)
			madeUp := count == 1 && strings.HasSuffix(name, "write of content")
			require.Equal(t, s.err != 0 && !madeUp, len(l.told) > 0, "%s: %v", name, l.told)
			require.Empty(t, l.run(), name)
			l.kept()
		}
	}
	require.Equal(t, pid, b.pid())
	b.check()
	requireKept(t, b, l.ledger)
}

// A read that fails is the reader's error, and what was read before and after is right.
func TestFailingReads(t *testing.T) {
	b := newBench(t)
	o := oversee(b)
	b.mount()
	data := noise(1, 5*mib)
	b.write("f", data)
	b.umount()
	b.mount()
	s := &steps{ops: []string{"pread"}, dirs: []string{"content/"}, from: 3, err: unix.EIO}
	o.set(s.decide)
	_, err := os.ReadFile(b.path("f"))
	o.set(nil)
	require.NotNil(t, s.hit.Load())
	require.ErrorIs(t, err, unix.EIO)
	got, err := os.ReadFile(b.path("f"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(data, got))
}
