package fusefs

import (
	"context"
	"sync"
	"syscall"

	gofuse "github.com/hanwen/go-fuse/v2/fuse"

	"kmsfs/fs"
)

// openFile is what the kernel's file handles stand for. Its context names who opened the file: the kernel does not say
// who closes it.
type openFile struct {
	*fs.Handle
	ctx context.Context
}

type openDir struct{ *fs.DirHandle }

// handles numbers what is open. The zero value is empty. Numbers are not used twice.
type handles[T any] struct {
	mu   sync.RWMutex
	last uint64
	open map[uint64]T
}

func (t *handles[T]) add(v T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]T{}
	}
	t.last++
	t.open[t.last] = v
	return t.last
}

func (t *handles[T]) get(fh uint64) (T, gofuse.Status) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.open[fh]
	if !ok {
		return v, gofuse.Status(syscall.EBADF)
	}
	return v, gofuse.OK
}

func (t *handles[T]) remove(fh uint64) (T, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	v, ok := t.open[fh]
	delete(t.open, fh)
	return v, ok
}

// drain removes and returns all that is open.
func (t *handles[T]) drain() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []T
	for _, v := range t.open {
		all = append(all, v)
	}
	clear(t.open)
	return all
}
