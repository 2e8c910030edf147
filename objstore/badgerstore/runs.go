package badgerstore

import (
	"slices"

	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// Files that were made one after another have numbers, and so records, that lie next to each other. A listing reads such a
// run in one scan: looking up each costs several times as much.
const (
	runGap   = 4  // numbers between two inodes of a run, at most
	runLeast = 4  // inodes, below which they are looked up
	runAhead = 96 // records behind the run of a listing's page that are read for the next one
)

// inodes reads the records of a page of a listing. Those that are damaged or missing are left out.
func (s *Store) inodes(r snapshot, page []objstore.DirEntry) map[objstore.Ino]*inode {
	found := make(map[objstore.Ino]*inode, len(page))
	var missing []objstore.Ino
	for _, e := range page {
		if in, _ := s.nodes.get(e.Ino); in != nil {
			found[e.Ino] = in
		} else {
			missing = append(missing, e.Ino)
		}
	}
	slices.Sort(missing)
	for len(missing) > 0 {
		n := runOf(missing)
		if n < runLeast || s.readRun(r, missing[:n], found) != nil {
			s.readEach(r, missing[:n], found)
		}
		missing = missing[n:]
	}
	return found
}

// runOf is how many of the ascending inos at the beginning are a run.
func runOf(inos []objstore.Ino) int {
	n := 1
	for n < len(inos) && inos[n]-inos[n-1] <= runGap {
		n++
	}
	return n
}

func (s *Store) readEach(r snapshot, inos []objstore.Ino, found map[objstore.Ino]*inode) {
	for _, ino := range inos {
		if in, err := s.inode(r, ino); err == nil {
			found[ino] = in
		}
	}
}

// readRun reads from the first to the last ino, and some behind a run that is likely to go on, for the cache.
func (s *Store) readRun(r snapshot, run []objstore.Ino, found map[objstore.Ino]*inode) error {
	last := run[len(run)-1]
	ahead := 0
	if len(run) >= runAhead/8 {
		ahead = runAhead
	}
	return r.Ascend(inodeKey(run[0]), []byte{kInode + 1}, func(k, rec []byte) (bool, error) {
		ino := inoOf(k)
		if ino > last {
			if ahead--; ahead < 0 || ino-last > runGap*runAhead {
				return false, nil
			}
		}
		if in, err := s.decoded(r, rec); err == nil {
			s.nodes.fill(ino, in, r.epoch)
			if ino <= last {
				found[ino] = in
			}
		}
		return true, nil
	})
}

func (s *Store) decoded(r getter, rec []byte) (*inode, error) {
	in, err := s.parse(r, rec)
	if err == nil {
		in.Bucket = s.bucketName(in.bucket)
	}
	return in, err
}

// direntPage reads a page of names, as far as they are names for a mount. The types of files that are no directories are to be told.
func direntPage(r kv.Reader, dir objstore.Ino, behind string, limit int) (out []objstore.DirEntry, err error) {
	prefix := direntKey(dir, "")
	from := prefix
	if behind != "" {
		from = direntKey(dir, behind+"\x00")
	}
	err = r.Ascend(from, after(prefix), func(k, v []byte) (bool, error) {
		name := string(k[len(prefix):])
		if checkName(name) != nil { // the mount cannot show it
			return true, nil
		}
		d, err := unmarshalDirent(v)
		if err != nil {
			return false, err
		}
		e := objstore.DirEntry{Name: name, Ino: d.node(), Type: sIFREG}
		if d.dir != 0 {
			e.Type = sIFDIR
		}
		out = append(out, e)
		return len(out) < limit, nil
	})
	return out, err
}
