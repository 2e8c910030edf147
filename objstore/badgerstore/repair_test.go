package badgerstore_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// repair mends a store and answers what was mended.
func repair(t *testing.T, r *rig) (done []objstore.Mending) {
	t.Helper()
	rep, err := r.Repair(t.Context(), nil, func(m objstore.Mending) { done = append(done, m) })
	require.NoError(t, err)
	require.EqualValues(t, len(done), rep.Mended)
	return done
}

// requireRepaired requires that nothing is left to mend, that check names exactly what cannot be read, and answers the
// versions whose bytes are gone.
func requireRepaired(t *testing.T, r *rig, want contents) (lost []string) {
	t.Helper()
	require.Empty(t, repair(t, r), "a second repair found something to do")
	_, got := snapshot(t, r)
	known, found := digests(want), digests(got)
	for name, digest := range got {
		switch key, _, _ := strings.Cut(name, "@"); {
		case want[name] != "" && digest != damaged:
			require.Equal(t, want[name], digest, name)
		case digest != damaged && !strings.HasSuffix(key, "/"): // under another name, or a directory that is explicit now
			require.True(t, known[digest], "%s has bytes that nothing had", name)
		}
	}
	unread, told := map[string]bool{}, map[string]bool{}
	for name, digest := range got {
		if digest == damaged {
			unread[name] = true
		}
	}
	_, err := r.Check(t.Context(), nil, func(d objstore.Damage) {
		told[fmt.Sprintf("%s/%s@%s", d.Bucket, d.Key, d.VersionID)] = true
	})
	require.NoError(t, err)
	require.Equal(t, unread, told, "what check names, and what cannot be read, differ")
	for name, digest := range want {
		if got[name] != digest && !found[digest] {
			lost = append(lost, name)
		}
	}
	slices.Sort(lost)
	return lost
}

func digests(c contents) map[string]bool {
	out := map[string]bool{}
	for _, digest := range c {
		out[digest] = true
	}
	return out
}

func recordsOf(t *testing.T, r *rig, kind byte) (keys [][]byte) {
	t.Helper()
	require.NoError(t, r.Raw(func(tx *kv.Tx) error {
		return tx.Ascend([]byte{kind}, []byte{kind + 1}, func(k, _ []byte) (bool, error) {
			keys = append(keys, bytes.Clone(k))
			return true, nil
		})
	}))
	return keys
}

// some are the first, the last, and a few keys between them.
func some(keys [][]byte) [][]byte {
	const n = 3
	if len(keys) <= n {
		return keys
	}
	var out [][]byte
	for i := range n {
		out = append(out, keys[i*(len(keys)-1)/(n-1)])
	}
	return out
}

func copyStore(t *testing.T, dir string) string {
	t.Helper()
	hurt := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.CopyFS(hurt, os.DirFS(dir)))
	return hurt
}

// addGhost leaves a directory that is gone, with an old version in it.
func addGhost(t *testing.T, r *rig, ever map[string]bool) {
	t.Helper()
	body := random(300)
	ever[digestOf(body)] = true
	_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: "versioned", Key: "was/there", Body: bytes.NewReader(body)})
	require.NoError(t, err)
	_, err = r.DeleteObject(t.Context(), "versioned", "was/there", "", objstore.Condition{})
	require.NoError(t, err)
}

// Whatever record of a store is garbage or gone: after a repair all that does not need that very record reads as before.
func TestRepairOfEachRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	addGhost(t, r, victim(t, r))
	names, want := snapshot(t, r)
	keys := map[byte][][]byte{}
	for _, kind := range []byte("CDHILMNRSW") {
		keys[kind] = recordsOf(t, r, kind)
		require.NotEmpty(t, keys[kind], "the store has no record %c", kind)
	}
	require.NoError(t, r.Close())
	r = open(t, dir)
	require.Empty(t, repair(t, r), "a healthy store")
	require.NoError(t, r.Close())
	for _, kind := range slices.Sorted(maps.Keys(keys)) {
		for i, k := range some(keys[kind]) {
			for what, hurt := range map[string]func(tx *kv.Tx){
				"gone":    func(tx *kv.Tx) { tx.Delete(k) },
				"garbage": func(tx *kv.Tx) { tx.Put(k, []byte("garbage")) },
			} {
				t.Run(fmt.Sprintf("%c/%d/%s", kind, i, what), func(t *testing.T) {
					t.Parallel()
					dir := copyStore(t, dir)
					damage(t, dir, hurt)
					requireMended(t, dir, k, what, names, want)
				})
			}
		}
	}
}

