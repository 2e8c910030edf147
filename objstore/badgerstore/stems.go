package badgerstore

import (
	"errors"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/objstore/badgerstore/kv"
)

// Most envelopes of a store begin alike: one KMS key, one bucket, and a ciphertext blob that names key and material first; those under
// one bucket-level key have even all of that in common. Such a stem stands in a record of its own, in two places, for much hangs on it.
// Records of versions name it by its number, and have the rest.

// stem is what envelopes have in common: the key ARN, and what resource ARN and blob begin with.
type stem struct {
	keyARN    string
	bucketKey bool // resource and blob are whole
	resource  string
	blob      []byte
}

func (m stem) marshal() []byte {
	w := writer{b: make([]byte, 0, 320)}
	w.byte(recordVersion)
	w.string(m.keyARN)
	w.bool(m.bucketKey)
	w.string(m.resource)
	w.bytes(m.blob)
	return w.b
}

func unmarshalStem(b []byte) (stem, error) {
	r := reader{b: b}
	if r.byte() != recordVersion {
		return stem{}, errRecord
	}
	m := stem{r.string(), r.bool(), r.string(), r.bytes()}
	return m, r.end()
}

// rest is an envelope without its stem.
type rest struct {
	stem     uint64 // its number; 0: the envelope has none, or is complete
	resource string
	blob     []byte
}

// cut takes the stem off an envelope that has it.
func (m stem) cut(no uint64, e kms.Envelope) rest {
	return rest{no, e.ResourceARN[len(m.resource):], e.Blob[len(m.blob):]}
}

// parse reads the record of an inode, an old version or a draft.
func (s *Store) parse(r getter, rec []byte) (*inode, error) {
	in, err := unmarshalInode(rec)
	if err == nil {
		err = s.complete(r, in)
	}
	return in, err
}

// complete puts an envelope together that was cut. If its stem is damaged or lost in both places, it stays as it is: the file has lost its
// data key, and nothing else.
func (s *Store) complete(r getter, in *inode) error {
	if in.ver == nil || in.ver.rest.stem == 0 {
		return nil
	}
	cut := in.ver.rest
	m, ok := s.stems.get(cut.stem)
	if !ok {
		var err error
		if m, err = readStem(r, cut.stem); objstore.CodeOf(err) == objstore.IntegrityError {
			return nil
		} else if err != nil {
			return err
		}
		if _, changing := r.(*txn); !changing { // a change may see what it will not make
			s.stems.learn(cut.stem, m)
		}
	}
	e := &in.ver.env
	e.KeyARN, e.BucketKey, e.Blob = m.keyARN, m.bucketKey, m.blob
	if len(cut.blob) > 0 {
		e.Blob = append(append(make([]byte, 0, len(m.blob)+len(cut.blob)), m.blob...), cut.blob...)
	}
	e.ResourceARN = m.resource + cut.resource
	in.ver.rest = rest{}
	in.Stored = storedSettings(*e)
	return nil
}

// readStem reads a stem from the first place where it is whole; the error is IntegrityError where none is.
func readStem(r getter, no uint64) (m stem, err error) {
	for _, kind := range stemPlaces() {
		rec, gerr := r.Get(stemKey(kind, no))
		var corrupt *kv.CorruptError
		switch {
		case gerr == nil:
			if m, gerr = unmarshalStem(rec); gerr == nil {
				return m, nil
			}
		case !errors.Is(gerr, kv.ErrNotFound) && !errors.As(gerr, &corrupt):
			return m, gerr
		}
	}
	return m, objstore.IntegrityError
}

// keyless reports a version that has lost its data key with the stem of its envelope.
func (v *version) keyless() bool { return v.rest.stem != 0 }

// errKeyless is what opening such a version gives.
var errKeyless = &objstore.Error{Code: objstore.IntegrityError,
	Message: "a record that many data keys need was damaged, and its copy too; the file's is lost: restore the file, or the store, from a backup"}

// putInode writes the record of an inode, an old version or a draft.
func (t *txn) putInode(key []byte, in *inode) error {
	var cut rest
	if in.ver != nil {
		var err error
		if cut, err = t.cut(in.ver); err != nil {
			return err
		}
	}
	t.Put(key, in.marshal(cut))
	return nil
}

// cut takes the stem off the envelope of a version, where it has one.
func (t *txn) cut(v *version) (rest, error) {
	if v.keyless() || v.env.KeyARN == "" {
		return v.rest, nil
	}
	for no, m := range t.stems {
		if m.fits(v.env) {
			return m.cut(no, v.env), nil
		}
	}
	no, m, fresh := t.s.stems.find(v.env, v.content)
	if fresh {
		var err error
		if no, err = t.newStem(m); err != nil {
			return rest{}, err
		}
	}
	if no == 0 {
		return rest{}, nil
	}
	return m.cut(no, v.env), nil
}

// newStem writes a stem. Its number has no record, whatever has become of the counter.
func (t *txn) newStem(m stem) (no uint64, err error) {
	for free := false; !free; {
		if no, err = t.take(stemCounter); err == nil {
			free, err = t.freeStem(no)
		}
		if err != nil {
			return 0, err
		}
	}
	for _, kind := range stemPlaces() {
		t.Put(stemKey(kind, no), m.marshal())
	}
	if t.stems == nil {
		t.stems = map[uint64]stem{}
	}
	t.stems[no] = m
	t.after(func() { t.s.stems.learn(no, m) })
	return no, nil
}

// freeStem reports that no record has a number, damaged ones included.
func (t *txn) freeStem(no uint64) (bool, error) {
	for _, kind := range stemPlaces() {
		_, err := t.Get(stemKey(kind, no))
		var corrupt *kv.CorruptError
		switch {
		case err == nil || errors.As(err, &corrupt):
			return false, nil
		case !errors.Is(err, kv.ErrNotFound):
			return false, err
		}
	}
	return true, nil
}

// stemCounter numbers stems.
const stemCounter = "stem"

// stemPlaces are the two places of a stem.
func stemPlaces() [2]byte { return [2]byte{kStem, kStemCopy} }

func stemKey(kind byte, no uint64) []byte { return key8(kind, no) }
