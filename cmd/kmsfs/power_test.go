package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// powerWriter is a writer that also does what only matters to who may lose power.
type powerWriter struct {
	*writer
	b     *bench
	shell *shell
}

// begin starts a process that re-encrypts the files that it is told. A fork while files are open would close(2) copies of
// their descriptors, which makes versions of them.
func (w *powerWriter) begin() (err error) {
	cmd := w.b.command()
	w.shell, err = startShell("sh", []string{"-c", `while read -r f; do kmsfs reencrypt "$f" >/dev/null 2>&1; echo done; done`}, cmd.Env)
	return err
}

// work changes files until stop is closed or the daemon has died.
func (w *powerWriter) work(stop <-chan struct{}) {
	defer w.shell.end()
	for {
		select {
		case <-stop:
			return
		default:
		}
		name := fmt.Sprintf("f%d", w.rng.IntN(8))
		if w.rng.IntN(3) == 0 {
			name = w.subdir() + name
		}
		if !w.changeOrSync(name) {
			return
		}
	}
}

// subdir is the directory that renameDir renames.
func (w *powerWriter) subdir() string {
	if _, ok := w.state()["a/"]; ok {
		return "a/"
	}
	return "b/"
}

func (w *powerWriter) changeOrSync(name string) bool {
	_, exists := w.state()[name]
	switch k := w.rng.IntN(12); {
	case k == 0:
		return w.syncDir()
	case k == 1:
		return w.renameDir()
	case k == 2:
		return w.large()
	case k == 3 && exists:
		return w.append(name)
	case k == 4 && exists:
		return w.note(name)
	case k == 5 && exists && w.rng.IntN(4) == 0:
		return w.idle(func() error { _, err := w.shell.ask(w.path(name)); return err })
	}
	return w.change(name)
}

// syncDir makes all that was acknowledged durable.
func (w *powerWriter) syncDir() bool {
	return w.sync(w.state(), func() error {
		d, err := os.Open(w.path([]string{"", w.subdir()}[w.rng.IntN(2)]))
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}

func (w *powerWriter) renameDir() bool {
	from, to := w.subdir(), "a/"
	if from == to {
		to = "b/"
	}
	return w.step(w.state().renamed(from, to), func() error { return os.Rename(w.path(from), w.path(to)) })
}

// large writes a file of some MiB, which is fsynced on the way and at its end.
func (w *powerWriter) large() bool {
	const name = "large"
	if _, ok := w.state()[name]; ok && !w.remove(name) {
		return false
	}
	content := string(noise(w.rng.Uint64(), 2<<20+w.rng.IntN(4<<20)))
	return w.create(name, content) && w.syncDir()
}

// append adds to a file what is durable when write(2) returns.
func (w *powerWriter) append(name string) bool {
	var f *os.File
	if !w.idle(func() (err error) {
		f, err = os.OpenFile(w.path(name), os.O_WRONLY|os.O_APPEND|unix.O_DSYNC, 0)
		return err
	}) {
		return false
	}
	for range 1 + w.rng.IntN(4) {
		piece := string(noise(w.rng.Uint64(), 1+w.rng.IntN(9000)))
		next := w.state().with(name, w.state()[name]+piece)
		if !w.sync(next, func() error { _, err := f.WriteString(piece); return err }) {
			_ = f.Close()
			return false
		}
	}
	return w.step(w.state(), f.Close)
}

func (w *powerWriter) note(name string) bool {
	value := fmt.Sprint(w.rng.Uint64())
	return w.step(w.state().with(name+noteMark, value), func() error {
		return unix.Setxattr(w.path(name), noteAttr, []byte(value), 0)
	})
}

// powerLoad is who uses the mount when the power is lost.
type powerLoad interface {
	begin() error
	work(stop <-chan struct{})
	progress() int
	hold()
	end()
	recovered() error
}

func (w *powerWriter) progress() int { return w.acknowledgedNumber() }

// power is a store on a disk that loses power, and its users.
type power struct {
	*bench
	disk  *powerDisk
	rng   *rand.Rand
	loads []powerLoad
}

func newPower(t *testing.T, seed uint64) *power {
	t.Helper()
	p := &power{bench: newBench(t), disk: newPowerDisk(t), rng: rand.New(rand.NewPCG(seed, 77))}
	p.store = filepath.Join(p.disk.mnt, "store") // the root key and the audit records lie beside it
	log := filepath.Join(p.dir, "daemon.log")    // is not lost with the power
	require.NoError(t, os.WriteFile(filepath.Join(p.dir, "config.toml"), fmt.Appendf(nil, "log-file = %q\n", log), 0o600))
	t.Cleanup(func() {
		endDaemons(p.dir) // before the disk goes
		if text, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("the end of the daemon's log:\n%s", text[max(0, len(text)-4000):])
		}
	})
	p.mount()
	var all []*history
	for _, w := range newWriters(t, p.bench, seed) {
		require.NoError(t, os.Mkdir(w.path("a"), 0o755))
		w.history = newHistory(tree{"a/": ""})
		w.onlySynced = true
		all = append(all, w.history)
		p.loads = append(p.loads, &powerWriter{writer: w, b: p.bench})
	}
	for _, h := range all {
		h.others = all
	}
	for _, mode := range []string{"delete", "wal"} {
		w, err := newSQLWriter(p.path(mode+".db"), mode)
		require.NoError(t, err)
		p.loads = append(p.loads, w)
	}
	p.umount() // all of that is durable
	p.mount()
	return p
}

// start lets all users work until the answer is called. It returns after a time, when each has done something.
func (p *power) start(after time.Duration) (end func()) {
	before := make([]int, len(p.loads))
	for i, l := range p.loads {
		before[i] = l.progress()
	}
	for _, l := range p.loads {
		require.NoError(p.t, l.begin())
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for _, l := range p.loads {
		running.Go(func() { l.work(stop) })
	}
	rng := rand.New(rand.NewPCG(p.rng.Uint64(), 1))
	running.Go(func() { writeAnything(p.store, rng, stop) })
	time.Sleep(after)
	for i, l := range p.loads {
		require.Eventually(p.t, func() bool { return l.progress() > before[i] }, time.Minute, pollEvery, "no load")
	}
	return sync.OnceFunc(func() { close(stop); running.Wait() })
}

// cut loses power after a time of load.
func (p *power) cut(after time.Duration) {
	p.t.Helper()
	pid, end := p.pid(), p.start(after)
	for _, l := range p.loads {
		l.hold()
	}
	image := p.disk.cut()
	for _, l := range p.loads {
		l.end()
	}
	p.kill(pid)
	end()
	for _, l := range p.loads {
		if w, ok := l.(*powerWriter); ok {
			require.True(p.t, w.err == nil || endedByKill(w.err), "%s: ended by something else: %v", w.dir, w.err)
		}
	}
	p.disk.replace(image)
}

// cutAfterUmount loses power when umount has returned.
func (p *power) cutAfterUmount(after time.Duration) {
	p.t.Helper()
	pid, end := p.pid(), p.start(after)
	end()
	for _, l := range p.loads {
		if w, ok := l.(*powerWriter); ok {
			w.certain(w.acknowledgedNumber()) // once umount has returned
		}
		l.hold()
		l.end()
	}
	p.umount()
	image := p.disk.cut()
	p.gone(pid)
	p.disk.replace(image)
}

// recovered mounts what the disk has and answers what is wrong with it.
func (p *power) recovered() error {
	code, _, stderr := p.try("mount", "demo", p.mnt)
	if code != 0 {
		return fmt.Errorf("mount: exit code %d: %s", code, stderr)
	}
	var errs []error
	for _, l := range p.loads {
		errs = append(errs, l.recovered())
	}
	if code, a := p.damage(); code != 0 || a.Damaged > 0 {
		errs = append(errs, fmt.Errorf("check: exit code %d: %+v", code, a.Damage))
	}
	return errors.Join(errs...)
}

// powerCuts is how often the power is lost; $KMSFS_TEST_CUTS makes it more.
const powerCuts = 10

// The power is lost at random moments under load, and each time the store goes on with what the disk had. All that was
// made durable is there, to the byte; each directory is as it was at one moment, with all that happened before and nothing
// of what happened after; databases are sound; the store is whole.
func TestPowerLoss(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p := newPower(t, seed)
	cuts := scaled(t, "KMSFS_TEST_CUTS", powerCuts)
	for n := range cuts {
		if n == cuts/2 {
			p.run("bucket", "set", "demo", "--versioning", "suspended")
		}
		after := time.Duration(20+p.rng.IntN(1000)) * time.Millisecond
		if n%5 == 4 {
			p.cutAfterUmount(after)
		} else {
			p.cut(after)
		}
		require.NoError(t, p.recovered(), "cut %d", n)
		if n%10 == 9 {
			t.Logf("%d cuts", n+1)
		}
	}
	p.umount()
	p.check()
}

// The same, with a program whose fsyncs do nothing, must be found out. It takes one cut, unless the machine happens to write
// everything just before.
func TestPowerLossIsFoundWithoutSync(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p := newPower(t, seed)
	p.umount()
	p.under = []string{"withoutsync"}
	p.mount()
	for range powerCuts {
		p.cut(time.Second)
		if err := p.recovered(); err != nil {
			t.Logf("found: %.2000s", err)
			return
		}
	}
	t.Fatalf("nothing was found wrong in %d cuts", powerCuts)
}
