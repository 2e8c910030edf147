package fusefs

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// workers read requests and answer them.
//
// One of them at a time has the turn to read. It answers a quick request itself before it reads the next one, because
// waking another thread costs more than most answers do. It passes the turn on before an answer that takes long, or when
// another request waits already; and when it turns out to be slow, the watchdog takes the turn away from it. So a request
// never waits for long for another one, and never for good: an answer may need other requests to be answered first.
type workers struct {
	dev    requestDevice
	handle func(in, out []byte) int // answers; 0: nothing to send
	behind func(in []byte)          // does what is left to do when the answer is sent
	log    *slog.Logger

	// answering is the number of the request that the holder of the turn answers, 0 while it reads or has passed it on.
	// Who changes it from that number to 0 has the turn.
	answering atomic.Uint64
	last      atomic.Uint64 // number of the newest request
	asleep    atomic.Bool   // the watchdog waits to be woken
	wake      chan struct{}
	cost      [64]atomic.Int64 // by opcode: what an answer takes, in ns, on average

	mu      sync.Mutex
	parked  []chan bool // GUARDED_BY(mu): workers without the turn; true gives it, false ends
	ended   bool        // GUARDED_BY(mu)
	done    chan struct{}
	running sync.WaitGroup
	buffers sync.Pool
}

// requestDevice is what workers need of a [device].
type requestDevice interface {
	read(buf []byte) (n int, ok bool, err error)
	wait()
	pending() bool
	answer(buf []byte) error
}

const (
	opRead       = 15                     // FUSE_READ
	opWrite      = 16                     // FUSE_WRITE
	slowRead     = 60 * time.Microsecond  // see slow
	slowAnswer   = 600 * time.Microsecond // the turn is passed on before an answer that takes longer on average
	watchEvery   = 2 * time.Millisecond
	watchIdle    = 10 // ticks without a request, after which the watchdog sleeps
	mostParked   = 4
	requestBytes = maxTransfer + 4096 // the largest request, and the largest answer
)

func newWorkers(dev requestDevice, log *slog.Logger, handle func(in, out []byte) int, behind func(in []byte)) *workers {
	w := &workers{dev: dev, handle: handle, behind: behind, log: log, wake: make(chan struct{}, 1), done: make(chan struct{})}
	w.buffers.New = func() any { return &buffers{make([]byte, requestBytes), make([]byte, requestBytes)} }
	return w
}

type buffers struct{ in, out []byte }

// serve answers requests until the file system is unmounted, and all are answered.
func (w *workers) serve() {
	w.asleep.Store(true)
	w.running.Go(w.watch)
	w.running.Go(w.work)
	w.running.Wait()
}

// work is a worker that begins with the turn.
func (w *workers) work() {
	b := w.buffers.Get().(*buffers)
	defer w.buffers.Put(b)
	for {
		n, err := w.next(b.in)
		if err != nil {
			w.end(err)
			return
		}
		if !w.answer(b.in[:n], b.out) && !w.park() {
			return
		}
	}
}

// next waits for a request.
func (w *workers) next(buf []byte) (int, error) {
	for {
		n, ok, err := w.dev.read(buf)
		if ok || err != nil {
			return n, err
		}
		w.dev.wait()
	}
}

// answer answers a request and reports whether this worker still has the turn, or has it again.
func (w *workers) answer(in, out []byte) bool {
	op := opcodeOf(in)
	number := w.last.Add(1)
	keep := w.cost[op].Load() < int64(slow(op)) && !w.dev.pending()
	if keep {
		w.answering.Store(number)
		w.rouse()
	} else {
		w.pass()
	}
	start := time.Now()
	if n := w.handle(in, out); n > 0 {
		if err := w.dev.answer(out[:n]); err != nil {
			w.log.Error("an answer could not be sent to the kernel", "opcode", op, "error", err)
		}
	}
	w.behind(in)
	w.took(op, time.Since(start))
	return keep && w.answering.CompareAndSwap(number, 0) || w.takeOver()
}

// opcodeOf is the opcode of a request, for statistics: struct fuse_in_header has it behind the length.
func opcodeOf(in []byte) int {
	if len(in) < 8 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(in[4:]) % 64)
}

// slow is the time after which the turn is passed on before an answer. A READ that takes long waits for the disk more
// often than not, and the disk serves several at a time.
func slow(op int) time.Duration {
	if op == opRead {
		return slowRead
	}
	return slowAnswer
}

func (w *workers) took(op int, d time.Duration) {
	old := w.cost[op].Load()
	w.cost[op].Store(old + (int64(d)-old)/8)
}

// takeOver takes the turn from a worker that is answering while more requests wait.
func (w *workers) takeOver() bool {
	number := w.answering.Load()
	return number != 0 && w.dev.pending() && w.answering.CompareAndSwap(number, 0)
}

// pass gives the turn to another worker.
func (w *workers) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.parked); n > 0 {
		w.parked[n-1] <- true
		w.parked = w.parked[:n-1]
		return
	}
	w.running.Go(w.work)
}

// park waits for the turn. False: this worker is not needed any more.
func (w *workers) park() bool {
	w.mu.Lock()
	if w.ended || len(w.parked) >= mostParked {
		w.mu.Unlock()
		return false
	}
	turn := make(chan bool, 1)
	w.parked = append(w.parked, turn)
	w.mu.Unlock()
	return <-turn
}

// end lets all workers go. Those that are answering finish first.
func (w *workers) end(err error) {
	if err != errGone {
		w.log.Error("requests cannot be read any more: unmount and mount again", "error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	for _, turn := range w.parked {
		turn <- false
	}
	w.parked = nil
	close(w.done)
}

// watch takes the turn from a worker that is slow. It sleeps while there are no requests.
func (w *workers) watch() {
	for {
		select {
		case <-w.done:
			return
		case <-w.wake:
		}
		w.watchUntilIdle()
	}
}

func (w *workers) watchUntilIdle() {
	var before, last uint64
	for idle := 0; ; {
		select {
		case <-w.done:
			return
		case <-time.After(watchEvery):
		}
		number := w.answering.Load()
		if number != 0 && number == before && w.answering.CompareAndSwap(number, 0) {
			w.pass()
		}
		idle++
		if n := w.last.Load(); n != last || number != 0 {
			last, idle = n, 0
		}
		before = number
		if idle < watchIdle {
			continue
		}
		w.asleep.Store(true)
		if w.answering.Load() == 0 || !w.asleep.CompareAndSwap(true, false) {
			return
		}
	}
}

// rouse wakes the watchdog.
func (w *workers) rouse() {
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}
