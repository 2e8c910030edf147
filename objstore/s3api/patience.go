package s3api

import (
	"io"
	"net/http"
	"slices"
	"time"
)

// step is how many bytes a client has to send or take within the handler's patience.
const step = 64 << 10

// patience bounds how slow a client may be, instead of the server's limits for whole requests: an object may be long.
type patience struct {
	c    *http.ResponseController
	each time.Duration
}

// newPatience takes the server's limits away. A body that nobody reads is waited for no longer than one that is read; without a
// body a deadline would end the request while the store works. A recorder of tests has no deadlines.
func newPatience(w http.ResponseWriter, r *http.Request, each time.Duration) *patience {
	p := &patience{http.NewResponseController(w), each}
	end := time.Time{}
	if r.ContentLength != 0 {
		end = time.Now().Add(each)
	}
	_ = p.c.SetReadDeadline(end)
	_ = p.c.SetWriteDeadline(time.Time{})
	return p
}

// renew gives the client time to take the next step.
func (p *patience) renew() { _ = p.c.SetWriteDeadline(time.Now().Add(p.each)) }

// write sends b, and reports whether the client took it.
func (p *patience) write(w io.Writer, b []byte) bool {
	for part := range slices.Chunk(b, step) {
		p.renew()
		if _, err := w.Write(part); err != nil {
			return false
		}
	}
	return true
}

// patientReader gives the client time for each step of a body. When the body has ended nobody waits for the client: a deadline
// that passes then would end the request.
type patientReader struct {
	p    *patience
	r    io.Reader
	left int // of the step
}

func (r *patientReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		_ = r.p.c.SetReadDeadline(time.Now().Add(r.p.each))
		r.left = step
	}
	n, err := r.r.Read(b)
	r.left -= n
	if err == io.EOF { //nolint:errorlint // io.Reader's
		_ = r.p.c.SetReadDeadline(time.Time{})
	}
	return n, err
}
