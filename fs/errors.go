package fs

import (
	"context"
	"errors"
	"fmt"

	"kmsfs/objstore"
)

// Code says what POSIX refuses and no store has a word for. It is closed: see [Codes].
type Code string

const (
	Unsupported  Code = "Unsupported"  // EOPNOTSUPP: a mode of fallocate, a system.* attribute
	BadHandle    Code = "BadHandle"    // EBADF: reading or writing through a handle not opened for it
	FileTooLarge Code = "FileTooLarge" // EFBIG
	Stale        Code = "Stale"        // ESTALE: the inode is gone
)

// Codes lists every code of this package, so that a test of the errno table can find a hole.
var Codes = []Code{Unsupported, BadHandle, FileTooLarge, Stale}

// Error implements error, so that a bare code is a matching target: errors.Is(err, fs.Unsupported).
func (c Code) Error() string { return string(c) }

// refuse is the error of an operation that c of this package describes.
func refuse(c Code, op, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", op, fmt.Sprintf(format, args...), c)
}

// deny is the error of an operation that a code of the store's describes.
func deny(c objstore.Code, op, format string, args ...any) error {
	return &objstore.Error{Code: c, Op: op, Message: fmt.Sprintf(format, args...)}
}

// stale turns "no such node", said of an inode that the kernel addressed by number, into [Stale]: the kernel then
// looks the name up once more.
func stale(err error) error {
	if err != nil && errors.Is(err, objstore.NoSuchNode) {
		return fmt.Errorf("%w: %w", Stale, err)
	}
	return err
}

// uncancelled keeps ctx's values, such as the caller, and not its end: a signal must not tear a write.
func uncancelled(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }
