package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

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
