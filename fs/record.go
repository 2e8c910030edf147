package fs

import (
	"context"
	"errors"

	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/xattr"
)

// Recorder keeps the records of uses of objects. When it fails the use is answered as failed: an open is refused, a change
// is done all the same.
type Recorder interface {
	RecordObject(ctx context.Context, u kms.ObjectUse) error
}

// record completes u and passes it to r, which may be nil.
func record(ctx context.Context, r Recorder, u kms.ObjectUse, err error) error {
	if r == nil || u.Bucket == "" {
		return nil
	}
	u.Code, u.Message = objectCode(err)
	return r.RecordObject(ctx, u)
}

// objectCode is a failure in S3's words, "" for none.
func objectCode(err error) (code, message string) {
	if err == nil {
		return "", ""
	}
	var fromKMS kms.Code
	var fromStore objstore.Code
	switch {
	case errors.As(err, &fromKMS) && fromKMS == kms.AccessDeniedException:
		code = string(objstore.AccessDenied)
	case errors.As(err, &fromKMS):
		code = "KMS." + string(fromKMS)
	case errors.As(err, &fromStore):
		code = string(fromStore)
	default:
		code = string(objstore.InternalError)
	}
	return code, err.Error()
}

// recordOpen records an open for reading, and one for writing that was refused: what is written is recorded when it is an
// object.
func (v *View) recordOpen(ctx context.Context, ino objstore.Ino, flags OpenFlags, err error) error {
	op, to := kms.OpGetObject, v.fs.opt.Reads
	if flags.NoRead {
		if op, to = kms.OpPutObject, v.fs.opt.Writes; err == nil {
			return nil
		}
	}
	if to == nil {
		return nil
	}
	u := v.objectOf(ctx, ino)
	u.Operation = op
	return record(ctx, to, u, err)
}

// objectOf names the object, or the old version, behind ino. A file that has no name any more has no bucket here.
func (v *View) objectOf(ctx context.Context, ino objstore.Ino) (u kms.ObjectUse) {
	if k, ok := v.virtual.find(ino); ok && isVirtual(ino) && k.kind == versionFile {
		if n, err := v.fs.tree.VersionNode(ctx, k.dir, k.name, k.version); err == nil {
			u = useOf(n)
		}
		u.Bucket, u.Key = v.fs.child(ctx, k.dir, k.name)
		return u
	}
	n, err := v.fs.tree.Node(ctx, ino)
	if err != nil {
		return u
	}
	u = useOf(n)
	if u.Bucket, u.Key, err = v.fs.tree.PathOf(ctx, ino); err != nil {
		return kms.ObjectUse{}
	}
	return u
}

// useOf says how n is encrypted.
func useOf(n *objstore.Node) kms.ObjectUse {
	own := xattr.FromXattrs(n.Xattrs)
	return kms.ObjectUse{
		VersionID: string(n.VersionID), Algorithm: string(n.Stored.Algorithm), KeyARN: n.Stored.KeyID,
		Inherited: own.SSE == "" && own.KeyID == "",
	}
}

// child is bucket and key of a name in the directory dir.
func (f *FS) child(ctx context.Context, dir objstore.Ino, name string) (bucket, key string) {
	bucket, key, err := f.tree.PathOf(ctx, dir)
	if err != nil {
		return "", ""
	}
	return bucket, key + name
}

// recordPut records that ino's content, or a new node that has none, became the version that node shows, or that it could
// not: node is nil then.
func (f *FS) recordPut(ctx context.Context, ino objstore.Ino, node *objstore.Node, err error) error {
	if f.opt.Writes == nil {
		return nil
	}
	var u kms.ObjectUse
	if node != nil {
		u = useOf(node)
		u.BytesIn = node.Size
	}
	u.Operation = kms.OpPutObject
	var perr error
	if u.Bucket, u.Key, perr = f.tree.PathOf(ctx, ino); perr != nil {
		return nil // it lost its name meanwhile: there is no object
	}
	return record(ctx, f.opt.Writes, u, err)
}

// keyFor is the key of node under a name; "" where nobody wants to know.
func (f *FS) keyFor(ctx context.Context, node *objstore.Node, parent objstore.Ino, name string) string {
	if f.opt.Writes == nil {
		return ""
	}
	_, key := f.child(ctx, parent, name)
	if node.Mode&sIFMT == sIFDIR {
		key += "/"
	}
	return key
}

// recordNamed records what was done, or refused, with a name of node. source is its key before, of a copy or rename.
func (f *FS) recordNamed(ctx context.Context, op kms.Operation, node *objstore.Node, parent objstore.Ino, name, source string, err error) error {
	if f.opt.Writes == nil {
		return nil
	}
	bucket, _ := f.child(ctx, parent, name)
	u := kms.ObjectUse{Operation: op, Bucket: bucket, Key: f.keyFor(ctx, node, parent, name), SourceKey: source}
	return record(ctx, f.opt.Writes, u, err)
}

// recordLink records one more name of node as the copy that S3 would make of it.
func (f *FS) recordLink(ctx context.Context, node *objstore.Node, parent objstore.Ino, name string) error {
	if f.opt.Writes == nil {
		return nil
	}
	_, source, err := f.tree.PathOf(ctx, node.Ino)
	if err != nil {
		source = ""
	}
	return f.recordNamed(ctx, kms.OpCopyObject, node, parent, name, source, nil)
}
