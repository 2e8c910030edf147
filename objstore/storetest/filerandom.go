package storetest

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// fileModel is the content of a file as chunks; those that are not there are holes.
type fileModel struct {
	chunks map[int64][]byte
	size   int64
}

func (m fileModel) clone() fileModel { return fileModel{maps.Clone(m.chunks), m.size} }

// chunk gives chunk i as it reads.
func (m fileModel) chunk(i int64) []byte {
	out := make([]byte, max(0, min(chunk, m.size-i*chunk)))
	copy(out, m.chunks[i])
	return out
}

// fileRun is a run of random operations on a file and a model.
type fileRun struct {
	*Fixture
	r         *rand.Rand
	ino       objstore.Ino
	h         objstore.File
	now       fileModel
	committed fileModel
	synced    *fileModel // what Sync left since the last commit
	old       map[objstore.VersionID]fileModel
	last      objstore.VersionID
	versioned bool
	enc       objstore.Encryption
	seed      uint64
}

func randomFile(f *Fixture, seed uint64) {
	f.Logf("seed %d", seed)
	f.tree()
	s := &fileRun{Fixture: f, r: rand.New(rand.NewPCG(seed, 4)), old: map[objstore.VersionID]fileModel{}, enc: kmsEncryption, versioned: seed%2 == 0}
	if s.versioned {
		f.versioning(objstore.VersioningEnabled)
	}
	s.now.chunks, s.committed.chunks = map[int64][]byte{}, map[int64][]byte{}
	s.ino = f.mk(f.Root, "file", modeFile).Ino
	s.open()
	steps := []func(){s.writeChunks, s.writeChunks, s.writeChunks, s.writeChunks, s.writeChunks, s.drop, s.cut, s.commitNow, s.commitNow, s.commitNow, s.endSession, s.endSession, s.sync}
	for range 120 {
		steps[s.r.IntN(len(steps))]()
		switch s.r.IntN(40) {
		case 0:
			s.close()
			f.reopen()
			s.open()
		case 1:
			f.gc()
		case 2:
			s.close()
			s.open()
		case 3:
			s.changeSettings()
		case 4:
			s.crash()
		case 5:
			s.empty()
		}
		s.sample()
	}
	s.commitNow()
	s.close()
	s.gc()
	s.everything()
}

func (s *fileRun) open() {
	s.h = s.openFile(s.ino)
	s.begin()
}

func (s *fileRun) begin() { require.NoError(s, s.h.Begin(s.Ctx, s.enc, objstore.BeginKeep)) }

// close drops what was not committed; what was fsynced becomes the content.
func (s *fileRun) close() {
	require.NoError(s, s.h.Close())
	if s.synced != nil {
		s.committed, s.synced = *s.synced, nil
		n, err := s.tree().Node(s.Ctx, s.ino)
		require.NoError(s, err)
		s.note(n.VersionID)
	}
	s.now = s.committed.clone()
}

func (s *fileRun) note(id objstore.VersionID) {
	if s.versioned {
		s.old[id] = s.committed
	}
	s.last = id
}

// index picks a chunk: near the start, near the borders of the map's pages, or far away.
func (s *fileRun) index() int64 {
	return []int64{0, 3, 8, 508, 1022, 3000}[s.r.IntN(6)] + int64(s.r.IntN(6))
}

func (s *fileRun) writeChunks() {
	i, n := s.index(), int64(1+s.r.IntN(4))
	s.padTail(i + n)
	length := n * chunk
	if end := i*chunk + length; end >= s.now.size && s.r.IntN(2) == 0 {
		length -= int64(s.r.IntN(chunk - 1))
		length = max(length, s.now.size-i*chunk)
	}
	s.seed++
	data := block(s.seed, int(length))
	require.NoError(s, s.h.WriteChunks(i, data))
	for k := range n {
		s.now.chunks[i+k] = data[k*chunk : min(length, (k+1)*chunk)]
	}
	s.now.size = max(s.now.size, i*chunk+length)
}

// padTail writes the last chunk anew before the file grows, as the caller of SetSize has to.
func (s *fileRun) padTail(end int64) {
	if s.now.size%chunk == 0 || end*chunk <= s.now.size {
		return
	}
	i := s.now.size / chunk
	if s.now.chunks[i] == nil {
		return
	}
	data := s.now.chunk(i)
	require.NoError(s, s.h.WriteChunks(i, data))
	s.now.chunks[i] = data
}

