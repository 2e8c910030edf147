package badgerstore

import (
	"context"
	"errors"
	"fmt"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// checker reads a store from end to end.
type checker struct {
	s        *Store
	ctx      context.Context
	rep      objstore.CheckReport
	progress func(done, total int64)
	found    func(objstore.Damage)
	total    int64
	links    map[objstore.Ino][]link // further names of files with hard links
	shared   shared
}

// link is a name that is not the first of its inode.
type link struct {
	parent objstore.Ino
	name   string
}

// Check reads every record and every chunk.
func (s *Store) Check(ctx context.Context, progress func(done, total int64), found func(objstore.Damage)) (objstore.CheckReport, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	c := &checker{s: s, ctx: ctx, progress: progress, links: map[objstore.Ino][]link{}, shared: shared{}}
	c.found = func(d objstore.Damage) {
		c.rep.Damaged++
		found(d)
	}
	s.mu.Lock()
	for _, u := range s.usage {
		c.total += u.Bytes + u.NoncurrBytes
	}
	s.mu.Unlock()
	s.maps.clear() // what is on disk counts
	if err := c.database(); err != nil {
		return c.rep, wrap("Check", err)
	}
	for _, step := range []func() error{c.stems, c.names, c.inodes, c.noncurrent, c.users} {
		if err := step(); err != nil {
			return c.rep, wrap("Check", err)
		}
	}
	return c.rep, nil
}

// database checks the key-value store below: its files and the seal of each value. Chunks in its data table are
// left to the versions that they belong to, whose names can be told.
func (c *checker) database() error {
	err := c.s.db.Check(c.ctx, nil, func(err error) {
		var corrupt *kv.CorruptError
		if !errors.As(err, &corrupt) || corrupt.What != "data" {
			c.found(objstore.Damage{What: err.Error()})
		}
	})
	c.rep.Healed = c.s.db.Stats().HealedFiles
	return err
}

// each visits the records under a prefix, page by page so that writers are not held up, and goes on behind a damaged one.
func (c *checker) each(prefix byte, fn func(r kv.Reader, k, v []byte) error) error {
	const page = 256
	from := []byte{prefix}
	for from != nil {
		var next []byte
		err := c.s.db.View(func(r kv.Reader) error {
			n := 0
			return r.Ascend(from, []byte{prefix + 1}, func(k, v []byte) (bool, error) {
				if n++; n > page {
					next = append([]byte{}, k...)
					return false, nil
				}
				c.rep.Records++
				return true, fn(r, k, v)
			})
		})
		var corrupt *kv.CorruptError
		if errors.As(err, &corrupt) && corrupt.Key != nil { // reported by database
			next, err = append(append([]byte{}, corrupt.Key...), 0), nil
		}
		if err != nil {
			return err
		}
		from = next
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// names checks that each name leads to a record, and the record back to the name.
func (c *checker) names() error {
	return c.each(kDirent, func(r kv.Reader, k, v []byte) error {
		parent, name := inoOf(k), string(k[9:])
		d, err := unmarshalDirent(v)
		if err != nil {
			c.damaged(r, parent, name, "the name's record does not parse")
			return nil
		}
		for _, ino := range []objstore.Ino{d.file, d.dir} {
			if ino == 0 {
				continue
			}
			in, err := getInode(r, inodeKey(ino))
			if err != nil {
				c.damaged(r, parent, name, fmt.Sprintf("its record (inode %d) is lost: %v", ino, err))
			} else if in.Parent != parent || in.Name != name {
				c.links[ino] = append(c.links[ino], link{parent, name})
			}
		}
		return nil
	})
}

func (c *checker) damaged(r kv.Reader, parent objstore.Ino, name, what string) {
	c.foundAt(r, objstore.Damage{Key: name, What: what}, parent, name)
}

// foundAt reports d under a name with its whole path, where that can be told.
func (c *checker) foundAt(r kv.Reader, d objstore.Damage, parent objstore.Ino, name string) {
	d.Key = name
	if p, err := c.s.inode(r, parent); err == nil {
		if bucket, dir, err := c.s.path(r, p); err == nil {
			d.Bucket, d.Key = bucket, dir+name
		}
	}
	c.found(d)
}

// inodes checks every file's content and that its name exists.
func (c *checker) inodes() error {
	return c.each(kInode, func(r kv.Reader, _, rec []byte) error {
		in, err := c.s.parse(r, rec)
		if err != nil {
			c.found(objstore.Damage{What: "a record does not parse: " + err.Error()})
			return nil
		}
		in.Bucket = c.s.bucketName(in.bucket)
		if in.Parent != 0 && in.Nlink > 0 {
			d, err := readDirent(r, in.Parent, in.Name)
			if err != nil || (d.file != in.Ino && d.dir != in.Ino) {
				c.damaged(r, in.Parent, in.Name, fmt.Sprintf("its name is lost: inode %d cannot be reached", in.Ino))
			}
		}
		if !in.isObject() {
			return nil
		}
		c.rep.Objects++
		return c.version(r, in, inodeKey(in.Ino))
	})
}

func (c *checker) noncurrent() error {
	return c.each(kNoncurrent, func(r kv.Reader, k, rec []byte) error {
		in, err := c.s.parse(r, rec)
		if err != nil || in.ver == nil {
			c.found(objstore.Damage{What: "the record of an old version does not parse"})
			return nil
		}
		in.Bucket = c.s.bucketName(in.bucket)
		if in.marker {
			return nil
		}
		return c.version(r, in, append([]byte{}, k...))
	})
}

// users checks that each record that is said to use a content is there and uses it.
func (c *checker) users() error {
	return c.each(kRef, func(r kv.Reader, k, _ []byte) error {
		id, holder := k[1:17], k[17:]
		in, err := getInode(r, holder)
		switch {
		case objstore.CodeOf(err) == objstore.IntegrityError && c.gone(holder):
			c.found(objstore.Damage{What: fmt.Sprintf("content %x is said to be used by a record that does not exist", id)})
		case err == nil && (in.ver == nil || string(in.ver.content[:]) != string(id)):
			c.found(objstore.Damage{Key: in.Name, What: fmt.Sprintf("content %x is said to be used by a record that does not use it", id)})
		}
		return nil
	})
}

// version reads every chunk of a version. A key that the KMS refuses leaves it unread.
func (c *checker) version(r kv.Reader, in *inode, holder []byte) error {
	c.rep.Versions++
	report := func(what string) {
		d := objstore.Damage{Bucket: in.Bucket, Key: in.Name, VersionID: in.ver.id, What: what}
		c.foundAt(r, d, in.Parent, in.Name)
		if holder[0] == kInode {
			for _, l := range c.links[in.Ino] {
				c.foundAt(r, d, l.parent, l.name)
			}
		}
	}
	if _, err := r.Get(refKey(in.ver.content, holder)); err != nil {
		report("its content is not accounted for: " + err.Error())
	}
	src, _, err := c.s.openSource(c.ctx, func() (now *inode, err error) {
		err = c.s.db.View(func(r kv.Reader) error {
			now, err = c.s.getInode(r, holder)
			return err
		})
		if err == nil && (now.ver == nil || !now.ver.same(in.ver)) {
			err = errGone
		}
		return now, err
	})
	var refused *kms.Error
	switch {
	case errors.As(err, &refused) && refused.Code != kms.InvalidCiphertextException:
		c.rep.Unread++
		return nil
	case errors.Is(err, errGone) || c.gone(holder):
		return nil // removed while the check ran
	case err != nil:
		report("its data key or record is damaged: " + err.Error())
		return nil
	}
	defer src.close()
	if n, err := countRefs(r, in.ver.content); err != nil {
		return err
	} else if n > 1 {
		c.shared.add(in.ver.content)
	}
	c.chunks(src, in.ver, report)
	return c.ctx.Err()
}

var errGone = errors.New("the version is gone")

// gone reports that a record which a snapshot had is there no more.
func (c *checker) gone(key []byte) bool {
	return errors.Is(c.s.db.View(func(r kv.Reader) error {
		_, err := r.Get(key)
		return err
	}), kv.ErrNotFound)
}

func (c *checker) chunks(src *source, v *version, report func(string)) {
	buf := getBuffer(chunkSize)
	defer putBuffer(buf)
	defer clear(buf)
	bad := 0
	for i := int64(0); c.ctx.Err() == nil; {
		src.mu.Lock()
		e, ok, err := src.m.next(i)
		src.mu.Unlock()
		if err != nil {
			report("its chunk map is damaged: " + err.Error())
			return
		}
		if !ok {
			break
		}
		for i = max(i, e.index); i < e.end() && c.ctx.Err() == nil; i++ {
			if err := c.chunk(src, v, e, i, buf); err == nil {
				continue
			} else if bad++; bad == 1 {
				report(fmt.Sprintf("bytes %d to %d are lost: %v", i*chunkSize, i*chunkSize+int64(e.length(i)), err))
			}
		}
	}
	if bad > 1 {
		report(fmt.Sprintf("%d chunks of %d bytes are lost in all", bad, chunkSize))
	}
}

// chunk opens chunk i of e, unless it was found whole before.
func (c *checker) chunk(src *source, v *version, e extent, i int64, buf []byte) (err error) {
	n := e.length(i)
	if !c.shared.known(v.content, e, i) {
		if n, err = src.chunk(e, i, buf); err != nil {
			return err
		}
	}
	c.shared.learn(v.content, e, i)
	c.rep.Chunks++
	c.rep.Bytes += int64(n)
	c.progress(c.rep.Bytes, c.total)
	return nil
}
