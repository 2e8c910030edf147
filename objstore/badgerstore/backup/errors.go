package backup

import (
	"errors"
	"fmt"
)

var (
	// ErrNewer: a later release wrote the backup.
	ErrNewer = errors.New("the backup was written by a newer kmsfs")
	// ErrOlder: the backup is of a store in a format that this program has no reader for.
	ErrOlder = errors.New("the backup was written by an older kmsfs, in a format that is no longer read")
	// ErrWrongKey: the root key is not the one of the store that the backup is of.
	ErrWrongKey = errors.New("the root key does not belong to this backup")
	// ErrOtherStore: the repository has backups of another store.
	ErrOtherStore = errors.New("the directory has backups of another store")
	// ErrNotBackup: the file or directory holds something else.
	ErrNotBackup = errors.New("it is no backup of kmsfs")
	// ErrNoPoint: there is no such point, or none at all.
	ErrNoPoint = errors.New("there is no such backup")
	// ErrBusy: another backup into the repository runs.
	ErrBusy = errors.New("another backup writes into this directory")
)

var errMissing = errors.New("the file is missing")

// DamageError names a file of a backup that is damaged or missing.
type DamageError struct {
	File string
	Err  error
}

func (e *DamageError) Error() string { return fmt.Sprintf("%s is damaged: %v", e.File, e.Err) }
func (e *DamageError) Unwrap() error { return e.Err }

// otherVersion is the error for a version that is not [version].
func otherVersion(v uint32) error {
	err := ErrNewer
	if v < version {
		err = ErrOlder
	}
	return fmt.Errorf("%w: version %d, this program knows %d", err, v, version)
}

// damaged wraps err with the file, unless it says that another program is needed.
func damaged(file string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrNewer) || errors.Is(err, ErrOlder) {
		return fmt.Errorf("%s: %w", file, err)
	}
	return &DamageError{file, err}
}
