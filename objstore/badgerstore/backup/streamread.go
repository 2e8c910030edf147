package backup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// stream reads a backup that comes in one piece.
type stream struct {
	r     *bufio.Reader
	packs []string
}

// maxPart bounds what a damaged length can make the reader ask for.
const maxPart = 2 << 30

func openStream(name string, in io.Reader, size int64) (*Source, error) {
	s := &Source{name: name, in: &stream{r: bufio.NewReaderSize(in, 1<<20)}, total: size}
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(s.in.r, head); err != nil {
		return nil, fmt.Errorf("%s: %w", name, ErrNotBackup)
	}
	n, err := parseFrame(streamMagic, head)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	text, err := s.in.read(int64(n))
	if err == nil {
		err = json.Unmarshal(text, &s.Head)
	}
	return s, damaged(name, err)
}

// read reads n bytes; memory grows with what comes, not with what was promised.
func (t *stream) read(n int64) ([]byte, error) {
	var b bytes.Buffer
	if n <= 2*defaultPack {
		b.Grow(int(n))
	}
	if _, err := io.CopyN(&b, t.r, n); err != nil {
		return nil, cutShort(err)
	}
	return b.Bytes(), nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}

func (t *stream) part() ([]byte, error) {
	var n [8]byte
	if _, err := io.ReadFull(t.r, n[:]); err != nil {
		return nil, cutShort(err)
	}
	size := binary.BigEndian.Uint64(n[:])
	if size > maxPart {
		return nil, fmt.Errorf("a part of it cannot have %d bytes", size)
	}
	return t.read(int64(size))
}

// eachPack reads all packs, then the point, which has to name them.
func (s *Source) eachPack(ctx context.Context, fn func(b []byte) error) (*Point, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := s.in.part()
		if err != nil {
			return nil, damaged(s.name, err)
		}
		if len(b) == 0 {
			break
		}
		s.in.packs = append(s.in.packs, packName(b))
		if err := fn(b); err != nil {
			return nil, err
		}
		s.advance(int64(len(b)))
	}
	p, err := s.lastPart()
	return p, damaged(s.name, err)
}

func (s *Source) lastPart() (*Point, error) {
	b, err := s.in.part()
	if err != nil {
		return nil, err
	}
	p, err := parsePoint("", b)
	if err != nil {
		return nil, err
	}
	if _, err := s.in.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	if !slices.Equal(p.Packs, s.in.packs) {
		return nil, errors.New("its packs are not those that it names: they were changed")
	}
	if p.Store != s.Store || p.Check != s.Check {
		return nil, errors.New("its end is of another store than its beginning")
	}
	return p, nil
}

func (s *Source) walkStream(ctx context.Context, keys *Keys, v Visitor) (*Point, error) {
	w := streamWalk{s: s, keys: keys, v: v}
	p, err := s.eachPack(ctx, w.pack)
	if err != nil {
		return nil, err
	}
	if !w.slots {
		if err := v.PagesDone(); err != nil {
			return nil, err
		}
	}
	if err := p.open(keys); err != nil {
		return nil, damaged(s.name, err)
	}
	if !slices.Equal(p.pages, w.pages) {
		return nil, damaged(s.name, errors.New("its pages are not those that it names"))
	}
	return p, nil
}

// streamWalk gives the packs of a stream to a visitor as they come.
type streamWalk struct {
	s     *Source
	keys  *Keys
	v     Visitor
	pages [][idSize]byte
	slots bool // the pages are through
}

func (w *streamWalk) pack(b []byte) error {
	p, err := w.keys.parsePack(b)
	if err != nil {
		return damaged(w.s.name, err)
	}
	return p.each(func(e entry, blob []byte) error {
		if e.kind != kindPage {
			if !w.slots {
				w.slots = true
				if err := w.v.PagesDone(); err != nil {
					return err
				}
			}
			return w.v.Slots(e.slots(), blob)
		}
		if w.slots {
			return damaged(w.s.name, errors.New("it has pages behind its slots"))
		}
		plain, err := w.keys.openPage(e.key, blob)
		if err != nil {
			return damaged(w.s.name, err)
		}
		w.pages = append(w.pages, e.key)
		return w.v.Page(plain)
	})
}
