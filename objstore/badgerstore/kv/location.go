package kv

import (
	"encoding/binary"
	"fmt"
)

// location is where a value of PutData lies: in which pack, from which byte on, in how many bytes.
type location struct{ pack, offset, length uint32 }

const locationSize = 12

func (l location) encode() []byte {
	b := make([]byte, 0, locationSize)
	b = binary.BigEndian.AppendUint32(b, l.pack)
	b = binary.BigEndian.AppendUint32(b, l.offset)
	return binary.BigEndian.AppendUint32(b, l.length)
}

func decodeLocation(b []byte) (location, error) {
	if len(b) != locationSize {
		return location{}, fmt.Errorf("location of %d bytes", len(b))
	}
	l := location{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	if l.length > MaxValue+valueOverhead {
		return l, fmt.Errorf("location names a value of %d bytes", l.length)
	}
	return l, nil
}
