package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// seeds of the random cases; a failure names its seed.
const (
	s3Seeds   = 4
	treeSeeds = 4
	fileSeeds = 4
)

func randoms() (out []Case) {
	for seed := range uint64(s3Seeds) {
		out = append(out, Case{fmt.Sprintf("S3/seed=%d", seed), func(f *Fixture) { randomS3(f, seed) }})
	}
	for seed := range uint64(treeSeeds) {
		out = append(out, Case{fmt.Sprintf("Tree/seed=%d", seed), func(f *Fixture) { randomTree(f, seed) }})
	}
	for seed := range uint64(fileSeeds) {
		out = append(out, Case{fmt.Sprintf("File/seed=%d", seed), func(f *Fixture) { randomFile(f, seed) }})
	}
	return out
}

// s3Run is a run of random operations on a store and a model.
type s3Run struct {
	*Fixture
	r    *rand.Rand
	m    *Model
	keys []string
	n    int
}

func randomS3(f *Fixture, seed uint64) {
	f.Logf("seed %d", seed)
	run := &s3Run{Fixture: f, r: rand.New(rand.NewPCG(seed, 2)), m: NewModel(),
		keys: []string{"a", "a/b", "a/b/c", "a-", "a-b/c", "a.txt", "a/", "b//c", "/x", "..", "../y", "é/ü", "d/e/f/g", "d/e/h", "d/", strings.Repeat("n", 300) + "/x"}}
	steps := []func(){run.put, run.put, run.put, run.put, run.delete, run.delete, run.deleteVersion, run.deleteVersion, run.copy, run.look, run.list, run.listVersions}
	for range 250 {
		steps[run.r.IntN(len(steps))]()
		switch run.r.IntN(80) {
		case 0:
			run.setVersioning()
		case 1:
			f.gc()
		case 2:
			f.reopen()
		}
	}
	run.everything()
}

func (s *s3Run) key() string { return s.keys[s.r.IntN(len(s.keys))] }

// version picks a version id of a key, or one that does not exist.
func (s *s3Run) version(key string) objstore.VersionID {
	vs := s.m.Versions(key)
	if len(vs) == 0 || s.r.IntN(8) == 0 {
		return objstore.NullVersion
	}
	return vs[s.r.IntN(len(vs))].ID
}

func (s *s3Run) put() {
	s.n++
	key := s.key()
	body := fmt.Sprintf("%d%s", s.n, strings.Repeat("x", []int{0, 10, 20 << 10, 70 << 10}[s.r.IntN(4)]))
	enc := []*objstore.Encryption{nil, nil, {Algorithm: objstore.KMS}, {Algorithm: objstore.KMS, BucketKey: true}}[s.r.IntN(4)]
	o, err := s.Store.PutObject(s.Ctx, objstore.PutInput{Bucket: s.Bucket, Key: key, Body: strings.NewReader(body), Encryption: enc})
	require.NoError(s, err)
	s.m.Put(key, ModelVersion{ID: o.VersionID, Body: body})
}

func (s *s3Run) delete() {
	key := s.key()
	s.m.Delete(key, s.Fixture.delete(key, "").VersionID)
}

func (s *s3Run) deleteVersion() {
	key := s.key()
	id := s.version(key)
	_, err := s.Store.DeleteObject(s.Ctx, s.Bucket, key, id, objstore.Condition{})
	if s.m.DeleteVersion(key, id) {
		require.NoError(s, err)
	} else {
		s.requireCode(objstore.NoSuchVersion, err)
	}
}

func (s *s3Run) copy() {
	from, to := s.key(), s.key()
	id := objstore.VersionID("")
	if s.r.IntN(2) == 0 {
		id = s.version(from)
	}
	v, code := s.m.Get(from, id)
	o, err := s.Store.CopyObject(s.Ctx, objstore.CopyInput{SrcBucket: s.Bucket, SrcKey: from, SrcVersion: id, Bucket: s.Bucket, Key: to})
	if code != "" {
		s.requireCode(code, err)
		return
	}
	require.NoError(s, err)
	s.m.Put(to, ModelVersion{ID: o.VersionID, Body: v.Body})
}

func (s *s3Run) look() {
	key := s.key()
	s.compare(key, "")
	s.compare(key, s.version(key))
}

func (s *s3Run) compare(key string, id objstore.VersionID) {
	s.Helper()
	want, code := s.m.Get(key, id)
	got, err := readObject(s.Ctx, s.Store, s.Bucket, key, id)
	if code != "" {
		s.requireCode(code, err)
		return
	}
	require.NoError(s, err, "%q %s", key, id)
	require.True(s, want.Body == string(got), "%q %s: other bytes", key, id)
	o, err := s.Store.HeadObject(s.Ctx, s.Bucket, key, id)
	require.NoError(s, err)
	require.Equal(s, s.m.Versions(key)[0].ID == o.VersionID, o.IsLatest, "%q %s", key, id)
}

func (s *s3Run) input() objstore.ListInput {
	pick := func(of ...string) string { return of[s.r.IntN(len(of))] }
	return objstore.ListInput{Prefix: pick("", "", "a", "a/", "a/b", "d/e/", "/", "b//", ".", "zz"), Delimiter: pick("", "/", "/", "b", "//"),
		After: pick("", "", "a", "a-", "a/", "a/b", "a/b/", "a.", "d/e/f", "b/")}
}

func (s *s3Run) list() {
	in := s.input()
	limit := 1 + s.r.IntN(6)
	keys, prefixes := listAll(s, s.Store, s.Bucket, in, limit)
	wantKeys, wantPrefixes := s.m.List(in, false)
	require.Equal(s, wantKeys, keys, "%+v, pages of %d", in, limit)
	require.Equal(s, wantPrefixes, prefixes, "%+v, pages of %d", in, limit)
}

func (s *s3Run) listVersions() {
	in := objstore.ListInput{Prefix: s.input().Prefix}
	limit := 1 + s.r.IntN(6)
	keys, _ := s.m.List(in, true)
	var want, got []string
	for _, k := range keys {
		for i, v := range s.m.Versions(k) {
			want = append(want, fmt.Sprint(k, v.ID, v.Marker, i == 0))
		}
	}
	for _, o := range listVersions(s, s.Store, s.Bucket, in, limit) {
		got = append(got, fmt.Sprint(o.Key, o.VersionID, o.DeleteMarker, o.IsLatest))
	}
	require.Equal(s, want, got, "%+v, pages of %d", in, limit)
}

func (s *s3Run) setVersioning() {
	v := []objstore.Versioning{objstore.VersioningEnabled, objstore.VersioningSuspended}[s.r.IntN(2)]
	s.versioning(v)
	s.m.Versioning = v
}

func (s *s3Run) everything() {
	s.list()
	s.listVersions()
	for _, key := range s.keys {
		s.compare(key, "")
		for _, v := range s.m.Versions(key) {
			s.compare(key, v.ID)
		}
	}
}
