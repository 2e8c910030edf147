package badgerstore

import (
	"bytes"
	"context"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// ResolveEncryption gives enc as it would be stored: the KMS key as ARN. The key has to be usable for encryption.
func (s *Store) ResolveEncryption(ctx context.Context, enc objstore.Encryption) (objstore.Encryption, error) {
	switch enc.Algorithm {
	case "", objstore.AES256:
		return objstore.Encryption{Algorithm: objstore.AES256}, nil
	case objstore.KMS, objstore.DSSE:
	default:
		return enc, fail(objstore.InvalidArgument, "The encryption method specified is not supported")
	}
	m, err := s.kms.ResolveKey(ctx, enc.KeyID)
	if err != nil {
		return enc, err
	}
	enc.KeyID = m.ARN
	enc.BucketKey = enc.BucketKey && enc.Algorithm == objstore.KMS
	if len(enc.Context) == 0 {
		enc.Context = nil
	}
	return enc, nil
}

// Rewrap wraps the data key of the current version anew. No data moves and no version is made.
func (s *Store) Rewrap(ctx context.Context, ino objstore.Ino, enc objstore.Encryption) error {
	enc, err := s.ResolveEncryption(ctx, enc)
	if err != nil {
		return wrap("Rewrap", err)
	}
	in, err := s.cachedInode(ino)
	if err != nil {
		return wrap("Rewrap", err)
	}
	if in.ver == nil {
		return fail(objstore.InvalidRequest, "nothing has been written to the file yet")
	}
	if in.ver.keyless() {
		return errKeyless
	}
	bucket, key, err := s.PathOf(ctx, ino)
	if err != nil {
		return err
	}
	env, err := s.kms.RewrapDataKey(ctx, in.ver.env, envelopeRequest(bucket, key, enc))
	if err != nil {
		return wrap("Rewrap", err)
	}
	mac, err := s.macUnder(ctx, in.ver, env)
	if err != nil {
		return wrap("Rewrap", err)
	}
	return s.update("Rewrap", func(t *txn) error {
		now, err := t.edit(ino)
		if err != nil {
			return err
		}
		if !now.ver.same(in.ver) {
			return fail(objstore.PreconditionFailed, "the file was rewritten meanwhile: try again")
		}
		v := *now.ver
		v.env, v.mac = env, mac
		now.ver = &v
		now.Ctime = t.now
		return nil
	})
}

// macUnder gives the MAC of a version whose settings may change with its envelope. The data key stays the same, and is
// not needed where the MAC does too.
func (s *Store) macUnder(ctx context.Context, v *version, env kms.Envelope) ([32]byte, error) {
	if env.Algorithm == v.env.Algorithm && bytes.Equal(env.Context.Canonical(), v.env.Context.Canonical()) {
		return v.mac, nil
	}
	src := s.sourceOf(v)
	s.hold(src.id, src)
	if err := src.unlock(ctx, v); err != nil {
		return v.mac, err
	}
	defer src.close()
	changed := *v
	changed.env = env
	return src.cipher.MAC(changed.macInput()), nil
}
