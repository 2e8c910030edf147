package fs

import (
	"context"
	"errors"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
)

// The methods of this file need i.mu held for writing, except where they say otherwise.

// put stores data at off in the open file: whole chunks at once, the rest in chunk buffers. It returns how many
// bytes were taken before an error.
func (i *inode) put(off int64, data []byte) (int, error) {
	done := 0
	for done < len(data) {
		index, in := off/chunkSize, int(off%chunkSize)
		rest := data[done:]
		n := min(len(rest), chunkSize-in)
		var err error
		if in == 0 && len(rest) >= chunkSize {
			n = len(rest) / chunkSize * chunkSize
			err = i.putWhole(index, rest[:n])
		} else {
			err = i.putPart(index, in, rest[:n])
		}
		if err != nil {
			return done, err
		}
		done += n
		off += int64(n)
	}
	return done, nil
}

func (i *inode) putWhole(index int64, data []byte) error {
	if err := i.file.WriteChunks(index, data); err != nil {
		return err
	}
	for k := range int64(len(data) / chunkSize) {
		i.drop(index + k)
	}
	i.size = max(i.size, index*chunkSize+int64(len(data)))
	return nil
}

// hold puts a part of a chunk into memory.
func (i *inode) hold(index int64, in int, data []byte) *chunk {
	c := i.chunks[index]
	if c == nil {
		c = i.fs.pool.take(i, index)
		i.chunks[index] = c
	}
	copy(c.buf[in:], data)
	c.valid = c.valid.add(in, in+len(data))
	c.dirty = true
	i.size = max(i.size, index*chunkSize+int64(in+len(data)))
	return c
}

func (i *inode) putPart(index int64, in int, data []byte) error {
	c := i.hold(index, in, data)
	if i.size < (index+1)*chunkSize || !c.valid.covers(0, chunkSize) {
		return nil
	}
	if err := i.store(c); err != nil {
		return err
	}
	i.drop(index)
	return nil
}

