package kv

import (
	"errors"
	"fmt"
	"syscall"
)

// ErrNotFound says that the key or the data value does not exist.
var ErrNotFound = errors.New("kv: not found")

// ErrClosed says that the store has been closed.
var ErrClosed = errors.New("kv: store is closed")

// ErrNoSpace says that the disk is full: the transaction changed nothing. It wraps ENOSPC.
var ErrNoSpace = fmt.Errorf("kv: no space left in the store; free space on its disk and go on, no restart is needed: %w", syscall.ENOSPC)

// ErrFailed says that the device failed to make written data durable, and that the kernel has dropped its copy of some:
// the store takes no more writes until it is opened again.
var ErrFailed = errors.New("kv: store is read-only after a flush that lost data; check the disk and restart")

// ErrTooLarge says that a key or value is over its limit ([MaxKey], [MaxValue]).
var ErrTooLarge = errors.New("kv: key or value too large")

// CorruptError says that stored bytes fail authentication, or that a part is missing.
type CorruptError struct {
	What string // file or table, relative to the store
	Key  []byte // key in the table, nil for a file
	Err  error  // may be nil
}

// Error names the damaged part.
func (e *CorruptError) Error() string {
	s := "kv: damaged: " + e.What
	if e.Key != nil {
		s += fmt.Sprintf(": key %q", e.Key)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// recovered turns a panic inside badger into an error; badger panics on damaged tables.
func recovered(what string, err *error) {
	if r := recover(); r != nil {
		*err = &CorruptError{What: what, Err: fmt.Errorf("badger panicked: %.200v", r)}
	}
}
