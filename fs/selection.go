package fs

import (
	"context"
	"sync"
	"sync/atomic"

	"kmsfs/objstore"
	"kmsfs/xattr"
)

// selectionsKept bounds the cache of directory selections, in directories.
const selectionsKept = 1 << 14

// selections caches what directories select: for each, the levels from it up that select anything.
type selections struct {
	gen atomic.Uint64

	mu    sync.Mutex
	of    uint64 // the generation that chain is of
	chain map[objstore.Ino][]xattr.Selection
}

// generation changes whenever what is in effect somewhere may have changed.
func (s *selections) generation() uint64 { return s.gen.Load() }

func (s *selections) invalidate() { s.gen.Add(1) }

func (s *selections) get(dir objstore.Ino) ([]xattr.Selection, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of != s.gen.Load() {
		return nil, false
	}
	c, ok := s.chain[dir]
	return c, ok
}

// put caches chain, which was read while gen was the generation.
func (s *selections) put(gen uint64, dir objstore.Ino, chain []xattr.Selection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gen != s.gen.Load() {
		return
	}
	if s.of != gen || s.chain == nil || len(s.chain) >= selectionsKept {
		s.of, s.chain = gen, map[objstore.Ino][]xattr.Selection{}
	}
	s.chain[dir] = chain
}

// effective is the selection in effect for the node n, as a request.
func (f *FS) effective(ctx context.Context, n *objstore.Node) (objstore.Encryption, error) {
	return f.effectiveWith(ctx, n, n.Xattrs)
}

// effectiveWith is effective as if n's attributes were xattrs.
func (f *FS) effectiveWith(ctx context.Context, n *objstore.Node, xattrs map[string][]byte) (objstore.Encryption, error) {
	above, err := f.selectionsAbove(ctx, n)
	if err != nil {
		return objstore.Encryption{}, err
	}
	chain := append([]xattr.Selection{xattr.FromXattrs(xattrs)}, above...)
	s, err := xattr.Resolve(xattr.Inherit(chain...))
	if err != nil {
		return objstore.Encryption{}, err
	}
	return encryption(s), nil
}

// selectionsAbove is what n inherits from, nearest first, the bucket's default last.
func (f *FS) selectionsAbove(ctx context.Context, n *objstore.Node) ([]xattr.Selection, error) {
	b, err := f.store.HeadBucket(ctx, n.Bucket)
	if err != nil {
		return nil, err
	}
	var chain []xattr.Selection
	if n.Parent != 0 && n.Ino != b.Root {
		if chain, err = f.directorySelections(ctx, n.Parent, b.Root); err != nil {
			return nil, err
		}
	}
	return append(chain[:len(chain):len(chain)], selectionOf(b.Default)), nil
}

// directorySelections is what dir and the directories above it select, nearest first, without the bucket's default.
func (f *FS) directorySelections(ctx context.Context, dir, root objstore.Ino) ([]xattr.Selection, error) {
	if c, ok := f.sel.get(dir); ok {
		return c, nil
	}
	gen := f.sel.generation()
	n, err := f.tree.Node(ctx, dir)
	if err != nil {
		return nil, err
	}
	var above []xattr.Selection
	if dir != root && n.Parent != 0 {
		if above, err = f.directorySelections(ctx, n.Parent, root); err != nil {
			return nil, err
		}
	}
	chain := above
	if own := xattr.FromXattrs(n.Xattrs); own.SSE != "" || own.KeyID != "" || own.Context != nil || own.BucketKey != nil {
		chain = append([]xattr.Selection{own}, above...)
	}
	f.sel.put(gen, dir, chain)
	return chain, nil
}

// selectionOf is what a bucket's default selects.
func selectionOf(e objstore.Encryption) xattr.Selection {
	s := xattr.Selection{SSE: string(e.Algorithm)}
	if e.Algorithm != objstore.AES256 {
		s.KeyID, s.BucketKey = e.KeyID, new(e.BucketKey)
		if len(e.Context) > 0 {
			s.Context = e.Context
		}
	}
	return s
}

func encryption(s xattr.Settings) objstore.Encryption {
	return objstore.Encryption{Algorithm: objstore.Algorithm(s.Algorithm), KeyID: s.KeyID, Context: s.Context, BucketKey: s.BucketKey}
}

func settings(e objstore.Encryption) xattr.Settings {
	return xattr.Settings{Algorithm: string(e.Algorithm), KeyID: e.KeyID, Context: e.Context, BucketKey: e.BucketKey}
}

// pending reports whether the next version of n, a regular file, would be encrypted otherwise than the current one.
func (f *FS) pending(ctx context.Context, n *objstore.Node) (bool, error) {
	if n.Stored.Algorithm == "" {
		return false, nil
	}
	enc, err := f.effective(ctx, n)
	if err != nil {
		return false, err
	}
	if same(enc, n.Stored) {
		return false, nil
	}
	resolved, err := f.tree.ResolveEncryption(ctx, enc)
	if err != nil {
		return true, nil // it could not be encrypted so now, but neither is it
	}
	return !same(resolved, n.Stored), nil
}

func same(a, b objstore.Encryption) bool { return settings(a).Equal(settings(b)) }
