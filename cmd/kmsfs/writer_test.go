package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// tree is the files below one directory: names and contents. A directory is a name that ends with a slash, a note (see
// noteAttr) is the name of its file with noteMark behind it.
type tree map[string]string

const (
	noteAttr = "user.note"
	noteMark = "#note"
)

func (t tree) with(name, content string) tree {
	u := maps.Clone(t)
	u[name] = content
	return u
}

func (t tree) without(name string) tree {
	u := maps.Clone(t)
	delete(u, name)
	delete(u, name+noteMark)
	return u
}

// renamed is the tree after a file was renamed, or a directory, to a name that is not in the tree.
func (t tree) renamed(from, to string) tree {
	u := t.without(to)
	for name, content := range t {
		if rest, ok := strings.CutPrefix(name, from); ok && (rest == "" || rest == noteMark || strings.HasSuffix(from, "/")) {
			delete(u, name)
			u[to+rest] = content
		}
	}
	return u
}

// history is what may be there after a crash: one of the states that a writer's files have gone through, from one that is
// certain to one that was under way.
type history struct {
	// onlySynced says that what was acknowledged may be lost until it is made durable: power loss, and not process death.
	onlySynced bool
	// others are the histories of all writers: what one of them makes durable makes durable what was there before.
	others []*history

	mu      sync.Mutex
	states  []tree // GUARDED_BY(mu): never empty; the first is certain, the last may be under way
	passed  int    // GUARDED_BY(mu): how many states were before the first
	present tree   // GUARDED_BY(mu): the last one that was acknowledged
	number  int    // GUARDED_BY(mu): its number, counted from the first of all
	held    bool   // GUARDED_BY(mu): the first state does not move on
	over    bool   // GUARDED_BY(mu): neither does the last
}

func newHistory(now tree) *history { return &history{states: []tree{now}, present: now} }

func (h *history) now() tree {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.present
}

func (h *history) acknowledgedNumber() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.number
}

func (h *history) attempt(next tree) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.over {
		h.states = append(h.states, next)
	}
}

// acknowledged says that the state that was begun last is there.
func (h *history) acknowledged(next tree) {
	h.mu.Lock()
	h.present, h.number = next, h.passed+len(h.states)-1
	h.mu.Unlock()
	if !h.onlySynced {
		h.certain(h.number)
	}
}

// certain says that the state of a number, or a later one, will be there.
func (h *history) certain(number int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := number - h.passed; n > 0 && !h.held {
		h.states, h.passed = slices.Clone(h.states[n:]), number
	}
}

// hold is the moment from which on the power may be lost: nothing becomes certain any more.
func (h *history) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = true
}

// end is the moment from which on the power is lost for sure: what begins now leaves nothing.
func (h *history) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// found makes t the only state that may be, if it was one.
func (h *history) found(t tree) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.states {
		if maps.Equal(s, t) {
			h.states, h.present, h.held, h.over = []tree{t}, t, false, false
			h.passed, h.number = 0, 0
			return nil
		}
	}
	text := fmt.Sprintf("is none of the %d states that may be there", len(h.states))
	for i, s := range h.states {
		text += fmt.Sprintf("\nstate %d: %.1000s", i, difference(s, t))
	}
	return fmt.Errorf("%s", text)
}

// writer changes files of a directory of its own until the daemon dies.
type writer struct {
	*history
	dir  string
	rng  *rand.Rand
	keys []string
	done int   // changes that were acknowledged
	err  error // why it stopped
}

func (w *writer) state() tree { return w.now() }

// step runs a change that leads from the present state to next. It is false when the daemon has died.
func (w *writer) step(next tree, change func() error) bool {
	w.attempt(next)
	if w.err = change(); w.err != nil {
		return false
	}
	w.acknowledged(next)
	w.done++
	return true
}

// sync is step for a change that is durable once it is acknowledged, together with all before it.
func (w *writer) sync(next tree, change func() error) bool {
	var before []int
	for _, h := range w.others {
		before = append(before, h.acknowledgedNumber())
	}
	if !w.step(next, change) {
		return false
	}
	for i, h := range w.others {
		h.certain(before[i])
	}
	w.certain(w.acknowledgedNumber())
	return true
}

// idle runs a call that does not change what a crash leaves.
func (w *writer) idle(change func() error) bool {
	if w.err = change(); w.err != nil {
		return false
	}
	w.done++
	return true
}

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

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
		return w.create(name, w.content())
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
		ok = w.sync(w.state().with(name, content[:cut]), f.Sync)
	}
	ok = ok && w.idle(func() error { _, err := f.WriteString(content[cut:]); return err })
	if !ok {
		_ = f.Close()
		return false
	}
	return w.step(w.state().with(name, content), f.Close)
}

func (w *writer) create(name, content string) bool {
	var f *os.File
	return w.step(w.state().with(name, ""), func() (err error) {
		f, err = os.OpenFile(w.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		return err
	}) && w.fill(f, name, content)
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
	if w.rng.IntN(2) == 0 && !w.sync(w.state().with(name, now), f.Sync) {
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
	return w.create("tmp", w.content()) && w.step(w.state().renamed("tmp", name), func() error { return os.Rename(w.path("tmp"), w.path(name)) })
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
	require.NoError(t, w.recovered())
}

// recovered is verify's error.
func (w *writer) recovered() error {
	t := tree{}
	if err := w.read(t, ""); err != nil {
		return err
	}
	if err := w.found(t); err != nil {
		return fmt.Errorf("%s %w", w.dir, err)
	}
	return nil
}

// read adds the files of a directory to t.
func (w *writer) read(t tree, dir string) error {
	entries, err := os.ReadDir(w.path(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := dir + e.Name()
		if e.IsDir() {
			t[name+"/"] = ""
			if err := w.read(t, name+"/"); err != nil {
				return err
			}
			continue
		}
		b, err := os.ReadFile(w.path(name))
		if err != nil {
			return err
		}
		t[name] = string(b)
		note := make([]byte, 256)
		if n, err := unix.Getxattr(w.path(name), noteAttr, note); err == nil {
			t[name+noteMark] = string(note[:n])
		} else if err != unix.ENODATA {
			return fmt.Errorf("%s of %s: %w", noteAttr, name, err)
		}
	}
	return nil
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
			text += fmt.Sprintf("%s has %d bytes, not %d, and differs from byte %d on; ", name, len(g), len(w), at)
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
		all = append(all, &writer{history: newHistory(tree{}), dir: b.path(name), keys: []string{"alias/k1", "alias/k2"},
			rng: rand.New(rand.NewPCG(seed, uint64(i)))})
	}
	return all
}
