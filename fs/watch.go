package fs

import (
	"context"
	"strings"

	"kmsfs/objstore"
)

// Watch is for doors that change objects by key, such as S3: it is called before the change, and what it returns after
// it. When that returns, no kernel serves the old state from its caches. The caller holds no lock that answering a
// request could need.
func (f *FS) Watch(ctx context.Context, bucket, key string) (done func()) {
	ctx = uncancelled(ctx)
	if len(*f.views.Load()) == 0 {
		return func() {}
	}
	before := f.walk(ctx, bucket, key)
	return func() {
		for _, c := range differences(before, f.walk(ctx, bucket, key)) {
			f.tell(c)
		}
	}
}

// step is one name on the way to a key. ino is 0 where there is no such name.
type step struct {
	parent objstore.Ino
	name   string
	ino    objstore.Ino
}

// walk follows key as a path, up to the first name that does not exist.
func (f *FS) walk(ctx context.Context, bucket, key string) []step {
	b, err := f.store.HeadBucket(ctx, bucket)
	if err != nil {
		return nil
	}
	var way []step
	at := b.Root
	for name := range strings.SplitSeq(strings.TrimSuffix(key, "/"), "/") {
		s := step{parent: at, name: name}
		if n, err := f.tree.Lookup(ctx, at, name); err == nil {
			s.ino = n.Ino
		}
		way = append(way, s)
		if at = s.ino; at == 0 {
			break
		}
	}
	return way
}

// differences is what a kernel has to be told: the first name that came, went or names another node now; where none
// did, the node itself. Names above it are left alone, for a directory whose name is dropped has no path any more.
func differences(before, after []step) []change {
	for k, b := range before {
		if k >= len(after) || b != after[k] {
			return []change{{ino: b.parent, name: b.name}, {ino: b.parent}}
		}
	}
	if n := len(after); n > 0 && after[n-1].ino != 0 {
		return []change{{ino: after[n-1].ino, data: true}}
	}
	return nil
}
