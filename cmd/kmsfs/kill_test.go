package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tree is the files of one directory: names and contents.
type tree map[string]string

func (t tree) with(name, content string) tree {
	u := maps.Clone(t)
	u[name] = content
	return u
}

func (t tree) without(name string) tree {
	u := maps.Clone(t)
	delete(u, name)
	return u
}

func (t tree) renamed(from, to string) tree {
	return t.with(to, t[from]).without(from)
}

// writer changes files of a directory of its own until the daemon dies, and remembers what may be there after that:
// the last acknowledged state, or one that was being made when it died.
type writer struct {
	dir  string
	rng  *rand.Rand
	may  []tree // never empty; one alone when nothing is under way
	keys []string
	done int   // changes that were acknowledged
	err  error // why it stopped
}

func (w *writer) state() tree { return w.may[0] }

// step runs a change that leads from the present state to next. It is false when the daemon has died.
func (w *writer) step(next tree, change func() error) bool {
	w.may = append(w.may[:1], next)
	if w.err = change(); w.err != nil {
		return false
	}
	w.may = []tree{next}
	w.done++
	return true
}

// idle runs a call that does not change what a crash leaves.
func (w *writer) idle(change func() error) bool { return w.step(w.state(), change) }

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

func (w *writer) pick() string {
	names := slices.Sorted(maps.Keys(w.state()))
	if len(names) == 0 {
		return ""
	}
	return names[w.rng.IntN(len(names))]
}

// content is new for each call: small, or some chunks, or many.
func (w *writer) content() string {
	n := []int{w.rng.IntN(3000), w.rng.IntN(200 << 10), w.rng.IntN(2 << 20)}[w.rng.IntN(3)]
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return string(b)
}

func (w *writer) work() {
	for {
		name := fmt.Sprintf("f%d", w.rng.IntN(12))
		if !w.change(name) {
			return
		}
	}
}

func (w *writer) change(name string) bool {
	_, exists := w.state()[name]
	switch k := w.rng.IntN(10); {
	case !exists:
		return w.create(name)
	case k < 2:
		return w.overwrite(name)
	case k < 4:
		return w.modify(name)
	case k < 5:
		return w.save(name)
	case k < 6:
		to := fmt.Sprintf("f%d", w.rng.IntN(12))
		return to == name || w.step(w.state().renamed(name, to), func() error { return os.Rename(w.path(name), w.path(to)) })
	case k < 7:
		return w.remove(name)
	case k < 8:
		key := w.keys[w.rng.IntN(len(w.keys))]
		return w.idle(func() error { return unix.Setxattr(w.path(name), "user.sse-kms-key-id", []byte(key), 0) })
	default:
		return w.truncate(name)
	}
}

// fill writes content to f in pieces, with an fsync somewhere, and closes it.
func (w *writer) fill(f *os.File, name, content string) bool {
	cut := w.rng.IntN(len(content) + 1)
	ok := w.idle(func() error { _, err := f.WriteString(content[:cut]); return err })
	if ok && w.rng.IntN(2) == 0 {
		ok = w.step(w.state().with(name, content[:cut]), f.Sync)
	}
	ok = ok && w.idle(func() error { _, err := f.WriteString(content[cut:]); return err })
	if !ok {
		_ = f.Close()
		return false
	}
	return w.step(w.state().with(name, content), f.Close)
}

func (w *writer) create(name string) bool {
	var f *os.File
	return w.step(w.state().with(name, ""), func() (err error) {
		f, err = os.OpenFile(w.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		return err
	}) && w.fill(f, name, w.content())
}

// overwrite truncates at open. What was there stays until the close.
func (w *writer) overwrite(name string) bool {
	var f *os.File
	return w.idle(func() (err error) {
		f, err = os.OpenFile(w.path(name), os.O_TRUNC|os.O_WRONLY, 0)
		return err
	}) && w.fill(f, name, w.content())
}

// modify writes somewhere into a file, or appends.
func (w *writer) modify(name string) bool {
	var f *os.File
	if !w.idle(func() (err error) { f, err = os.OpenFile(w.path(name), os.O_RDWR, 0); return err }) {
		return false
	}
	old, piece := w.state()[name], w.content()
	piece = piece[:min(len(piece), 100<<10)]
	at := len(old)
	if w.rng.IntN(2) == 0 {
		at = w.rng.IntN(len(old) + 1)
	}
	now := old[:at] + piece
	if len(old) > len(now) {
		now += old[len(now):]
	}
	if !w.idle(func() error { _, err := f.WriteAt([]byte(piece), int64(at)); return err }) {
		_ = f.Close()
		return false
	}
	if w.rng.IntN(2) == 0 && !w.step(w.state().with(name, now), f.Sync) {
		_ = f.Close()
		return false
	}
	return w.step(w.state().with(name, now), f.Close)
}

// save is what editors do: a new file, fsynced, renamed over the old one.
func (w *writer) save(name string) bool {
	if _, left := w.state()["tmp"]; left && !w.remove("tmp") {
		return false
	}
	return w.create("tmp") && w.step(w.state().renamed("tmp", name), func() error { return os.Rename(w.path("tmp"), w.path(name)) })
}

func (w *writer) remove(name string) bool {
	return w.step(w.state().without(name), func() error { return os.Remove(w.path(name)) })
}

func (w *writer) truncate(name string) bool {
	old := w.state()[name]
	n := w.rng.IntN(len(old) + 1)
	return w.step(w.state().with(name, old[:n]), func() error { return os.Truncate(w.path(name), int64(n)) })
}

// verify reads the directory and requires one of the states that may be. It is the only one from then on.
func (w *writer) verify(t *testing.T) {
	t.Helper()
	found := w.read(t)
	for _, s := range w.may {
		if maps.Equal(s, found) {
			w.may = []tree{found}
			return
		}
	}
	for i, s := range w.may {
		t.Logf("%s: differs from state %d of %d: %s", w.dir, i, len(w.may), difference(s, found))
	}
	t.FailNow()
}

func (w *writer) read(t *testing.T) tree {
	t.Helper()
	found := tree{}
	entries, err := os.ReadDir(w.dir)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(w.path(e.Name()))
		require.NoError(t, err)
		found[e.Name()] = string(b)
	}
	return found
}

