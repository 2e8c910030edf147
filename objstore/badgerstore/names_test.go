package badgerstore_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// A name that files are moved onto leads to one of them at every moment, for readers of any state, cached or not.
func TestNameIsReplacedAtOnce(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{})
	create := func(name string) {
		_, err := r.Create(ctx, b.Root, name, objstore.NodeInit{Mode: 0o100644})
		require.NoError(t, err)
	}
	create("name")
	var over atomic.Bool
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for !over.Load() {
			if _, err := r.Lookup(ctx, b.Root, "name"); err != nil {
				failed <- err
				return
			}
		}
	}()
	for i := range 2000 {
		next := fmt.Sprint("next", i%3)
		create(next)
		require.NoError(t, r.Rename(ctx, b.Root, next, b.Root, "name", 0))
		_, err := r.Lookup(ctx, b.Root, next)
		require.ErrorIs(t, err, objstore.NoSuchNode, "moved away")
	}
	over.Store(true)
	require.NoError(t, <-failed)
}

// What is looked up in vain is found once it is there, and a change that is given up leaves no trace.
func TestNamesThatWereMissing(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{})
	for range 2 {
		_, err := r.Lookup(ctx, b.Root, "f")
		require.ErrorIs(t, err, objstore.NoSuchNode)
	}
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	found, err := r.Lookup(ctx, b.Root, "f")
	require.NoError(t, err)
	require.Equal(t, n.Ino, found.Ino)
	require.Error(t, r.Rename(ctx, b.Root, "f", n.Ino, "x", 0), "a file is no directory")
	found, err = r.Lookup(ctx, b.Root, "f")
	require.NoError(t, err)
	require.Equal(t, n.Ino, found.Ino)
	require.NoError(t, r.Unlink(ctx, b.Root, "f"))
	_, err = r.Lookup(ctx, b.Root, "f")
	require.ErrorIs(t, err, objstore.NoSuchNode)
}
