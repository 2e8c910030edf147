package badgerstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/local"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore"
)

// contents are what reading each version of each object gives, by bucket/key@version: a digest, or damaged.
type contents map[string]string

const damaged = "damaged"

// snapshot reads everything that a store has: names with all their attributes, and contents. Names must be readable.
func snapshot(t *testing.T, r *rig) (names string, found contents) {
	t.Helper()
	found = contents{}
	var text strings.Builder
	buckets, err := r.ListBuckets(t.Context())
	require.NoError(t, err)
	for _, b := range buckets {
		fmt.Fprintf(&text, "bucket %s %+v\n", b.Name, b)
		listTree(t, r, b.Root, b.Name, &text)
		versions, err := r.ListVersions(t.Context(), b.Name, objstore.ListInput{})
		require.NoError(t, err)
		for _, o := range versions.Objects {
			fmt.Fprintf(&text, "version %s/%s %+v\n", b.Name, o.Key, o)
			if !o.DeleteMarker {
				found[fmt.Sprintf("%s/%s@%s", b.Name, o.Key, o.VersionID)] = digest(t, r, b.Name, o.Key, o.VersionID)
			}
		}
	}
	keys, err := r.kms.ListKeys(t.Context(), "", 100)
	require.NoError(t, err)
	fmt.Fprintf(&text, "keys %+v\n", keys)
	return text.String(), found
}

func listTree(t *testing.T, r *rig, dir objstore.Ino, path string, to *strings.Builder) {
	t.Helper()
	entries, err := r.ReadDir(t.Context(), dir, "", 1000, true)
	require.NoError(t, err)
	for _, e := range entries {
		fmt.Fprintf(to, "node %s/%s %+v\n", path, e.Name, *e.Node)
		if e.Node.Mode&0o170000 == 0o040000 {
			listTree(t, r, e.Ino, path+"/"+e.Name, to)
		}
	}
}

// digest reads a version. It may be damaged, but not fail in any other way.
func digest(t *testing.T, r *rig, bucket, key string, v objstore.VersionID) string {
	t.Helper()
	_, rd, err := r.GetObject(t.Context(), bucket, key, v)
	if err == nil {
		defer rd.Close()
		h := sha256.New()
		if _, err = io.Copy(h, io.NewSectionReader(rd, 0, rd.Size())); err == nil {
			return fmt.Sprintf("%d %x", rd.Size(), h.Sum(nil))
		}
	}
	require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err), "%s/%s@%s: %v", bucket, key, v, err)
	return damaged
}

// victim is a store with everything in it that a store can have. It answers the digests of all that was ever written.
func victim(t *testing.T, r *rig) (ever map[string]bool) {
	t.Helper()
	ever = map[string]bool{digestOf(nil): true}
	ctx := context.Background()
	key, err := r.kms.CreateKey(ctx, kms.CreateKeyInput{Description: "victim"})
	require.NoError(t, err)
	for name, versioning := range map[string]objstore.Versioning{"versioned": objstore.VersioningEnabled, "plain": objstore.VersioningSuspended} {
		b, err := r.CreateBucket(ctx, objstore.Bucket{Name: name, Versioning: versioning})
		require.NoError(t, err)
		for _, enc := range []objstore.Encryption{
			{Algorithm: objstore.AES256}, {Algorithm: objstore.DSSE}, {Algorithm: objstore.KMS, KeyID: key.ARN},
			{Algorithm: objstore.KMS, KeyID: key.ARN, BucketKey: true, Context: map[string]string{"a": "b"}},
		} {
			for _, n := range []int{0, 100, 5000, 70_000, 200_000} {
				for range 2 {
					body := random(n)
					ever[digestOf(body)] = true
					_, err := r.PutObject(ctx, objstore.PutInput{Bucket: name, Encryption: &enc, Body: bytes.NewReader(body),
						Key: fmt.Sprintf("%s-%v/%d", strings.ReplaceAll(string(enc.Algorithm), ":", "-"), enc.BucketKey, n)})
					require.NoError(t, err)
				}
			}
		}
		addNodes(t, r, b.Root, ever)
		_, err = r.DeleteObject(ctx, name, "AES256-false/100", "", objstore.Condition{})
		require.NoError(t, err)
	}
	return ever
}

func digestOf(b []byte) string { return fmt.Sprintf("%d %x", len(b), sha256.Sum256(b)) }

// addNodes makes what only a mount makes.
func addNodes(t *testing.T, r *rig, root objstore.Ino, ever map[string]bool) {
	t.Helper()
	ctx := context.Background()
	dir, err := r.Create(ctx, root, "dir", objstore.NodeInit{Mode: 0o040755})
	require.NoError(t, err)
	_, err = r.Create(ctx, dir.Ino, "link", objstore.NodeInit{Mode: 0o120777, Target: "somewhere/else"})
	require.NoError(t, err)
	n, err := r.Create(ctx, dir.Ino, "file", objstore.NodeInit{Mode: 0o100640, UID: 5, GID: 6})
	require.NoError(t, err)
	require.NoError(t, r.SetXattr(ctx, n.Ino, "user.note", []byte("remember"), objstore.XattrSet))
	f, err := r.OpenFile(ctx, n.Ino)
	require.NoError(t, err)
	body := random(6 * chunk)
	for i := range int64(3) { // versions that share chunks
		copy(body[i*chunk:], random(chunk))
		ever[digestOf(body)] = true
		require.NoError(t, f.Begin(ctx, objstore.Encryption{Algorithm: objstore.KMS}, objstore.BeginKeep))
		require.NoError(t, f.WriteChunks(i, body[i*chunk:]))
		_, err = f.Commit(ctx, objstore.AttrChange{})
		require.NoError(t, err)
		f.EndSession()
	}
	require.NoError(t, f.Close())
	_, err = r.Link(ctx, n.Ino, root, "hard")
	require.NoError(t, err)
}

