package content

import (
	"errors"
	"fmt"
	"sync"
)

// Sync makes everything that was appended before the call survive power loss: one fdatasync per file that needs
// it and one fsync per directory with new entries, in parallel. Concurrent calls share them. It returns the
// errors of all. What failed is tried again by the next call; a content that lost bytes ([ErrBad]) stays in the answer of
// every later call until it is removed.
func (d *Dir) Sync() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return ErrClosed
	}
	var work []func() error
	for _, f := range d.dirty {
		d.pin(f)
		work = append(work, func() error { return d.syncFile(f) })
	}
	for _, dir := range d.dirs {
		work = append(work, func() error { return d.syncDirectory(dir) })
	}
	d.mu.Unlock()
	return inParallel(work)
}

// inParallel runs all of work, at most syncWorkers at a time, and joins the errors.
func inParallel(work []func() error) error {
	if len(work) == 1 {
		return work[0]()
	}
	errs := make([]error, len(work))
	next := make(chan int, len(work))
	for i := range work {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range min(syncWorkers, len(work)) {
		wg.Go(func() {
			for i := range next {
				errs[i] = work[i]()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// forgetBytes is from how many bytes on a row of appends is dropped from the kernel's cache when it is durable.
const forgetBytes = 256 << 10

// syncFile makes a pinned file durable unless another call has done so since, and unpins it.
func (d *Dir) syncFile(f *file) error {
	defer d.release(f)
	goal := f.progress()
	f.sync.Lock()
	defer f.sync.Unlock()
	written, appended, done, err := f.toSync(goal)
	if done || err != nil {
		return failed("sync", f.id, err)
	}
	if f.suspect {
		if err := f.rewrite(appended); errors.Is(err, errLost) {
			return d.markBad(f, err)
		} else if err != nil {
			return failed("sync", f.id, err)
		}
	}
	err = f.h.Datasync()
	if f.suspect = err != nil; f.suspect {
		return d.syncFailed(f, err)
	}
	d.markSynced(f, written)
	for _, p := range appended {
		if p.to-p.from >= forgetBytes {
			_ = f.h.Forget(p.from, p.to-p.from)
		}
	}
	return nil
}

// toSync gives what the next fdatasync covers. done says that another one has reached the goal.
func (f *file) toSync(goal uint64) (written uint64, appended spans, done bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bad != nil {
		return 0, nil, false, fmt.Errorf("%w (%w)", ErrBad, f.bad)
	}
	if f.synced >= goal {
		return 0, nil, true, nil
	}
	f.syncing, f.fresh = append(f.syncing[:len(f.syncing):len(f.syncing)], f.fresh...), nil
	return f.written, f.syncing, false, nil
}

// progress counts the appends that are complete now.
func (f *file) progress() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.written
}

// syncFailed is the answer of a sync that may be tried again. A file that was removed meanwhile has nothing left to lose.
func (d *Dir) syncFailed(f *file, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.gone {
		return nil
	}
	return failed("sync", f.id, err)
}

// markBad makes the loss sticky.
func (d *Dir) markBad(f *file, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.gone {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = err
	return failed("sync", f.id, fmt.Errorf("%w (%w)", ErrBad, err))
}

// markSynced takes the file off the dirty list unless it was appended to again.
func (d *Dir) markSynced(f *file, written uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced, f.syncing = max(f.synced, written), nil
	if f.synced == f.written && d.dirty[f.id] == f {
		delete(d.dirty, f.id)
	}
}

// syncDirectory makes the entries made so far durable. After a failure they stay on the list.
func (d *Dir) syncDirectory(dir *directory) error {
	d.mu.Lock()
	goal := dir.made
	d.mu.Unlock()
	dir.sync.Lock()
	defer dir.sync.Unlock()
	d.mu.Lock()
	made, done := dir.made, dir.safe >= goal
	d.mu.Unlock()
	if done {
		return nil
	}
	if err := d.ops.SyncDir(dir.path); err != nil {
		return fmt.Errorf("sync content directory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir.safe = max(dir.safe, made)
	if dir.safe == dir.made && d.dirs[dir.path] == dir {
		delete(d.dirs, dir.path)
	}
	return nil
}
