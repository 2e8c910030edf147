package main

import (
	"errors"

	"golang.org/x/sys/unix"
)

// protectMemory keeps key bytes out of core dumps and away from debuggers of the same user.
func protectMemory() error {
	return errors.Join(
		unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0),
		unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: 0}),
	)
}
