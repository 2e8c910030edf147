package fs

import (
	"context"
	"errors"

	"kmsfs/objstore"
)

// A file that a rename replaces is kept until the kernel forgets it: a program that has just looked its name up may be
// about to open it, and rename(2) promises that there is no moment at which that fails.

// hold keeps the file that a rename is about to replace; nil if there is none.
func (v *View) hold(ctx context.Context, node, target *objstore.Node, mode objstore.RenameMode) objstore.File {
	if target == nil || target.Ino == node.Ino || mode != objstore.RenamePlain || target.Mode&sIFMT != sIFREG || target.Nlink > 1 {
		return nil
	}
	f, err := v.fs.tree.OverwriteFile(ctx, target.Ino)
	if err != nil {
		return nil // damaged or gone: what comes next tells
	}
	return f
}

// keep takes over what hold gave, once target is replaced.
func (v *View) keep(target *objstore.Node, held objstore.File) {
	if held == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.held[target.Ino] = held
}

func closeHeld(f objstore.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// letGo gives up all that is kept: the kernel is gone.
func (v *View) letGo() error {
	v.mu.Lock()
	held := v.held
	v.held = map[objstore.Ino]objstore.File{}
	v.mu.Unlock()
	var errs []error
	for _, f := range held {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
