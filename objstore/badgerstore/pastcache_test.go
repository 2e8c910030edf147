package badgerstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
)

// pastsChecked is a store that looks at what it knew of old versions, and at its counts, when it is closed.
type pastsChecked struct{ *badgerstore.Store }

func (s pastsChecked) Close() error {
	return errors.Join(s.WrongPasts(), s.WrongUsage(), s.Store.Close())
}

// What is known about the old versions of names follows all that makes, moves and removes them, and changes that fail.
func TestPastsFollowVersions(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{Versioning: objstore.VersioningEnabled})
	mkdir := func(parent objstore.Ino, name string) objstore.Ino {
		n, err := r.Create(ctx, parent, name, objstore.NodeInit{Mode: 0o040755})
		require.NoError(t, err)
		return n.Ino
	}
	put := func(key string) {
		_, err := r.PutObject(ctx, objstore.PutInput{Bucket: b.Name, Key: key, Body: strings.NewReader(key)})
		require.NoError(t, err)
	}
	markers := func(key string) (n int) {
		l, err := r.ListVersions(ctx, b.Name, objstore.ListInput{Prefix: key})
		require.NoError(t, err)
		for _, o := range l.Objects {
			if o.Key == key && o.DeleteMarker {
				n++
			}
		}
		return n
	}
	checked := func() { t.Helper(); require.NoError(t, r.WrongPasts()) }
	d := mkdir(b.Root, "d")
	move := func(from, to string) {
		require.NoError(t, r.Rename(ctx, d, from, d, to, objstore.RenamePlain))
		checked()
	}

	put("d/new")
	move("new", "moved")
	require.Zero(t, markers("d/new"), "there is nothing to hide under the name")
	put("d/moved")
	move("moved", "again")
	require.Equal(t, 1, markers("d/moved"))
	move("again", "moved")
	move("moved", "third")
	require.Equal(t, 2, markers("d/moved"), "the old version is under it still")

	for _, o := range versionsOf(t, r, b.Name, "d/moved") {
		_, err := r.DeleteObject(ctx, b.Name, o.Key, o.VersionID, objstore.Condition{})
		require.NoError(t, err)
		checked()
	}
	move("third", "moved")
	move("moved", "third")
	require.Zero(t, markers("d/moved"), "all that was old is deleted")

	r.SetFault(func() error { return errors.New("not now") })
	_, err := r.PutObject(ctx, objstore.PutInput{Bucket: b.Name, Key: "d/third", Body: strings.NewReader("x")})
	require.Error(t, err)
	r.SetFault(nil)
	checked()
	move("third", "fourth")
	require.Zero(t, markers("d/third"), "no version was made")

	put("d/fourth")
	require.NoError(t, r.Unlink(ctx, d, "fourth"))
	checked()
	require.NoError(t, r.Rmdir(ctx, b.Root, "d"))
	d = mkdir(b.Root, "d")
	put("d/fourth")
	move("fourth", "fifth")
	require.Equal(t, 2, markers("d/fourth"), "a directory takes over what an earlier one of its name left")
}

func versionsOf(t *testing.T, r *rig, bucket, key string) (out []objstore.Object) {
	l, err := r.ListVersions(context.Background(), bucket, objstore.ListInput{Prefix: key})
	require.NoError(t, err)
	for _, o := range l.Objects {
		if o.Key == key {
			out = append(out, o)
		}
	}
	require.NotEmpty(t, out)
	return out
}
