package kv

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The file SPARE takes space for nothing, so that a store can be opened on a disk that others have filled to the last block:
// opening writes some files anew before anything can be deleted.
const (
	spareName  = "SPARE"
	spareBytes = 1 << 20
)

// keepSpare takes the spare space unless it is there. Where it cannot be taken, the store does without.
func (db *DB) keepSpare() {
	if db.spare || db.LowSpace() {
		return
	}
	f, err := os.OpenFile(filepath.Join(db.dir, spareName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	db.spare = unix.Fallocate(int(f.Fd()), 0, 0, spareBytes) == nil
}

// giveSpare gives the spare space back if err says that there is no other, and reports whether there was some.
func giveSpare(dir string, err error) bool {
	return errors.Is(err, unix.ENOSPC) && os.Remove(filepath.Join(dir, spareName)) == nil
}
