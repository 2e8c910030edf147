package fstest

import (
	"context"
	"errors"
	"io"
	"slices"

	"kmsfs/objstore"
)

const chunkSize = objstore.ChunkSize

// errContract is what package fs must never see.
var errContract = errors.New("fstest: the caller broke the contract of objstore.File")

// ReadAt is io.ReaderAt. Bytes of a chunk behind a size that was set later are not zeroed: they show when the size
// grows over them.
func (c content) ReadAt(p []byte, off int64) (int, error) {
	if off >= c.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), c.size-off))
	for done := 0; done < n; {
		in := int((off + int64(done)) % chunkSize)
		part := p[done:min(n, done+chunkSize-in)]
		clear(part)
		if chunk := c.chunks[(off+int64(done))/chunkSize]; in < len(chunk) {
			copy(part, chunk[in:])
		}
		done += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type file struct {
	s         *Store
	ino       objstore.Ino
	c         content
	enc       objstore.Encryption
	begun     bool
	changed   bool
	committed bool
}

// OpenFile implements objstore.Tree.
func (s *Store) OpenFile(_ context.Context, ino objstore.Ino) (objstore.File, error) {
	if err := s.refuse("open", ino); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "open")
	if err != nil {
		return nil, err
	}
	s.open[ino]++
	return &file{s: s, ino: ino, c: n.content.clone(), enc: n.Stored}, nil
}

// OverwriteFile implements objstore.Tree.
func (s *Store) OverwriteFile(_ context.Context, ino objstore.Ino) (objstore.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.get(ino, "open")
	if err != nil {
		return nil, err
	}
	s.open[ino]++
	return &file{s: s, ino: ino, c: content{key: n.content.key}.clone(), enc: n.Stored}, nil
}

func (f *file) Authorize(ctx context.Context, write bool) error {
	return f.s.refuse("authorize", f.ino)
}

func (f *file) Size() int64 { return f.c.size }

func (f *file) Allocated() (sum int64) {
	for _, c := range f.c.chunks {
		sum += int64(len(c))
	}
	return sum
}

func (f *file) ReadAt(p []byte, off int64) (int, error) { return f.c.ReadAt(p, off) }

func (f *file) Begin(ctx context.Context, enc objstore.Encryption, mode objstore.BeginMode) error {
	enc, err := resolve(enc)
	if err != nil {
		return err
	}
	if f.begun && enc.Equal(f.enc) && mode == objstore.BeginKeep {
		return nil
	}
	if err := f.s.refuse("begin", f.ino); err != nil {
		return err
	}
	if mode != objstore.BeginKeep || !enc.Equal(f.enc) {
		f.s.mu.Lock()
		f.s.serial++
		f.c.key = f.s.serial
		f.s.mu.Unlock()
		f.changed = true
	}
	if mode == objstore.BeginEmpty {
		f.c = content{chunks: map[int64][]byte{}, key: f.c.key}
	}
	f.enc, f.begun = enc, true
	return nil
}

func (f *file) WriteChunks(index int64, data []byte) error {
	end := index*chunkSize + int64(len(data))
	if !f.begun || len(data) == 0 || len(data)%chunkSize != 0 && end < f.c.size {
		return errContract
	}
	if err := f.s.refuse("write", f.ino); err != nil {
		return err
	}
	for part := range slices.Chunk(data, chunkSize) {
		f.c.chunks[index] = slices.Clone(part)
		index++
	}
	f.c.size = max(f.c.size, end)
	f.changed = true
	return nil
}

func (f *file) DropChunks(index, n int64) error {
	if !f.begun || n <= 0 {
		return errContract
	}
	for k := range n {
		delete(f.c.chunks, index+k)
	}
	f.changed = true
	return nil
}

func (f *file) SetSize(size int64) error {
	if !f.begun {
		return errContract
	}
	for k := range f.c.chunks {
		if k*chunkSize >= size {
			delete(f.c.chunks, k)
		}
	}
	f.c.size = size
	f.changed = true
	return nil
}

func (f *file) SeekData(off int64) (int64, error) {
	for ; off < f.c.size; off = (off/chunkSize + 1) * chunkSize {
		if f.c.chunks[off/chunkSize] != nil {
			return off, nil
		}
	}
	return 0, fail(objstore.NoData, "lseek")
}

func (f *file) SeekHole(off int64) (int64, error) {
	if off >= f.c.size {
		return 0, fail(objstore.NoData, "lseek")
	}
	for ; off < f.c.size; off = (off/chunkSize + 1) * chunkSize {
		if f.c.chunks[off/chunkSize] == nil {
			return off, nil
		}
	}
	return f.c.size, nil
}

func (f *file) CloneFrom(_ context.Context, src objstore.File, srcIndex, index, n int64) (bool, error) {
	from := src.(*file)
	if !f.begun {
		return false, errContract
	}
	if from.c.key != f.c.key {
		return false, nil
	}
	copies := map[int64][]byte{}
	for k := range n {
		copies[index+k] = from.c.chunks[srcIndex+k]
	}
	for k, c := range copies {
		if c == nil {
			delete(f.c.chunks, k)
		} else {
			f.c.chunks[k] = c
		}
	}
	f.c.size = max(f.c.size, (index+n)*chunkSize)
	f.changed = true
	return true, nil
}

func (f *file) Sync(context.Context, objstore.AttrChange) error {
	if err := f.s.refuse("sync", f.ino); err != nil {
		return err
	}
	return f.s.SyncTree(context.Background())
}

func (f *file) Commit(ctx context.Context, c objstore.AttrChange) (*objstore.Node, error) {
	if err := f.s.refuse("commit", f.ino); err != nil {
		return nil, err
	}
	if !f.begun {
		return nil, errContract
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	n, err := f.s.get(f.ino, "commit")
	if err != nil {
		return nil, err
	}
	n.apply(c)
	if f.changed || len(n.versions) == 0 {
		n.content, n.Size, n.Stored, n.Allocated = f.c.clone(), f.c.size, f.enc, f.Allocated()
		f.s.addVersion(n, f.committed)
		f.changed, f.committed = false, true
	}
	return n.snapshot(), nil
}

func (f *file) EndSession() { f.committed, f.begun = false, false }

func (f *file) Close() error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.open[f.ino]--
	if n := f.s.nodes[f.ino]; n != nil {
		f.s.forgetIfUnused(n)
	}
	return nil
}
