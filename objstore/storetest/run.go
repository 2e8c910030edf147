package storetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// Env is a store under test.
type Env struct {
	Store objstore.Store
	Keys  *kms.Service // the key service that the store uses
	// Reopen closes the store and opens it again. Nil where there is nothing to reopen.
	Reopen func(t testing.TB) Env
	// Crash opens what the death of the process would leave, as a store of its own. Nil where it cannot be had.
	Crash func(t testing.TB) Env
}

// Case is one named test of the suite.
type Case struct {
	Name string
	Run  func(*Fixture)
}

// Topics are the cases of the suite by what they are about.
func Topics() map[string][]Case {
	return map[string][]Case{
		"Conformance": conformance(), "List": lists(), "Versions": versions(), "Copy": copies(), "Conditions": conditions(),
		"Encryption": encryptions(), "Tree": trees(), "File": files(), "Random": randoms(),
	}
}

// Run runs the suite. Each topic has a store and each case a bucket of its own.
func Run(t *testing.T, open func(t testing.TB) Env) {
	for topic, cases := range Topics() {
		t.Run(topic, func(t *testing.T) {
			env := open(t)
			shared := &env
			t.Cleanup(func() {
				requireClean(t, *shared)
				require.NoError(t, shared.Store.Close())
			})
			for i, c := range cases {
				t.Run(c.Name, func(t *testing.T) { c.Run(newFixture(t, shared, fmt.Sprintf("bucket-%d", i))) })
			}
		})
	}
}

// Fixture is what a case works on. Its store may be exchanged by Reopen.
type Fixture struct {
	*testing.T
	*Env
	Ctx    context.Context
	Bucket string
	Root   objstore.Ino
}

func newFixture(t *testing.T, env *Env, bucket string) *Fixture {
	f := &Fixture{T: t, Env: env, Ctx: context.Background(), Bucket: bucket}
	b, err := f.Store.CreateBucket(f.Ctx, objstore.Bucket{Name: bucket})
	require.NoError(t, err)
	f.Root = b.Root
	t.Cleanup(func() { requireUsage(t, f.Store, bucket) })
	return f
}

// Track checks the store at the end of the test.
func Track(t testing.TB, env Env) Env {
	t.Cleanup(func() { requireClean(t, env) })
	return env
}

func requireClean(t testing.TB, env Env) {
	t.Helper()
	m, ok := env.Store.(objstore.Maintainer)
	if !ok {
		return
	}
	_, err := m.Check(context.Background(), nil, func(d objstore.Damage) {
		t.Errorf("damage: %s/%s %s: %s", d.Bucket, d.Key, d.VersionID, d.What)
	})
	require.NoError(t, err)
}

// requireUsage compares the counters of a bucket with a recount.
func requireUsage(t testing.TB, s objstore.Store, bucket string) {
	t.Helper()
	var want objstore.BucketUsage
	for _, o := range listVersions(t, s, bucket, objstore.ListInput{}, 1000) {
		switch {
		case o.ContentType == "application/x-directory" && strings.HasSuffix(o.Key, "/"):
		case o.IsLatest && !o.DeleteMarker:
			want.Objects++
			want.Bytes += o.Size
		default:
			want.Noncurrent++
			want.NoncurrBytes += o.Size
		}
	}
	got, err := s.Usage(context.Background(), bucket)
	require.NoError(t, err)
	require.Equal(t, want, got, "usage of %s is not what a recount gives", bucket)
}

// reopen goes on with the store opened anew.
func (f *Fixture) reopen() {
	f.Helper()
	if f.Reopen == nil {
		return
	}
	*f.Env = f.Reopen(f)
}

func (f *Fixture) gc() {
	f.Helper()
	if m, ok := f.Store.(objstore.Maintainer); ok {
		_, err := m.GC(f.Ctx, objstore.Now().Time())
		require.NoError(f, err)
	}
}

// tree gives the store's capability, or skips the case.
func (f *Fixture) tree() objstore.Tree {
	tr, ok := f.Store.(objstore.Tree)
	if !ok {
		f.Skip("the store is no objstore.Tree")
	}
	return tr
}

func (f *Fixture) versioning(v objstore.Versioning) {
	f.Helper()
	_, err := f.Store.UpdateBucket(f.Ctx, f.Bucket, func(b *objstore.Bucket) error {
		b.Versioning = v
		return nil
	})
	require.NoError(f, err)
}

func (f *Fixture) put(key, body string) objstore.Object {
	f.Helper()
	o, err := f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: key, Body: strings.NewReader(body)})
	require.NoError(f, err)
	return o
}

func (f *Fixture) get(key string, v objstore.VersionID) string {
	f.Helper()
	b, err := readObject(f.Ctx, f.Store, f.Bucket, key, v)
	require.NoError(f, err)
	return string(b)
}

func readObject(ctx context.Context, s objstore.Store, bucket, key string, v objstore.VersionID) ([]byte, error) {
	o, r, err := s.GetObject(ctx, bucket, key, v)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	if err == nil && int64(len(b)) != o.Size {
		return nil, fmt.Errorf("read %d bytes of an object of %d", len(b), o.Size)
	}
	return b, err
}

func (f *Fixture) delete(key string, v objstore.VersionID) objstore.Object {
	f.Helper()
	o, err := f.Store.DeleteObject(f.Ctx, f.Bucket, key, v, objstore.Condition{})
	require.NoError(f, err)
	return o
}

// requireCode asserts that an error occurred, and which.
func (f *Fixture) requireCode(want objstore.Code, err error) {
	f.Helper()
	requireCode(f, want, err)
}

func requireCode(t testing.TB, want objstore.Code, err error) {
	t.Helper()
	require.Error(t, err, "expected %s", want)
	require.Equal(t, want, objstore.CodeOf(err), "%v", err)
}

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// block is n bytes that differ by seed and are cheap to make.
func block(seed uint64, n int) []byte {
	unit := random(rand.New(rand.NewPCG(seed, 1)), 251)
	return bytes.Repeat(unit, n/len(unit)+1)[:n]
}