// zero makes [from, to) read as zeros, within one chunk or not, without reading.
func (i *inode) zero(from, to int64) error {
	var zeros [4096]byte
	for from < to {
		n := min(to-from, int64(len(zeros)), chunkSize-from%chunkSize)
		if err := i.putPart(from/chunkSize, int(from%chunkSize), zeros[:n]); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// drop forgets the chunk buffer at index.
func (i *inode) drop(index int64) {
	if c := i.chunks[index]; c != nil {
		delete(i.chunks, index)
		i.fs.pool.give(c)
	}
}

// dropFrom forgets the chunk buffers from index on.
func (i *inode) dropFrom(index int64) {
	for k := range i.chunks {
		if k >= index {
			i.drop(k)
		}
	}
}

// complete fills what c lacks, up to the file's end, from the store. It may run for several chunks at once.
func (i *inode) complete(c *chunk) error {
	base := c.index * chunkSize
	end := int(min(i.size-base, chunkSize))
	if end <= 0 || c.valid.covers(0, end) {
		return nil
	}
	if len(c.valid) == 1 && c.valid[0].from == 0 {
		from := c.valid[0].to // an append, or the start of a chunk: one part is lacking
		if err := i.readStored(c.buf[from:end], base+int64(from)); err != nil {
			return err
		}
	} else if err := i.completeAround(c, base, end); err != nil {
		return err
	}
	c.valid = c.valid.add(0, end)
	return nil
}

// completeAround reads all of the chunk once, where several parts of it are lacking: opening it costs the same for
// one byte and for all.
func (i *inode) completeAround(c *chunk, base int64, end int) error {
	whole := i.fs.pool.buffer()
	defer func() { i.fs.pool.bufs.Put(whole) }()
	if err := i.readStored(whole[:end], base); err != nil {
		return err
	}
	for _, a := range c.valid {
		copy(whole[a.from:a.to], c.buf[a.from:a.to])
	}
	c.buf, whole = whole, c.buf
	return nil
}

// store writes a completed chunk.
func (i *inode) store(c *chunk) error {
	end := min(i.size-c.index*chunkSize, chunkSize)
	if end > 0 {
		if err := i.file.WriteChunks(c.index, c.buf[:end]); err != nil {
			return err
		}
	}
	c.dirty = false
	return nil
}

// flush brings everything dirty and the size into the store's open file. The last chunk of a file that does not end
// at a chunk's end stays in memory, clean: an append then needs no read.
func (i *inode) flush() error {
	list := i.dirtyChunks()
	if err := i.completeAll(list); err != nil {
		return err
	}
	for _, c := range list {
		if err := i.store(c); err != nil {
			return err
		}
		if c.index != i.size/chunkSize {
			i.drop(c.index)
		}
	}
	if i.file.Size() != i.size {
		return i.file.SetSize(i.size)
	}
	return nil
}

func (i *inode) dirtyChunks() []*chunk {
	var list []*chunk
	for _, k := range slices.Sorted(maps.Keys(i.chunks)) {
		if c := i.chunks[k]; c.dirty {
			list = append(list, c)
		}
	}
	return list
}

// completeAll completes chunks on all processors: each may need a chunk to be read and opened.
func (i *inode) completeAll(list []*chunk) error {
	workers := min(runtime.GOMAXPROCS(0), len(list))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		work := func() {
			for k := w; k < len(list) && errs[w] == nil; k += workers {
				errs[w] = i.complete(list[k])
			}
		}
		if w == workers-1 { // the last share is ours: no goroutine for the usual single chunk
			work()
			continue
		}
		wg.Go(work)
	}
	wg.Wait()
	return errors.Join(errs...)
}

// readStored reads p at off from the store alone; behind its end are zeros. i.mu is held for reading or writing.
func (i *inode) readStored(p []byte, off int64) error {
	n := 0
	if have := i.file.Size() - off; have > 0 {
		var err error
		n = int(min(int64(len(p)), have))
		n, err = i.file.ReadAt(p[:n], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	clear(p[n:])
	return nil
}

// get reads p at off, dirty data over stored data. At the end of the file it is short. i.mu is held for reading.
func (i *inode) get(p []byte, off int64) (int, error) {
	if off >= i.size || off < 0 {
		return 0, nil
	}
	p = p[:min(int64(len(p)), i.size-off)]
	if len(i.chunks) == 0 {
		return len(p), i.readStored(p, off)
	}
	for done := 0; done < len(p); {
		n, err := i.getRun(p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		done += n
	}
	return len(p), nil
}

// getRun reads what one chunk buffer has a part in, or what lies before the next one.
func (i *inode) getRun(p []byte, off int64) (int, error) {
	in := int(off % chunkSize)
	n := min(len(p), chunkSize-in)
	c := i.chunks[off/chunkSize]
	if c == nil {
		for n < len(p) && i.chunks[(off+int64(n))/chunkSize] == nil {
			n = min(len(p), n+chunkSize)
		}
		return n, i.readStored(p[:n], off)
	}
	if !c.valid.covers(in, in+n) {
		if err := i.readStored(p[:n], off); err != nil {
			return 0, err
		}
	}
	for _, a := range c.valid {
		if from, to := max(a.from, in), min(a.to, in+n); from < to {
			copy(p[from-in:], c.buf[from:to])
		}
	}
	return n, nil
}

// cut makes the file size bytes long, size being less than it is. The bytes behind size read as zeros afterwards,
// also when the file grows again.
func (i *inode) cut(size int64) error {
	index, in := size/chunkSize, int(size%chunkSize)
	if in > 0 && i.file.Size() > size {
		if err := i.cutChunk(index, in); err != nil {
			return err
		}
	} else if c := i.chunks[index]; c != nil { // the store may have bytes there that an earlier cut hid
		clear(c.buf[in:])
		c.valid = c.valid.add(in, chunkSize)
	}
	if in == 0 {
		i.dropFrom(index)
	} else {
		i.dropFrom(index + 1)
	}
	if i.file.Size() > size {
		if err := i.file.SetSize(size); err != nil {
			return err
		}
	}
	i.size = size
	return nil
}

// cutChunk holds chunk index in memory with zeros from in on, so that the store's copy is written anew.
func (i *inode) cutChunk(index int64, in int) error {
	c := i.chunks[index]
	if c == nil {
		c = i.fs.pool.take(i, index)
		i.chunks[index] = c
	}
	if err := i.complete(c); err != nil {
		return err
	}
	clear(c.buf[in:])
	c.valid, c.dirty = spans{{0, chunkSize}}, true
	return nil
}

// punch makes [from, to) a hole, as far as the file goes.
func (i *inode) punch(from, to int64) error {
	to = min(to, i.size)
	first, last := (from+chunkSize-1)/chunkSize, to/chunkSize
	if to == i.size {
		last = (to + chunkSize - 1) / chunkSize
	}
	if from >= to {
		return nil
	}
	if first >= last { // inside one chunk, or across one border
		return i.zero(from, to)
	}
	if err := i.zero(from, first*chunkSize); err != nil {
		return err
	}
	if err := i.dropStored(first, last); err != nil {
		return err
	}
	return i.zero(min(last*chunkSize, to), to)
}

func (i *inode) dropStored(first, last int64) error {
	stored := (i.file.Size() + chunkSize - 1) / chunkSize
	if n := min(last, stored) - first; n > 0 {
		if err := i.file.DropChunks(first, n); err != nil {
			return err
		}
	}
	for k := range i.chunks {
		if first <= k && k < last {
			i.drop(k)
		}
	}
	return nil
}

// evict brings the memory of dirty data back under its bound. It is called with no lock held.
func (f *FS) evict(ctx context.Context) error {
	n := f.pool.over()
	if n == 0 {
		return nil
	}
	byFile := map[*inode][]*chunk{}
	for _, c := range f.pool.oldest(n + evictionBatch) {
		byFile[c.owner] = append(byFile[c.owner], c)
	}
	var errs []error
	for i, list := range byFile {
		errs = append(errs, i.evictChunks(list))
	}
	if f.pool.over() > f.pool.limit { // nothing can be written: the writer has to know
		return errors.Join(errs...)
	}
	return nil
}

// evictionBatch is how many chunks more than needed an eviction writes, so that not every write evicts and so that all
// processors have something to do.
const evictionBatch = 2 << 20 / chunkSize

// evictChunks writes those of list that are dirty and lets go all that the file still has.
func (i *inode) evictChunks(list []*chunk) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.file == nil {
		return nil
	}
	list = slices.DeleteFunc(list, func(c *chunk) bool { return i.chunks[c.index] != c })
	dirty := slices.DeleteFunc(slices.Clone(list), func(c *chunk) bool { return !c.dirty })
	if err := i.completeAll(dirty); err != nil {
		return err
	}
	for _, c := range list {
		if c.dirty {
			if err := i.store(c); err != nil {
				return err
			}
		}
		i.drop(c.index)
	}
	return nil
}
