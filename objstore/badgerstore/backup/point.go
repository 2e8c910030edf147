package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Head says which store a backup is of. Files are sealed files of the store's directory that are needed beside the root
// key to open the store.
type Head struct {
	Store string
	Check string
	Files map[string][]byte `json:",omitempty"`
}

// Point describes one backup.
type Point struct {
	Head
	Name    string `json:"-"`
	Run     string // hex
	Created time.Time
	Packs   []string
	Size    int64 // bytes of all packs
	Added   int64 // bytes of packs that this backup wrote
	Lost    int64 `json:",omitempty"` // records and chunks that could not be read

	pages  [][idSize]byte
	clear  []byte // with what stands before
	sealed []byte
}

const (
	pointMagic = "KMSFSPNT"
	labelPoint = "kmsfs backup point v1"
	timeFormat = "20060102T150405.000Z"
	maxClear   = 1 << 30 // bytes of the clear part
)

// pointName sorts by time, in which no two points of a repository are the same.
func pointName(created time.Time, run Run) string {
	return created.UTC().Format(timeFormat) + "-" + hex.EncodeToString(run[:4])
}

// encode is the file of a point.
func (p *Point) encode(k *Keys) ([]byte, error) {
	plain := make([]byte, 0, len(p.pages)*idSize)
	for _, id := range p.pages {
		plain = append(plain, id[:]...)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	b := framed(pointMagic, text)
	sealed, err := k.sealed(labelPoint, plain, b)
	if err != nil {
		return nil, err
	}
	b = append(b, sealed...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// framed puts magic, version and length before text.
func framed(magic string, text []byte) []byte {
	b := append([]byte(magic), 0, 0, 0, version)
	b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
	return append(b, text...)
}

const frameHead = 16

// parseFrame reads magic, version and length.
func parseFrame(magic string, b []byte) (n int, err error) {
	if len(b) < frameHead || string(b[:8]) != magic {
		return 0, ErrNotBackup
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != version {
		return 0, otherVersion(v)
	}
	if n := binary.BigEndian.Uint32(b[12:]); n <= maxClear {
		return int(n), nil
	}
	return 0, errors.New("it is too long")
}

// parsePoint reads what can be read without keys.
func parsePoint(name string, b []byte) (*Point, error) {
	n, err := parseFrame(pointMagic, b)
	if err != nil {
		return nil, err
	}
	end := len(b) - sha256.Size
	if end < frameHead+n {
		return nil, errors.New("it is cut short")
	}
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, errors.New("its checksum is wrong")
	}
	p := &Point{Name: name, clear: b[:frameHead+n], sealed: b[frameHead+n : end]}
	if err := json.Unmarshal(b[frameHead:frameHead+n], p); err != nil {
		return nil, err
	}
	for _, pack := range p.Packs {
		if !validPackName(pack) {
			return nil, fmt.Errorf("%q is no name of a pack", pack)
		}
	}
	return p, nil
}

func validPackName(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// open authenticates the point and reads its pages.
func (p *Point) open(k *Keys) error {
	plain, err := k.open(labelPoint, p.sealed, p.clear)
	if err != nil {
		return err
	}
	if len(plain)%idSize != 0 {
		return fmt.Errorf("it has pages of %d bytes", len(plain))
	}
	p.pages = nil
	for ; len(plain) > 0; plain = plain[idSize:] {
		p.pages = append(p.pages, [idSize]byte(plain))
	}
	return nil
}

// run is the point's run.
func (p *Point) run() (r Run, err error) {
	b, err := hex.DecodeString(p.Run)
	if err != nil || len(b) != len(r) {
		return r, errors.New("its run does not parse")
	}
	return Run(b), nil
}
