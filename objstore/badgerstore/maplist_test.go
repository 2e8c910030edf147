package badgerstore_test

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// A map of so many pages, one chunk in each.
const (
	pageOfMap  = 4096 // chunks
	pagesInMap = 4096 + 40
	listsInMap = 17      // of 256 pages each
	all        = 1 << 30 // versions
)

// scattered is a file whose map has lists of pages; want is its chunks by page.
type scattered struct {
	r    *rig
	ino  objstore.Ino
	want map[int64][]byte
}

func newScattered(t *testing.T, r *rig) *scattered {
	t.Helper()
	b, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "scattered", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	n, err := r.Create(t.Context(), b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	s := &scattered{r, n.Ino, map[int64][]byte{}}
	s.write(t, func(f objstore.File) {
		for page := range int64(pagesInMap) {
			s.put(t, f, page)
		}
		require.NoError(t, f.Sync(t.Context(), objstore.AttrChange{}))
	})
	return s
}

func (s *scattered) put(t *testing.T, f objstore.File, page int64) {
	t.Helper()
	s.want[page] = random(chunk)
	require.NoError(t, f.WriteChunks(page*pageOfMap, s.want[page]))
}

func (s *scattered) write(t *testing.T, change func(objstore.File)) {
	t.Helper()
	f := s.open(t)
	require.NoError(t, f.Begin(t.Context(), objstore.Encryption{Algorithm: objstore.AES256}, objstore.BeginKeep))
	change(f)
	require.NoError(t, f.SetSize(pagesInMap*pageOfMap*chunk))
	_, err := f.Commit(t.Context(), objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func (s *scattered) open(t *testing.T) objstore.File {
	t.Helper()
	f, err := s.r.OpenFile(t.Context(), s.ino)
	require.NoError(t, err)
	return f
}

func (s *scattered) requireChunks(t *testing.T, f objstore.File, want map[int64][]byte) {
	t.Helper()
	got := make([]byte, chunk)
	for page, data := range want {
		n, err := f.ReadAt(got, page*pageOfMap*chunk)
		require.NoError(t, err)
		require.Equal(t, chunk, n)
		require.True(t, bytes.Equal(data, got), "page %d", page)
	}
}

func (s *scattered) requireReads(t *testing.T) {
	t.Helper()
	f := s.open(t)
	s.requireChunks(t, f, s.want)
	require.NoError(t, f.Close())
}

// collect removes the newest n old versions for good, and what they leave.
func (s *scattered) collect(t *testing.T, n int) {
	t.Helper()
	l, err := s.r.ListVersions(t.Context(), "scattered", objstore.ListInput{})
	require.NoError(t, err)
	for _, o := range l.Objects {
		if !o.IsLatest && n > 0 {
			n--
			_, err = s.r.DeleteObject(t.Context(), "scattered", o.Key, o.VersionID, objstore.Condition{})
			require.NoError(t, err)
		}
	}
	_, err = s.r.GC(t.Context(), time.Now())
	require.NoError(t, err)
}

// requireGoes removes the file, requires that nothing of its map stays, and closes the store.
func (s *scattered) requireGoes(t *testing.T) {
	t.Helper()
	_, err := s.r.DeleteObject(t.Context(), "scattered", "f", "", objstore.Condition{})
	require.NoError(t, err)
	s.collect(t, all)
	require.Empty(t, recordsOf(t, s.r, 'Q'))
	require.Empty(t, recordsOf(t, s.r, 'P'))
	requireClean(t, s.r)
	require.NoError(t, s.r.Close())
}

// A file may have more pages than a record has room for. A change rewrites the list that it is in, versions share the others,
// whoever reads an old version keeps what it needs, and a backup has all of it.
func TestListsOfPages(t *testing.T) {
	dir := filepath.Join(memDir(t), "store")
	r := open(t, dir)
	s := newScattered(t, r)
	require.Len(t, recordsOf(t, r, 'Q'), listsInMap)
	s.requireReads(t)
	requireClean(t, r)
	require.NoError(t, r.Close())

	r = open(t, dir)
	s.r = r
	old, before := s.open(t), map[int64][]byte{10: s.want[10], 11: s.want[11], pagesInMap - 1: s.want[pagesInMap-1]}
	s.requireChunks(t, old, map[int64][]byte{11: s.want[11]})
	s.write(t, func(f objstore.File) { s.put(t, f, 10) })
	require.Len(t, recordsOf(t, r, 'Q'), listsInMap+1)
	s.collect(t, all)
	s.requireChunks(t, old, before)
	require.NoError(t, old.Close())
	s.collect(t, all)
	require.Len(t, recordsOf(t, r, 'Q'), listsInMap)
	require.Len(t, recordsOf(t, r, 'P'), pagesInMap)
	s.requireReads(t)

	repo := filepath.Join(memDir(t), "repo")
	backupTo(t, r, repo, 1)
	path, err := restore(t, repo, "")
	require.NoError(t, err)
	restored := open(t, path)
	(&scattered{restored, s.ino, s.want}).requireReads(t)
	requireClean(t, restored)
	require.NoError(t, restored.Close())

	s.requireGoes(t)
}

// A list that is damaged loses its file's bytes, and nothing else; the file can be removed, and all that it had goes.
func TestDamagedListOfPages(t *testing.T) {
	dir := filepath.Join(memDir(t), "store")
	r := open(t, dir)
	s := newScattered(t, r)
	lists := recordsOf(t, r, 'Q')
	require.NoError(t, r.Close())
	damage(t, dir, func(tx *kv.Tx) { tx.Put(lists[0], []byte("garbage")) })
	r = open(t, dir)
	require.NotEmpty(t, repair(t, r))
	require.Len(t, recordsOf(t, r, 'Q'), listsInMap-1)
	s.r = r
	f, err := r.OpenFile(t.Context(), s.ino)
	if err == nil {
		err = f.Close()
	}
	require.Error(t, err)
	require.Equal(t, objstore.IntegrityError, objstore.CodeOf(err))
	s.requireGoes(t)
}

// The lists that an open file has are kept for its next commit, also when the version that they came with is replaced and
// removed meanwhile, and an older one has the content swept.
func TestListsOfAnOpenFile(t *testing.T) {
	r := trackQuick(t)
	s := newScattered(t, r)
	s.write(t, func(f objstore.File) { s.put(t, f, pagesInMap-1) })
	s.write(t, func(f objstore.File) {
		s.put(t, f, 12)
		_, err := r.PutObject(t.Context(), objstore.PutInput{Bucket: "scattered", Key: "f", Body: bytes.NewReader(random(10))})
		require.NoError(t, err)
		s.collect(t, 1)
	})
	s.requireReads(t)
	s.collect(t, 1)
	s.requireReads(t)
}

// A file that is fsynced again and again keeps one copy of its map for the record of the last fsync, and one for its version; a
// machine that dies then has what was fsynced, and a commit that follows keeps both versions.
func TestMapsOfFsyncsGo(t *testing.T) {
	dir := filepath.Join(memDir(t), "store")
	r := open(t, dir)
	s := newScattered(t, r)
	before := map[int64][]byte{3: s.want[3], 4: s.want[4], 5: s.want[5]}
	f := s.open(t)
	require.NoError(t, f.Begin(t.Context(), objstore.Encryption{Algorithm: objstore.AES256}, objstore.BeginKeep))
	f.EndSession()
	for i := range int64(40) {
		s.put(t, f, 3+i%3)
		require.NoError(t, f.Sync(t.Context(), objstore.AttrChange{}))
	}
	require.LessOrEqual(t, len(recordsOf(t, r, 'P')), pagesInMap+3)
	require.Len(t, recordsOf(t, r, 'Q'), listsInMap+1)

	crashed := open(t, copyStore(t, dir))
	(&scattered{crashed, s.ino, s.want}).requireReads(t)
	requireClean(t, crashed)
	require.NoError(t, crashed.Close())

	_, err := f.Commit(t.Context(), objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	s.requireReads(t)
	l, err := r.ListVersions(t.Context(), "scattered", objstore.ListInput{})
	require.NoError(t, err)
	require.Len(t, l.Objects, 2)
	_, old, err := r.GetObject(t.Context(), "scattered", "f", l.Objects[1].VersionID)
	require.NoError(t, err)
	for page, data := range before {
		got := make([]byte, chunk)
		_, err := old.ReadAt(got, page*pageOfMap*chunk)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), "page %d", page)
	}
	require.NoError(t, old.Close())
	requireClean(t, r)
	require.NoError(t, r.Close())
}

// A map that was in pages, then short enough for the version's record, and then in pages again, names records that are there: those
// of the pages before are gone with the fsync that needed none.
func TestMapIsShortBetweenFsyncs(t *testing.T) {
	r := open(t, filepath.Join(memDir(t), "store"))
	b, err := r.CreateBucket(t.Context(), objstore.Bucket{Name: "bkt", Versioning: objstore.VersioningEnabled})
	require.NoError(t, err)
	n, err := r.Create(t.Context(), b.Root, "f", objstore.NodeInit{Mode: 0o100644})
	require.NoError(t, err)
	f, err := r.OpenFile(t.Context(), n.Ino)
	require.NoError(t, err)
	require.NoError(t, f.Begin(t.Context(), objstore.Encryption{Algorithm: objstore.AES256}, objstore.BeginKeep))
	first := random(chunk)
	require.NoError(t, f.WriteChunks(0, first))
	for range 2 {
		for i := range int64(12) {
			require.NoError(t, f.WriteChunks(pageOfMap+2*i, random(chunk)))
		}
		require.NoError(t, f.Sync(t.Context(), objstore.AttrChange{}))
		require.NotEmpty(t, recordsOf(t, r, 'P'))
		require.NoError(t, f.SetSize(chunk))
		require.NoError(t, f.Sync(t.Context(), objstore.AttrChange{}))
		require.Empty(t, recordsOf(t, r, 'P'))
	}
	for i := range int64(12) {
		require.NoError(t, f.WriteChunks(pageOfMap+2*i, random(chunk)))
	}
	_, err = f.Commit(t.Context(), objstore.AttrChange{})
	require.NoError(t, err)
	require.NoError(t, f.Close())
	requireClean(t, r)
	require.NoError(t, r.Close())
	r = open(t, r.dir)
	f, err = r.OpenFile(t.Context(), n.Ino)
	require.NoError(t, err)
	got := make([]byte, chunk)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, first, got)
	require.NoError(t, f.Close())
	require.NoError(t, r.Close())
}