// Many records at once: whatever is hurt, the store works after one repair, and a second one finds nothing. Of a stem one place stays
// (TestLostStem has both).
func TestRepairOfManyRecords(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	addGhost(t, r, victim(t, r))
	_, want := snapshot(t, r)
	var keys [][]byte
	for _, kind := range []byte("CDHILMNRS") {
		keys = append(keys, recordsOf(t, r, kind)...)
	}
	require.NoError(t, r.Close())
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 0))
			dir := copyStore(t, dir)
			share := 0.05 + rnd.Float64()/2
			damage(t, dir, func(tx *kv.Tx) {
				for _, k := range keys {
					switch p := rnd.Float64(); {
					case p < share/2:
						tx.Delete(k)
					case p < share:
						tx.Put(k, []byte("garbage"))
					}
				}
			})
			r := open(t, dir)
			defer func() { require.NoError(t, r.Close()) }()
			require.NotEmpty(t, repair(t, r))
			lost := requireRepaired(t, r, want)
			t.Logf("%.0f %% of the records hurt, %d of %d versions lost", share*100, len(lost), len(want))
			requireStillWorks(t, r)
		})
	}
}

func damage(t *testing.T, dir string, hurt func(tx *kv.Tx)) {
	t.Helper()
	r := open(t, dir)
	require.NoError(t, r.Raw(func(tx *kv.Tx) error { hurt(tx); return nil }))
	require.NoError(t, r.Close())
}

// losses is how many versions a repair may not bring back, by the kind of the record that was hurt. The record of a node
// and that of an old version are the only place where a data key is.
func losses(kind byte) int {
	if kind == 'I' || kind == 'N' {
		return 1
	}
	return 0
}

func requireMended(t *testing.T, dir string, k []byte, what, names string, want contents) {
	t.Helper()
	r := open(t, dir)
	defer func() { require.NoError(t, r.Close()) }()
	done := repair(t, r)
	harmless := (k[0] == 'L' || k[0] == 'R') && what == "garbage" || (k[0] == 'N' || string(k) == "Macl") && what == "gone"
	if !harmless {
		require.NotEmpty(t, done)
	}
	lost := requireRepaired(t, r, want)
	if k[0] == 'I' {
		require.LessOrEqual(t, len(lost), 2, "%q", lost) // two, of a file with two names
	} else {
		require.LessOrEqual(t, len(lost), losses(k[0]), "%q", lost)
	}
	if strings.ContainsRune("CDLRSMW", rune(k[0])) {
		again, _ := snapshot(t, r)
		require.Equal(t, names, again)
	}
	requireStillWorks(t, r)
}

// requireStillWorks writes and deletes everywhere.
func requireStillWorks(t *testing.T, r *rig) {
	t.Helper()
	ctx := context.Background()
	for _, bucket := range []string{"versioned", "plain"} {
		l, err := r.ListObjects(ctx, bucket, objstore.ListInput{})
		require.NoError(t, err)
		for _, o := range l.Objects {
			body := random(100)
			_, err := r.PutObject(ctx, objstore.PutInput{Bucket: bucket, Key: o.Key, Body: bytes.NewReader(body)})
			if strings.HasSuffix(o.Key, "/") {
				continue
			}
			require.NoError(t, err, o.Key)
			require.Equal(t, body, get(t, r, bucket, o.Key, ""))
			_, err = r.DeleteObject(ctx, bucket, o.Key, "", objstore.Condition{})
			require.NoError(t, err, o.Key)
		}
	}
	requireClean(t, r)
}
