package content

import (
	"errors"
	"fmt"
)

var (
	// ErrMissing: there is no such file, or it ends before the range begins. It is not an I/O error.
	ErrMissing = errors.New("content is missing")
	// ErrShort: the file ends within the range. It wraps [ErrMissing].
	ErrShort = fmt.Errorf("%w: the file ends within the range", ErrMissing)
	// ErrBad: an fdatasync of this content failed, and bytes of it could not be read back. Remove it and write anew.
	ErrBad = errors.New("content is bad since a sync of it failed: its last bytes are lost; remove it and write it anew")
	// ErrClosed: the Dir was closed.
	ErrClosed = errors.New("content directory is closed")
)

// failed wraps err with what was done to which content; nil stays nil.
func failed(what string, id ID, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("content %s: %s: %w", id, what, err)
}
