package fusefs

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// queue is a device whose requests a test makes.
type queue struct {
	mu       sync.Mutex
	cond     *sync.Cond
	requests [][]byte
	gone     bool
	answers  chan []byte
}

func newQueue() *queue {
	q := &queue{answers: make(chan []byte, 100_000)}
	q.cond = sync.NewCond(&q.mu)
	return q
}

// send queues a request: struct fuse_in_header's length, opcode and number.
func (q *queue) send(opcode uint32, number uint64) {
	b := binary.NativeEndian.AppendUint32(nil, 16)
	b = binary.NativeEndian.AppendUint32(b, opcode)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests = append(q.requests, binary.NativeEndian.AppendUint64(b, number))
	q.cond.Broadcast()
}

func (q *queue) unmount() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gone = true
	q.cond.Broadcast()
}

func (q *queue) read(buf []byte) (int, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.requests) > 0 {
		n := copy(buf, q.requests[0])
		q.requests = q.requests[1:]
		return n, true, nil
	}
	if q.gone {
		return 0, false, errGone
	}
	return 0, false, nil
}

func (q *queue) wait() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.requests) == 0 && !q.gone {
		q.cond.Wait()
	}
}

func (q *queue) pending() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests) > 0
}

func (q *queue) answer(buf []byte) error {
	q.answers <- append([]byte(nil), buf...)
	return nil
}

// numberOf is the number of a request or an answer.
func numberOf(b []byte) uint64 { return binary.NativeEndian.Uint64(b[8:]) }

// serving starts workers; the test ends when they have.
func serving(t *testing.T, q *queue, handle func(in []byte)) {
	t.Helper()
	ended := start(q, handle, nothing)
	t.Cleanup(func() {
		q.unmount()
		within(t, ended, "workers do not end")
	})
}

// start runs workers that echo what they are sent, until they end.
func start(q *queue, handle, behind func(in []byte)) (ended chan struct{}) {
	w := newWorkers(q, slog.Default(), func(in, out []byte) int {
		handle(in)
		return copy(out, in)
	}, behind)
	ended = make(chan struct{})
	go func() { w.serve(); close(ended) }()
	return ended
}

func nothing([]byte) {}

// requireServing requires that workers do not end yet.
func requireServing(t *testing.T, ended <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ended:
		t.Fatal(what)
	case <-time.After(20 * time.Millisecond):
	}
}

func within[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(time.Minute):
		t.Fatal(what)
	}
	return v
}

// Each request is answered once, however many come at once and however long answers take.
func TestEachRequestIsAnswered(t *testing.T) {
	q := newQueue()
	var handled atomic.Int64
	serving(t, q, func(in []byte) {
		if n := handled.Add(1); n%1000 == 0 {
			time.Sleep(time.Millisecond)
		}
	})
	const senders, each = 4, 5000
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				q.send(uint32(i%40), uint64(s*each+i))
			}
		})
	}
	wg.Wait()
	seen := make([]bool, senders*each)
	for range senders * each {
		n := numberOf(within(t, q.answers, "a request was not answered"))
		require.False(t, seen[n], "request %d was answered twice", n)
		seen[n] = true
	}
	require.EqualValues(t, senders*each, handled.Load())
}

// An answer may need that other requests are answered first: a message to the kernel waits for pages that are being read.
func TestAnswersThatNeedOthers(t *testing.T) {
	q := newQueue()
	const n = 20
	started := make(chan struct{}, n)
	all := make(chan struct{})
	serving(t, q, func([]byte) { started <- struct{}{}; <-all })
	for i := range n {
		q.send(1, uint64(i)) // one at a time: it looks as if nothing else was to be done
		within(t, started, "a request waits for the answer to another one")
	}
	close(all)
	for range n {
		within(t, q.answers, "a request was not answered")
	}
}

// After the end, what was read is still answered.
func TestWorkersEndAfterTheirAnswers(t *testing.T) {
	q := newQueue()
	started, finish := make(chan struct{}), make(chan struct{})
	ended := start(q, func([]byte) { close(started); <-finish }, nothing)
	q.send(1, 7)
	within(t, started, "not read")
	q.unmount()
	requireServing(t, ended, "ended while a request was being answered")
	close(finish)
	within(t, ended, "workers do not end")
	require.EqualValues(t, 7, numberOf(within(t, q.answers, "not answered")))
}

// What is left of a request is done behind its answer, and others are answered meanwhile.
func TestWorkBehindAnAnswer(t *testing.T) {
	q := newQueue()
	var b behind
	left := make(chan struct{})
	ended := start(q, func(in []byte) {
		if n := numberOf(in); n == 7 {
			b.add(n, func() { <-left })
		}
	}, b.run)
	q.send(opWrite, 7)
	require.EqualValues(t, 7, numberOf(within(t, q.answers, "not answered")))
	q.send(opWrite, 8)
	require.EqualValues(t, 8, numberOf(within(t, q.answers, "it waits for what is left of another one")))
	q.unmount()
	requireServing(t, ended, "ended before all was done")
	close(left)
	within(t, ended, "workers do not end")
	require.Empty(t, b.todo)
}

func TestMountFlags(t *testing.T) {
	flags, rest := mountFlags([]string{"default_permissions", "allow_other"})
	require.EqualValues(t, unix.MS_NOSUID|unix.MS_NODEV, flags)
	require.Equal(t, []string{"default_permissions", "allow_other"}, rest)
	flags, rest = mountFlags([]string{"suid", "dev", "noexec"})
	require.EqualValues(t, unix.MS_NOEXEC, flags)
	require.Empty(t, rest)
}

// What the protocol server does not understand is refused, so that nobody waits for an answer.
func TestRefusal(t *testing.T) {
	q := newQueue()
	q.send(9, 0x0102030405060708)
	out := make([]byte, 100)
	require.Equal(t, 16, refusal(q.requests[0], out, 5))
	require.EqualValues(t, 16, binary.NativeEndian.Uint32(out))
	require.EqualValues(t, -5, int32(binary.NativeEndian.Uint32(out[4:])))
	require.Equal(t, uint64(0x0102030405060708), numberOf(out))
	require.Zero(t, refusal(nil, out, 5))
}

// Users who are not root mount by fusermount3, which passes the device.
func TestFusermount(t *testing.T) {
	dir := t.TempDir()
	fd, err := fusermount(devicePlan{dir: dir, source: "a,b\\c", options: []string{"ro", "noexec", "max_read=65536"}})
	require.NoError(t, err)
	defer unix.Close(fd)
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	require.NoError(t, err)
	require.Len(t, mounts, 1)
	require.Equal(t, "fuse.kmsfs", mounts[0].FSType)
	require.Equal(t, "a,b\\c", mounts[0].Source)
	require.Contains(t, mounts[0].Options, "noexec")
	require.Contains(t, mounts[0].Options, "nosuid")
	require.Contains(t, mounts[0].VFSOptions, "max_read=65536")
	require.NoError(t, fusermountUnmount(dir))
	mounts, err = mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
	require.NoError(t, err)
	require.Empty(t, mounts)
	require.Error(t, fusermountUnmount(dir))
	_, err = fusermount(devicePlan{dir: dir + "/none"})
	require.Error(t, err)
}
