package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// randomOperations is how many operations there are; $KMSFS_TEST_OPS makes it more, $KMSFS_TEST_SEED repeats a run.
const randomOperations = 3000

// Random operations on several files, each compared with a model in memory, on a real mount of the real daemon, which
// is killed and mounted again in between. What was closed or synced is there afterwards, and what was not is as it was
// before.
func TestRandomOperations(t *testing.T) {
	total := scaled(t, "KMSFS_TEST_OPS", randomOperations)
	seed := uint64(scaled(t, "KMSFS_TEST_SEED", int(time.Now().UnixNano()>>10)))
	t.Logf("KMSFS_TEST_SEED=%d KMSFS_TEST_OPS=%d", seed, total)
	b := newBench(t)
	m := newRandomRun(t, b, seed)
	for _, alias := range []string{"alias/a", "alias/b"} {
		b.run("key", "create", "--alias", alias)
	}
	done := map[string]int{}
	every := 600 + total/300
	for n := 1; n <= total; n++ {
		op := m.choose()
		done[op.name]++
		op.do(m)
		if n%4 == 0 {
			m.checkOne()
		}
		if n%every == 0 {
			m.disturb(n / every)
		}
	}
	for _, op := range randomOps() {
		require.NotZero(t, done[op.name], "no %s among the operations", op.name)
	}
	m.remount(false)
	b.umount()
	b.check()
	t.Log(done)
}

// disturb does what happens to the mount as a whole, the n-th time.
func (m *randomRun) disturb(n int) {
	switch n % 4 {
	case 0, 2:
		m.remount(true)
	case 1:
		m.reencryptAll()
	case 3:
		m.dropCaches()
	}
	if n%40 == 39 {
		m.remount(false)
	}
	for name := range m.names {
		m.checkName(name)
	}
}

// remount ends the daemon, by a kill or by the rules, and mounts again.
func (m *randomRun) remount(kill bool) {
	m.note("remount, kill: %v", kill)
	if kill {
		m.syncMapped()
		m.b.kill(m.daemon)
	}
	for _, h := range m.open {
		if err := h.Close(); !kill {
			m.ok(err)
			h.file.sync()
		}
	}
	m.open = nil
	for _, f := range m.names {
		f.crashed()
	}
	if !kill {
		m.b.umount()
	}
	m.mount()
}

// mount asks at once which process it is: to start a program while files are open is a close of each of them, in the
// new process, and that makes all durable.
func (m *randomRun) mount() {
	m.b.mount()
	m.daemon = m.b.pid()
}

// syncMapped makes the daemon have what was written through mappings: it is the kernel's until then, and which of it
// the kernel has written nobody knows.
func (m *randomRun) syncMapped() {
	for _, h := range m.open {
		if h.file.mapped && h.write {
			m.ok(h.Sync())
			h.file.sync()
		}
	}
}

// reencryptAll runs the command on everything, open files among it.
func (m *randomRun) reencryptAll() {
	m.note("reencrypt")
	m.syncMapped()
	m.b.run("reencrypt", "-r", "--all", m.b.path())
	for _, f := range m.names {
		f.sync()
	}
}

// dropCaches makes the kernel forget all pages and names. Only root may; else it forgets the pages of open files.
func (m *randomRun) dropCaches() {
	m.note("drop caches")
	if os.Geteuid() != 0 {
		for _, h := range m.open {
			m.forgetPages(h)
		}
		return
	}
	m.ok(os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
}

// randomOp is one kind of operation and how often it comes, out of the sum of all.
type randomOp struct {
	name   string
	weight int
	do     func(*randomRun)
}

func randomOps() []randomOp {
	return []randomOp{
		{"write", 30, (*randomRun).write},
		{"read", 15, (*randomRun).read},
		{"open", 12, (*randomRun).openOne},
		{"close", 8, (*randomRun).closeOne},
		{"fsync", 3, (*randomRun).fsync},
		{"truncate", 4, (*randomRun).truncate},
		{"ftruncate", 5, (*randomRun).ftruncate},
		{"fallocate", 8, (*randomRun).fallocate},
		{"copy_file_range", 6, (*randomRun).copyRange},
		{"mapped write", 5, (*randomRun).mapWrite},
		{"mapped read", 4, (*randomRun).mapRead},
		{"seek", 3, (*randomRun).seek},
		{"forget pages", 3, (*randomRun).forgetOne},
		{"rename", 4, (*randomRun).rename},
		{"link", 1, (*randomRun).link},
		{"unlink", 2, (*randomRun).unlink},
		{"setxattr", 4, (*randomRun).setxattr},
		{"select key", 2, (*randomRun).selectKey},
		{"list", 1, (*randomRun).list},
	}
}

func (m *randomRun) choose() randomOp {
	n := m.r.IntN(m.sum)
	for _, op := range m.ops {
		if n -= op.weight; n < 0 {
			return op
		}
	}
	panic("not reached: the weights add up to the sum")
}

// randomRun is the model: names of files, and who has them open.
type randomRun struct {
	t       *testing.T
	b       *bench
	r       *rand.Rand
	ops     []randomOp
	sum     int
	names   map[string]*randomFile
	open    []*randomHandle
	daemon  int      // the process that serves the mount
	created int      // files so far
	log     []string // the last operations
	buf     []byte
}

func newRandomRun(t *testing.T, b *bench, seed uint64) *randomRun {
	m := &randomRun{
		t: t, b: b, r: rand.New(rand.NewPCG(seed, 17)), ops: randomOps(), names: map[string]*randomFile{},
		buf: make([]byte, randomSize+1),
	}
	for _, op := range m.ops {
		m.sum += op.weight
	}
	m.mount()
	for _, dir := range []string{"d", "e"} {
		require.NoError(t, os.Mkdir(b.path(dir), 0o755))
	}
	b.setxattr("e", "user.bucket-key", "true")
	return m
}

// anyName is a name that may be one of a file.
func (m *randomRun) anyName() string {
	return [...]string{"d", "e"}[m.r.IntN(2)] + "/f" + strconv.Itoa(m.r.IntN(4))
}

// someName is the name of a file; "" when there is none.
func (m *randomRun) someName() string {
	all := make([]string, 0, len(m.names))
	for name := range m.names {
		all = append(all, name)
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return all[m.r.IntN(len(all))]
}

// handle is an open file, for writing where write is set; nil when there is none.
func (m *randomRun) handle(write bool) *randomHandle {
	var all []*randomHandle
	for _, h := range m.open {
		if h.write || !write {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[m.r.IntN(len(all))]
}

// randomLog is how many operations are shown when one went wrong.
const randomLog = 80

func (m *randomRun) note(format string, args ...any) {
	if m.log = append(m.log, fmt.Sprintf(format, args...)); len(m.log) > 2*randomLog {
		m.log = slices.Delete(m.log, 0, randomLog)
	}
}

func (m *randomRun) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s, after\n%s", fmt.Sprintf(format, args...), strings.Join(m.log[max(0, len(m.log)-randomLog):], "\n"))
}

func (m *randomRun) ok(err error) {
	m.t.Helper()
	if err != nil {
		m.fail("%v", err)
	}
}
