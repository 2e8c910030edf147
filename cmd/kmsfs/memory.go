package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// protectMemory keeps key bytes out of core dumps and away from debuggers of the same user.
func protectMemory() error {
	return errors.Join(
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 0}),
	)
}

// memoryAim is what the program tries to stay under, in bytes. The garbage collector works harder near it: the database's
// compactions take and drop much memory while millions of files are made.
const memoryAim = 384 << 20

// limitMemory sets the aim, unless the user has set one ($GOMEMLIMIT).
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
}

// restEvery is how long nothing may have been collected before what is free goes back to the system. A shorter time costs: the
// next work has to take it all again.
const restEvery = time.Minute

// collections counts garbage collections.
const collections = "/gc/cycles/total:gc-cycles"

// restMemory gives the system back what a busy time took, once after each: by itself, Go keeps what it may soon need again, and
// collects only every two minutes while little happens. It ends with ctx.
func restMemory(ctx context.Context) {
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	var q quiet
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if q.begins(countCollections()) {
			debug.FreeOSMemory()
			q.own(countCollections())
		}
	}
}

func countCollections() uint64 {
	s := []metrics.Sample{{Name: collections}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// quiet tells when a busy time ends, from the number of garbage collections.
type quiet struct{ last, rested uint64 }

// begins reports that there was no collection since the last call, but some since own was called.
func (q *quiet) begins(n uint64) bool {
	same := n == q.last
	q.last = n
	return same && n != q.rested
}

// own notes the number of collections after one that was asked for.
func (q *quiet) own(n uint64) { q.last, q.rested = n, n }
