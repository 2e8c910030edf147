package badgerstore

import (
	"runtime"
	"sync"
)

// parallelFrom is how many chunks are worth a second goroutine: sealing one takes some 1.2 µs, a goroutine more than that.
const parallelFrom = 64

// inParallel calls fn for 0..n-1 on all cores and gives the first error.
func inParallel(n int, fn func(int) error) error {
	workers := min(runtime.GOMAXPROCS(0), n/(parallelFrom/2))
	if n < parallelFrom || workers < 2 {
		for i := range n {
			if err := fn(i); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		work := func() {
			for i := n * w / workers; i < n*(w+1)/workers && errs[w] == nil; i++ {
				errs[w] = fn(i)
			}
		}
		if w == workers-1 { // the last share is the caller's
			work()
			continue
		}
		wg.Go(work)
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// plainPool lends buffers for the plaintext of a chunk; they come back wiped.
var plainPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// buffers lends byte slices for sealed chunks; they hold ciphertext or are wiped by their user's next fill.
var bufferPool = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer(n int) []byte {
	p := bufferPool.Get().(*[]byte)
	if cap(*p) < n {
		*p = make([]byte, max(n, chunkSize+128))
	}
	return (*p)[:n]
}

func putBuffer(b []byte) { bufferPool.Put(&b) }
