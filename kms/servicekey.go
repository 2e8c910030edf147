package kms

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// labelServiceKey is of [Seal].
const labelServiceKey = "kmsfs sse-s3 wrap v1"

// serviceVersionSize is the length of the version in front of a data key that a service key wraps.
const serviceVersionSize = 4

// serviceKeys wrap the data keys of SSE-S3. Without any, SSE-S3 is not set up, or closed.
type serviceKeys struct {
	newest uint32
	keys   map[uint32][]byte
}

func newServiceKeys(from map[uint32][]byte) serviceKeys {
	s := serviceKeys{keys: map[uint32][]byte{}}
	for version, key := range from {
		s.keys[version] = bytes.Clone(key)
		s.newest = max(s.newest, version)
	}
	return s
}

func (s *serviceKeys) wipe() {
	for _, key := range s.keys {
		Wipe(key)
	}
	s.keys = nil
}

// wrapByService is SSE-S3: no KMS key, so no audit record, and nothing that a rename would have to change.
func (s *Service) wrapByService(key []byte) (Envelope, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	wrapping := s.serviceKeys.keys[s.serviceKeys.newest]
	if len(wrapping) != KeySize {
		return Envelope{}, errNoServiceKey
	}
	version := binary.BigEndian.AppendUint32(nil, s.serviceKeys.newest)
	return Envelope{Algorithm: SSES3, Blob: Seal(bytes.Clone(version), wrapping, labelServiceKey, version, key)}, nil
}

func (s *Service) openByService(env Envelope) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.serviceKeys.keys) == 0 {
		return nil, errNoServiceKey
	}
	if len(env.Blob) < serviceVersionSize {
		return nil, &Error{Code: InvalidCiphertextException, Err: ErrSealed}
	}
	version := env.Blob[:serviceVersionSize]
	n := binary.BigEndian.Uint32(version)
	wrapping, ok := s.serviceKeys.keys[n]
	if !ok {
		return nil, &Error{Code: InvalidCiphertextException, Err: fmt.Errorf("the data key is wrapped by version %d of the service key, which the keyring does not have", n)}
	}
	key, err := Open(nil, wrapping, labelServiceKey, version, env.Blob[serviceVersionSize:])
	if err != nil {
		return nil, &Error{Code: InvalidCiphertextException, Err: err}
	}
	return key, nil
}