func (s *fileRun) drop() {
	i, n := s.index(), int64(1+s.r.IntN(600))
	require.NoError(s, s.h.DropChunks(i, n))
	for k := range s.now.chunks {
		if k >= i && k < i+n {
			delete(s.now.chunks, k)
		}
	}
}

func (s *fileRun) cut() {
	size := s.index()*chunk + int64(s.r.IntN(chunk))
	if s.r.IntN(3) == 0 && size < s.now.size {
		return // seldom lose what is far away
	}
	s.padTail(size/chunk + 1)
	require.NoError(s, s.h.SetSize(size))
	for k := range s.now.chunks {
		if k*chunk >= size {
			delete(s.now.chunks, k)
		}
	}
	s.now.size = size
}

func (s *fileRun) commitNow() {
	n, err := s.h.Commit(s.Ctx, objstore.AttrChange{})
	require.NoError(s, err)
	require.Equal(s, s.now.size, n.Size)
	s.committed, s.synced = s.now.clone(), nil
	s.note(n.VersionID)
}

func (s *fileRun) endSession() {
	s.commitNow()
	s.h.EndSession()
	s.begin()
}

func (s *fileRun) sync() {
	require.NoError(s, s.h.Sync(s.Ctx, objstore.AttrChange{}))
	if !s.same(s.now, s.committed) {
		m := s.now.clone()
		s.synced = &m
	}
}

func (s *fileRun) same(a, b fileModel) bool {
	return a.size == b.size && maps.EqualFunc(a.chunks, b.chunks, func(x, y []byte) bool { return bytes.Equal(x, y) })
}

func (s *fileRun) empty() {
	require.NoError(s, s.h.Begin(s.Ctx, s.enc, objstore.BeginEmpty))
	s.now = fileModel{chunks: map[int64][]byte{}}
}

func (s *fileRun) changeSettings() {
	s.enc = []objstore.Encryption{{Algorithm: objstore.AES256}, {Algorithm: objstore.DSSE}, kmsEncryption,
		{Algorithm: objstore.KMS, BucketKey: true}}[s.r.IntN(4)]
	s.begin()
}

// sample reads a chunk of the open file.
func (s *fileRun) sample() {
	s.Helper()
	i := s.index()
	if i*chunk >= s.now.size {
		return
	}
	p := make([]byte, len(s.now.chunk(i)))
	n, err := s.h.ReadAt(p, i*chunk)
	require.True(s, err == nil || err == io.EOF, "%v", err)
	require.True(s, bytes.Equal(s.now.chunk(i), p[:n]), "chunk %d of the open file", i)
}

func (s *fileRun) crash() {
	if s.Crash == nil {
		return
	}
	env := s.Crash(s)
	want := s.committed
	if s.synced != nil {
		want = *s.synced
	}
	if want.size > 0 {
		_, r, err := env.Store.GetObject(s.Ctx, s.Bucket, "file", "")
		require.NoError(s, err)
		s.requireBytes(want, r, "after a crash")
		require.NoError(s, r.Close())
	}
	requireClean(s, env)
	require.NoError(s, env.Store.Close())
}

// requireBytes compares the chunks that are there and a hole behind each.
func (s *fileRun) requireBytes(want fileModel, r objstore.Reader, what string) {
	s.Helper()
	require.Equal(s, want.size, r.Size(), what)
	p := make([]byte, chunk)
	for _, i := range slices.Sorted(maps.Keys(want.chunks)) {
		for _, i := range []int64{i, i + 1} {
			n, err := r.ReadAt(p[:len(want.chunk(i))], i*chunk)
			require.True(s, err == nil || err == io.EOF, "%s: chunk %d: %v", what, i, err)
			require.True(s, bytes.Equal(want.chunk(i), p[:n]), "%s: chunk %d", what, i)
		}
	}
}

func (s *fileRun) everything() {
	_, r, err := s.Store.GetObject(s.Ctx, s.Bucket, "file", "")
	require.NoError(s, err)
	s.requireBytes(s.committed, r, "the current version")
	require.NoError(s, r.Close())
	for id, want := range s.old {
		_, r, err := s.Store.GetObject(s.Ctx, s.Bucket, "file", id)
		require.NoError(s, err)
		s.requireBytes(want, r, "version "+string(id))
		require.NoError(s, r.Close())
	}
}