// flips are the places of a file to damage: its ends, and evenly between them. By hand, $KMSFS_TEST_FLIPS is how many in
// each file.
func flips(t *testing.T, size int64) []int64 {
	t.Helper()
	n := int64(3)
	if text := os.Getenv("KMSFS_TEST_FLIPS"); text != "" {
		var err error
		n, err = strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
	}
	at := map[int64]bool{}
	for i := range n {
		at[i*size/n+size/(2*n)] = true
	}
	for _, off := range []int64{0, size - 1} {
		at[off] = true
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(at)), func(off int64) bool { return off < 0 || off >= size })
}

func flipBit(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	require.NoError(t, err)
	b[0] ^= 1 << (off % 8)
	_, err = f.WriteAt(b[:], off)
	require.NoError(t, err)
}

func filesOf(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		st, err := d.Info()
		if rel, _ := filepath.Rel(dir, path); err == nil && rel != "lock" { // its content is for people
			sizes[rel] = st.Size()
		}
		return err
	}))
	require.Greater(t, len(sizes), 15)
	return sizes
}

// eachFlip damages one bit of one copy of a store after the other, and lets see look at it.
func eachFlip(t *testing.T, dir string, see func(t *testing.T, dir string)) {
	t.Helper()
	for name, size := range filesOf(t, dir) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, off := range flips(t, size) {
				t.Run(fmt.Sprint(off), func(t *testing.T) {
					hurt := filepath.Join(t.TempDir(), "store")
					require.NoError(t, os.CopyFS(hurt, os.DirFS(dir)))
					flipBit(t, filepath.Join(hurt, name), off)
					see(t, hurt)
					require.NoError(t, os.RemoveAll(hurt)) // not at the end of all tests
				})
			}
		})
	}
}

// One changed bit anywhere in a closed store: all names are there, each version reads right or is an error, and check
// names exactly those that are an error.
func TestEveryByteMatters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	victim(t, r)
	names, want := snapshot(t, r)
	require.NoError(t, r.Close())
	require.NotContains(t, slices.Collect(maps.Values(want)), damaged)
	require.Greater(t, len(want), 50)
	eachFlip(t, dir, func(t *testing.T, dir string) {
		r := open(t, dir)
		defer func() { require.NoError(t, r.Close()) }()
		requireRightOrDamaged(t, r, names, want)
	})
}

// A daemon that was killed leaves a journal. One changed bit in it: the store opens as it was, or as it was some changes
// ago, or says that its journal is damaged; no version ever has other bytes.
func TestEveryByteOfTheJournalMatters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	r := open(t, dir)
	ever := victim(t, r)
	killed := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.CopyFS(killed, os.DirFS(dir)))
	require.NoError(t, r.Close())
	refused, flipped := 0, 0
	for name := range filesOf(t, killed) {
		if !strings.HasPrefix(name, "journal/") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(killed, name))
		require.NoError(t, err)
		end := len(bytes.TrimRight(raw, "\x00"))
		for i := range min(16, end) {
			hurt := filepath.Join(t.TempDir(), "store")
			require.NoError(t, os.CopyFS(hurt, os.DirFS(killed)))
			flipBit(t, filepath.Join(hurt, name), int64(i*end/16))
			refused += requireEarlierOrRefused(t, hurt, ever)
			require.NoError(t, os.RemoveAll(hurt))
			flipped++
		}
	}
	t.Logf("%d flips, %d stores refused", flipped, refused)
	require.GreaterOrEqual(t, flipped, 16)
	require.Less(t, refused, flipped)
}

func requireEarlierOrRefused(t *testing.T, dir string, ever map[string]bool) (refused int) {
	t.Helper()
	s, err := badgerstore.Open(dir, badgerstore.Options{Secret: local.Derive(rootKey, "kmsfs store v1")})
	if err != nil {
		require.ErrorContains(t, err, "journal")
		return 1
	}
	require.NoError(t, s.Close())
	r := open(t, dir)
	defer func() { require.NoError(t, r.Close()) }()
	_, got := snapshot(t, r)
	for name, digest := range got {
		require.True(t, ever[digest], "%s has bytes that it never had: %s", name, digest)
	}
	requireClean(t, r)
	return 0
}

func requireRightOrDamaged(t *testing.T, r *rig, names string, want contents) {
	t.Helper()
	gotNames, got := snapshot(t, r)
	require.Equal(t, names, gotNames)
	lost := contents{}
	for name, digest := range want {
		if got[name] == damaged {
			lost[name] = damaged
		} else {
			require.Equal(t, digest, got[name], name)
		}
	}
	told := contents{}
	_, err := r.Check(t.Context(), nil, func(d objstore.Damage) {
		require.NotEmpty(t, d.Key, "check does not say what is damaged: %s", d.What)
		told[fmt.Sprintf("%s/%s@%s", d.Bucket, d.Key, d.VersionID)] = damaged
	})
	require.NoError(t, err)
	require.Equal(t, lost, told, "what check names, and what cannot be read, differ")
}
