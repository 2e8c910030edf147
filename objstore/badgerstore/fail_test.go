package badgerstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

var errInjected = errors.New("injected")

// TestFailedChangesLeaveTheFileUsable: when the transaction of a Sync or Commit fails, the open file reads as before,
// the committed version is untouched, and trying again succeeds.
func TestFailedChangesLeaveTheFileUsable(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			v := objstore.VersioningOff
			if seed%2 == 1 {
				v = objstore.VersioningEnabled
			}
			failingRun(t, rand.New(rand.NewPCG(seed, 6)), v)
		})
	}
}

func failingRun(t *testing.T, rnd *rand.Rand, v objstore.Versioning) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{Versioning: v})
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	f, err := r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	encs := []objstore.Encryption{{Algorithm: objstore.KMS}, {Algorithm: objstore.AES256}}
	enc := encs[0]
	committed := []byte{}
	old := map[objstore.VersionID][]byte{}
	failures := 0
	until := func(what func() error) {
		for {
			fails := rnd.IntN(2) == 0
			if fails {
				r.SetFault(func() error { return errInjected })
			}
			err := what()
			r.SetFault(nil)
			if err == nil {
				return
			}
			require.ErrorIs(t, err, errInjected)
			failures++
			if len(committed) > 0 {
				require.True(t, bytes.Equal(committed, get(t, r, "bkt", "f", "")), "a failed change shows")
			}
		}
	}
	now := []byte{}
	for i := range 60 {
		if rnd.IntN(8) == 0 {
			enc = encs[rnd.IntN(2)]
		}
		until(func() error { return f.Begin(ctx, enc, objstore.BeginKeep) })
		index := rnd.IntN(5)
		data := random([]int{100, chunk, 3 * chunk}[rnd.IntN(3)])
		if grown := index*chunk + len(data); len(data)%chunk != 0 && grown < len(now) {
			data = random(chunk)
		}
		if len(now)%chunk != 0 && index*chunk > len(now)/chunk*chunk { // the last chunk anew before the file grows
			require.NoError(t, f.WriteChunks(int64(len(now)/chunk), now[len(now)/chunk*chunk:]))
		}
		require.NoError(t, f.WriteChunks(int64(index), data))
		now = append(now, make([]byte, max(0, index*chunk+len(data)-len(now)))...)
		copy(now[index*chunk:], data)
		if rnd.IntN(2) == 0 {
			until(func() error { return f.Sync(ctx, objstore.AttrChange{}) })
		}
		var node *objstore.Node
		until(func() (err error) {
			node, err = f.Commit(ctx, objstore.AttrChange{})
			return err
		})
		committed = bytes.Clone(now)
		old[node.VersionID] = committed
		if rnd.IntN(2) == 0 {
			f.EndSession()
		}
		if i%20 == 0 {
			gc(t, r, time.Now())
		}
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		require.NoError(t, err)
		require.True(t, bytes.Equal(now, got))
	}
	require.Positive(t, failures)
	require.NoError(t, f.Close())
	gc(t, r, time.Now())
	for id, want := range old {
		require.True(t, bytes.Equal(want, get(t, r, "bkt", "f", id)), "version %s", id)
	}
}

// TestFailedCloseKeepsWhatWasSynced: a draft whose Close failed is not left behind by the next commit, where it would
// replace newer content after a restart.
func TestFailedCloseKeepsWhatWasSynced(t *testing.T) {
	r := track(t)
	ctx := context.Background()
	b := bucket(t, r, objstore.Bucket{})
	n, err := r.Create(ctx, b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	write := func(body string) objstore.File {
		f, err := r.OpenFile(ctx, n.Ino)
		require.NoError(t, err)
		require.NoError(t, f.Begin(ctx, objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
		require.NoError(t, f.WriteChunks(0, []byte(body)))
		return f
	}
	f := write("synced")
	require.NoError(t, f.Sync(ctx, objstore.AttrChange{}))
	r.SetFault(func() error { return errInjected })
	require.ErrorIs(t, f.Close(), errInjected)
	r.SetFault(nil)
	f = write("newer!")
	_, err = f.Commit(ctx, objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	crashed := open(t, copied(t, r.dir))
	require.Equal(t, "newer!", string(get(t, crashed, "bkt", "f", "")))
	requireClean(t, crashed)
	require.NoError(t, crashed.Close())
}
