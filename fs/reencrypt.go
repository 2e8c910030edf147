package fs

import (
	"context"
	"sync"
	"time"

	"kmsfs/objstore"
)

// Reencrypt makes a new version of a file under its selection: new data key, new ciphertext. Without force, only where
// stored settings and selection differ; changed tells whether there is a new version. The file may be open and written
// to meanwhile: what was written before is in the new version.
func (f *FS) Reencrypt(ctx context.Context, ino objstore.Ino, force bool) (changed bool, err error) {
	ctx = uncancelled(ctx)
	node, err := f.tree.Node(ctx, ino)
	if err != nil {
		return false, err
	}
	if err := checkRegular(node); err != nil {
		return false, err
	}
	if !force {
		if differs, err := f.pending(ctx, node); err != nil || !differs {
			return false, err
		}
	}
	i := f.acquire(ino)
	defer f.release(i)
	err = i.renew(ctx)
	f.failures.note(ino, err)
	return err == nil, err
}

// renew makes the new version. i is locked.
func (i *inode) renew(ctx context.Context) error {
	node, err := i.open(ctx, OpenFlags{Write: true})
	if err != nil {
		return err
	}
	i.endVersion()
	if err := i.begin(ctx, node, objstore.BeginRenew); err != nil {
		return err
	}
	times := i.times()
	if err := i.flush(); err != nil {
		return err
	}
	node, err = i.file.Commit(ctx, times)
	if err != nil {
		return err
	}
	i.committed(node, nil)
	i.endVersion()
	return i.fs.recordPut(ctx, i.ino, node, nil)
}

// Rewrap wraps the file's data key anew under its selection: no data moves and there is no new version.
func (f *FS) Rewrap(ctx context.Context, ino objstore.Ino) error {
	ctx = uncancelled(ctx)
	node, err := f.tree.Node(ctx, ino)
	if err != nil {
		return err
	}
	if err := checkRegular(node); err != nil {
		return err
	}
	enc, err := f.effective(ctx, node)
	if err != nil {
		return err
	}
	i := f.acquire(ino)
	defer f.release(i)
	err = f.tree.Rewrap(ctx, ino, enc)
	f.failures.note(ino, err)
	return err
}

// Effective is the selection in effect for a node and, where it can be resolved, what it would be stored as.
func (f *FS) Effective(ctx context.Context, ino objstore.Ino) (objstore.Encryption, error) {
	node, err := f.tree.Node(ctx, ino)
	if err != nil {
		return objstore.Encryption{}, err
	}
	return f.effective(ctx, node)
}

// Pending reports whether the next version of a file would be encrypted otherwise than the current one.
func (f *FS) Pending(ctx context.Context, ino objstore.Ino) (bool, error) {
	node, err := f.tree.Node(ctx, ino)
	if err != nil {
		return false, err
	}
	return f.pending(ctx, node)
}

// reencryptDelay is how long after the last change of a file's attributes it is re-encrypted.
const reencryptDelay = time.Second

// reencrypter runs re-encryptions a while after they were asked for. The zero value is ready.
type reencrypter struct {
	mu      sync.Mutex
	waiting map[objstore.Ino]*time.Timer
	running sync.WaitGroup
}

// reencryptLater is for -o reencrypt=on-set. ctx names who set the attribute.
func (f *FS) reencryptLater(ctx context.Context, ino objstore.Ino) {
	r := &f.later
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.waiting[ino]; t != nil && t.Stop() {
		r.running.Done()
	}
	if r.waiting == nil {
		r.waiting = map[objstore.Ino]*time.Timer{}
	}
	r.running.Add(1)
	var t *time.Timer
	t = time.AfterFunc(reencryptDelay, func() {
		defer r.running.Done()
		r.mu.Lock()
		if r.waiting[ino] == t {
			delete(r.waiting, ino)
		}
		r.mu.Unlock()
		if _, err := f.Reencrypt(ctx, ino, false); err != nil {
			f.log.Error("a file was not re-encrypted after its attributes were set", "ino", ino, "error", err)
		}
	})
	r.waiting[ino] = t
}

// close runs what still waits at once.
func (r *reencrypter) close() {
	r.mu.Lock()
	for _, t := range r.waiting {
		if t.Stop() {
			t.Reset(0)
		}
	}
	r.mu.Unlock()
	r.running.Wait()
}
