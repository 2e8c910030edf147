package backup

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
)

const streamMagic = "KMSFSBAK"

// NewStream begins a backup into one file or pipe. The caller makes w durable after Finish.
func NewStream(w io.Writer, head Head, keys *Keys, run Run) (*Writer, error) {
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(framed(streamMagic, text)); err != nil {
		return nil, err
	}
	return newWriter(streamPlace{w}, keys, head, run, newIndex(), defaultPack), nil
}

type streamPlace struct{ w io.Writer }

func (t streamPlace) write(parts ...[]byte) error {
	var n uint64
	for _, p := range parts {
		n += uint64(len(p))
	}
	for _, p := range append([][]byte{binary.BigEndian.AppendUint64(nil, n)}, parts...) {
		if _, err := t.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (t streamPlace) pack(_ string, head, body []byte) error { return t.write(head, body) }

func (t streamPlace) point(_ *Point, b []byte) error {
	return errors.Join(t.write(), t.write(b))
}

func (t streamPlace) blobs(*Keys, string, func(entry, []byte) error) error {
	return errors.New("a stream has no earlier packs")
}
