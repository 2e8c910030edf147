package s3api

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"

	"kmsfs/objstore"
)

// block is how many bytes of an object are read at a time: several chunks of the store, which opens them side by side.
const block = 512 << 10

// stream is a part of an object on its way to the client.
type stream struct {
	r      objstore.Reader
	off, n int64
	first  []byte // read ahead, so that what cannot be read is answered as an error
}

func (s *stream) close() { _ = s.r.Close() } // it only read

// read reads what comes first.
func (s *stream) read() error {
	if s.n == 0 {
		return nil
	}
	s.first = make([]byte, min(s.n, block))
	n, err := s.r.ReadAt(s.first, s.off)
	if n == len(s.first) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrNoProgress // the version is shorter than its record says
	}
	return &refusal{code: internalError, err: err}
}

// send writes the part. After an error the client has less than the header announced, and knows.
func (s *stream) send(w io.Writer, p *patience) error {
	defer clear(s.first)
	buf, at := s.first, s.off
	for left := s.n; left > 0; {
		if !p.write(w, buf) {
			return nil // the client is gone
		}
		at, left = at+int64(len(buf)), left-int64(len(buf))
		buf = s.first[:min(left, int64(len(s.first)))]
		if n, err := s.r.ReadAt(buf, at); n < len(buf) {
			return errors.Join(err, io.ErrUnexpectedEOF)
		}
	}
	return nil
}

// prepare does what can still fail before anything is sent.
func (out *response) prepare() error {
	switch {
	case out.object != nil:
		return out.object.read()
	case out.xml != nil:
		text, err := xml.Marshal(out.xml)
		if err != nil {
			return &refusal{code: internalError, err: err}
		}
		out.xml = append([]byte(xml.Header), text...)
	}
	return nil
}

// write sends a prepared answer. The error is of the store, in the middle of an object.
func (out *response) write(w http.ResponseWriter, method string, p *patience) error {
	text, _ := out.xml.([]byte)
	header := w.Header()
	switch {
	case text != nil:
		header.Set("Content-Type", "application/xml")
		header.Set("Content-Length", strconv.Itoa(len(text)))
	case out.object == nil && method != http.MethodHead && out.status != http.StatusNoContent:
		header.Set("Content-Length", "0")
	}
	if out.status == 0 {
		out.status = http.StatusOK
	}
	w.WriteHeader(out.status)
	if out.object != nil {
		return out.object.send(w, p)
	}
	_, _ = w.Write(text)
	return nil
}