func difference(want, got tree) string {
	var text string
	for _, name := range slices.Sorted(maps.Keys(want)) {
		g, ok := got[name]
		if w := want[name]; !ok {
			text += name + " is missing; "
		} else if w != g {
			at := 0
			for at < min(len(w), len(g)) && w[at] == g[at] {
				at++
			}
			text += fmt.Sprintf("%s has %d bytes (%x), not %d (%x), and differs from byte %d on; ", name, len(g), sha256.Sum256([]byte(g)), len(w), sha256.Sum256([]byte(w)), at)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			text += name + " should not be there; "
		}
	}
	return text
}

// newWriters makes writers under different settings.
func newWriters(t *testing.T, b *bench, seed uint64) []*writer {
	t.Helper()
	for _, alias := range []string{"alias/k1", "alias/k2"} {
		b.run("key", "create", "--alias", alias)
	}
	settings := []map[string]string{
		nil,
		{"user.sse-kms-key-id": "alias/k1"},
		{"user.sse": "aws:kms:dsse"},
		{"user.sse-kms-key-id": "alias/k2", "user.bucket-key": "true", "user.encryption-context": `{"team":"x"}`},
	}
	var all []*writer
	for i, s := range settings {
		name := fmt.Sprintf("w%d", i)
		require.NoError(t, os.Mkdir(b.path(name), 0o755))
		for attr, value := range s {
			b.setxattr(name, attr, value)
		}
		all = append(all, &writer{dir: b.path(name), may: []tree{{}}, keys: []string{"alias/k1", "alias/k2"},
			rng: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	return all
}

// killRounds is how often the daemon is killed; $KMSFS_TEST_KILLS makes it more.
const killRounds = 20

// The daemon is killed at random moments under load. Nothing that was acknowledged is lost, nothing is mixed, and the
// next mount needs no manual step. Half of the rounds run in a suspended bucket, where content is replaced.
func TestKilledAtRandomMoments(t *testing.T) {
	b := newBench(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	b.mount()
	writers := newWriters(t, b, seed)
	rng := rand.New(rand.NewPCG(seed, 99))
	rounds := scaled(t, "KMSFS_TEST_KILLS", killRounds)
	for round := range rounds {
		if round == rounds/2 {
			b.run("bucket", "set", "demo", "--versioning", "suspended")
		}
		killUnderLoad(t, b, writers, time.Duration(20+rng.IntN(1200))*time.Millisecond)
		b.mount()
		for _, w := range writers {
			w.verify(t)
		}
		b.check()
		if round%5 == 4 {
			b.run("gc")
			b.check()
		}
	}
	done := 0
	for _, w := range writers {
		done += w.done
	}
	require.Greater(t, done, 20*rounds, "there was next to no load")
	t.Logf("%d kills, %d acknowledged changes", rounds, done)
	b.umount()
	b.mount()
	for _, w := range writers {
		w.verify(t)
	}
	b.umount()
	b.check()
}

func killUnderLoad(t *testing.T, b *bench, writers []*writer, after time.Duration) {
	t.Helper()
	pid := b.pid()
	var running sync.WaitGroup
	for _, w := range writers {
		running.Go(w.work)
	}
	time.Sleep(after)
	b.kill(pid)
	running.Wait()
	for _, w := range writers {
		require.Error(t, w.err)
		require.True(t, endedByKill(w.err), "ended by something else: %v", w.err)
	}
	log, err := os.ReadFile(b.store + ".log") // has every EIO that the daemon answered
	require.NoError(t, err)
	require.NotEmpty(t, log)
	require.NotContains(t, string(log), "level=ERROR")
}

// endedByKill reports whether the kernel made an error because the daemon died. A request that the daemon was just
// reading ends with EIO.
func endedByKill(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EIO)
}
