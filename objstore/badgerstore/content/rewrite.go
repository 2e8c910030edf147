package content

import (
	"errors"
	"fmt"
	"io"
)

// errLost says that appended bytes cannot be read back.
var errLost = errors.New("written bytes are lost")

// span is a range of a file.
type span struct{ from, to int64 }

// spans are ranges in the order in which they were written.
type spans []span

// add appends n bytes at off.
func (s spans) add(off, n int64) spans {
	if n == 0 {
		return s
	}
	if k := len(s) - 1; k >= 0 && s[k].to == off {
		s[k].to = off + n
		return s
	}
	return append(s, span{off, off + n})
}

// cut is s without [from, to).
func (s spans) cut(from, to int64) spans {
	var rest spans
	for _, p := range s {
		if p.from < min(p.to, from) {
			rest = append(rest, span{p.from, min(p.to, from)})
		}
		if max(p.from, to) < p.to {
			rest = append(rest, span{max(p.from, to), p.to})
		}
	}
	return rest
}

const (
	pageBytes    = 4096
	rewriteBytes = 1 << 20
	// certainBytes is how many zeros in a row are no ciphertext.
	certainBytes = 16
)

// rewrite is for a file whose fdatasync failed. The kernel may call pages clean then that never reached the disk: another
// fdatasync would report success over lost bytes. So they are read, mostly from the kernel's memory, and written again.
//
// A page that the kernel has dropped since reads as zeros, because no slot is written twice; that is errLost. Fewer than
// certainBytes of a page may go unnoticed: a reader will find that the chunk is damaged.
func (f *file) rewrite(appended spans) error {
	buf := make([]byte, rewriteBytes)
	for _, p := range appended {
		for off := p.from; off < p.to; {
			n := min(p.to-off, rewriteBytes-off%pageBytes)
			b := buf[:n]
			if _, err := f.h.ReadAt(b, off); errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: the file ends before byte %d", errLost, off+n)
			} else if err != nil {
				return err
			}
			if at := dropped(b, off); at >= 0 {
				return fmt.Errorf("%w: from byte %d on", errLost, off+at)
			}
			if _, err := f.h.WriteAt(b, off); err != nil {
				return err
			}
			off += n
		}
	}
	return nil
}

// dropped is where in b, which lies at off of its file, the first page begins that has only zeros; -1: there is none.
func dropped(b []byte, off int64) int64 {
	for i := int64(0); i < int64(len(b)); {
		n := min(int64(len(b))-i, pageBytes-(off+i)%pageBytes)
		if n >= certainBytes && zeros(b[i:i+n]) {
			return i
		}
		i += n
	}
	return -1
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
