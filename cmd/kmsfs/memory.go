package main

import (
	"errors"
	"os"
	"runtime/debug"

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
