package badgerstore

import (
	"encoding/hex"
	"slices"
	"strings"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// inodeVersion begins the records of inodes, old versions and drafts. Those from before (oldinode.go) are read only.
const inodeVersion = 2

const (
	inodeHasVersion = 1 << iota
	inodeImplicit
	inodeMarker
	inodeListed // the version's chunk map has lists of pages
	inodeShort  // they are short ones
	inodeBits   // other bits
)

func (in *inode) flags() (flags byte) {
	if in.implicit {
		flags |= inodeImplicit
	}
	if in.marker {
		flags |= inodeMarker
	}
	if in.ver == nil {
		return flags
	}
	flags |= inodeHasVersion
	if len(in.ver.chunks.lists) > 0 {
		flags |= inodeListed
	}
	if in.ver.chunks.shortLists() {
		flags |= inodeShort
	}
	return flags
}

// goodFlags: lists are part of a version, and short ones are lists.
func goodFlags(layout, flags byte) bool {
	has := func(flag byte) bool { return flags&flag != 0 }
	return flags < inodeBits && (!has(inodeListed) || has(inodeHasVersion)) && (!has(inodeShort) || has(inodeListed) && layout != recordVersion)
}

// marshal gives the record. Its envelope is cut where cut has a stem.
func (in *inode) marshal(cut rest) []byte {
	w := writer{b: make([]byte, 0, 320)}
	w.byte(inodeVersion)
	w.byte(in.flags())
	w.uint(uint64(in.bucket))
	w.uint(uint64(in.Ino))
	w.uint(uint64(in.Parent))
	w.string(in.Name)
	w.uint(uint64(in.hist))
	for _, v := range [...]uint32{in.Mode, in.UID, in.GID, in.Nlink, in.Rdev} {
		w.uint(uint64(v))
	}
	w.time(in.Atime)
	w.timeAfter(in.Mtime, in.Atime)
	w.timeAfter(in.Ctime, in.Mtime)
	w.timeAfter(in.Btime, in.Ctime)
	w.time(in.since)
	w.string(in.Target)
	w.byteMap(in.Xattrs)
	if in.ver != nil {
		in.ver.marshal(&w, in, cut)
	}
	return w.b
}

// unmarshalInode reads a record. Where its envelope was cut, Store.complete puts it together.
func unmarshalInode(b []byte) (*inode, error) {
	r := reader{b: b}
	layout, flags := r.byte(), r.byte()
	if layout != inodeVersion && layout != recordVersion || !goodFlags(layout, flags) {
		return nil, errRecord
	}
	in := &inode{implicit: flags&inodeImplicit != 0, marker: flags&inodeMarker != 0}
	in.bucket = bucketID(r.uint32())
	in.Ino = objstore.Ino(r.uint())
	in.Parent = objstore.Ino(r.uint())
	in.Name = r.string()
	in.hist = histID(r.uint())
	for _, v := range [...]*uint32{&in.Mode, &in.UID, &in.GID, &in.Nlink, &in.Rdev} {
		*v = r.uint32()
	}
	if layout == recordVersion {
		in.oldTimes(&r)
	} else {
		in.times(&r)
	}
	in.since = r.time()
	in.Target = r.string()
	in.Xattrs = r.byteMap()
	switch {
	case flags&inodeHasVersion == 0:
	case layout == recordVersion:
		in.ver = unmarshalOldVersion(&r, flags)
	default:
		in.ver = unmarshalVersion(&r, in, flags)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	in.describe()
	return in, nil
}

func (in *inode) times(r *reader) {
	in.Atime = r.time()
	in.Mtime = r.timeAfter(in.Atime)
	in.Ctime = r.timeAfter(in.Mtime)
	in.Btime = r.timeAfter(in.Ctime)
}

// The bits of a version's form.
const (
	formID        = 1  // the id is that of the number, and 8 bytes more
	formETag      = 2  // the ETag is 16 bytes in hex
	formStem      = 4  // the envelope is cut
	formAlgorithm = 8  // times the number of the algorithm
	formBits      = 32 // other bits
)

// algorithms are those that have a number; that of others is 0.
func algorithms() [4]string { return [...]string{"", kms.SSES3, kms.SSEKMS, kms.SSEDSSE} }

// marshal writes a version as short as it can be.
func (v *version) marshal(w *writer, in *inode, cut rest) {
	tail, shortID := tailOfID(v.id, v.seq)
	etag, shortETag := rawETag(v.etag)
	names := algorithms()
	form := byte(max(slices.Index(names[:], v.env.Algorithm), 0)) * formAlgorithm
	if shortID {
		form |= formID
	}
	if shortETag {
		form |= formETag
	}
	if cut.stem != 0 {
		form |= formStem
	}
	w.byte(form)
	w.uint(v.seq)
	if shortID {
		w.raw(tail)
	} else {
		w.string(string(v.id))
	}
	w.timeAfter(v.created, in.Ctime)
	w.uint(uint64(v.size))
	if shortETag {
		w.raw(etag)
	} else {
		w.string(v.etag)
	}
	if form/formAlgorithm == 0 {
		w.string(v.env.Algorithm)
	}
	marshalEnvelope(w, v.env, cut, in.Name)
	w.raw(v.content[:])
	v.chunks.marshal(w)
	w.raw(v.mac[:])
	w.string(v.contentType)
	w.strings(v.metadata)
}

func unmarshalVersion(r *reader, in *inode, flags byte) *version {
	form := r.byte()
	if form >= formBits {
		r.fail()
		return nil
	}
	v := &version{seq: r.uint()}
	v.id = unmarshalID(r, v.seq, form&formID != 0)
	v.created = r.timeAfter(in.Ctime)
	if v.size = int64(r.uint()); v.size < 0 {
		r.fail()
	}
	v.etag = unmarshalETag(r, form&formETag != 0)
	v.env.Algorithm = unmarshalAlgorithm(r, form/formAlgorithm)
	if form&formStem != 0 {
		v.rest = unmarshalRest(r, in.Name)
	} else {
		v.env.KeyARN, v.env.BucketKey, v.env.ResourceARN, v.env.Blob = r.string(), r.bool(), r.string(), r.bytes()
	}
	v.env.Context, v.env.Wrapped = r.strings(), r.bytes()
	v.unmarshalEnd(r, flags)
	return v
}

// unmarshalEnd reads what stands behind the envelope in both layouts.
func (v *version) unmarshalEnd(r *reader, flags byte) {
	copy(v.content[:], r.raw(16))
	v.chunks = unmarshalChunks(r, flags)
	copy(v.mac[:], r.raw(32))
	v.contentType = r.string()
	v.metadata = r.strings()
}

// A record has one encoding only: what has a short form must not be long.

func unmarshalID(r *reader, seq uint64, short bool) objstore.VersionID {
	if short {
		return versionID(seq, r.raw(idTail))
	}
	id := objstore.VersionID(r.string())
	if _, ok := tailOfID(id, seq); ok {
		r.fail()
	}
	return id
}

func unmarshalETag(r *reader, short bool) string {
	if short {
		var etag [32]byte
		hex.Encode(etag[:], r.raw(16))
		return string(etag[:])
	}
	etag := r.string()
	if _, ok := rawETag(etag); ok {
		r.fail()
	}
	return etag
}

// rawETag is what an ETag of 16 bytes stands for.
func rawETag(etag string) ([]byte, bool) {
	raw, err := hex.DecodeString(etag)
	return raw, err == nil && len(raw) == 16 && hex.EncodeToString(raw) == etag
}

func unmarshalAlgorithm(r *reader, n byte) string {
	names := algorithms()
	if n > 0 {
		return names[n]
	}
	name := r.string()
	if slices.Contains(names[1:], name) {
		r.fail()
	}
	return name
}

// marshalEnvelope writes all but the algorithm.
func marshalEnvelope(w *writer, e kms.Envelope, cut rest, name string) {
	if cut.stem != 0 {
		cut.marshal(w, name)
	} else {
		w.string(e.KeyARN)
		w.bool(e.BucketKey)
		w.string(e.ResourceARN)
		w.bytes(e.Blob)
	}
	w.strings(e.Context)
	w.bytes(e.Wrapped)
}

// marshal writes what an envelope has instead of its beginning. The resource ends with the name of the file, as a rule.
func (c rest) marshal(w *writer, name string) {
	resource, named := c.resource, false
	if name != "" {
		resource, named = strings.CutSuffix(resource, name)
	}
	w.uint(c.stem)
	w.bool(named)
	w.string(resource)
	w.bytes(c.blob)
}

func unmarshalRest(r *reader, name string) rest {
	c := rest{stem: r.uint()}
	named := r.bool()
	c.resource, c.blob = r.string(), r.bytes()
	if c.stem == 0 || name == "" && named || name != "" && !named && strings.HasSuffix(c.resource, name) {
		r.fail()
	}
	if named {
		c.resource += name
	}
	return c
}
