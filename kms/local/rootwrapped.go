package local

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"kmsfs/kms"
)

// WrappedRoot is a root key that a key of another key service wraps.
type WrappedRoot struct {
	Key      string // ARN of the key
	Endpoint string // of the key service; empty: AWS's own of the key's region
	Store    string // identity of the store that it is for
	Blob     []byte // ciphertext
}

// ErrWrapped: what the key service unwrapped is not the root key that the file names.
var ErrWrapped = errors.New("what the key service unwrapped is another key than the file says; the file was changed")

// RootContext is the encryption context that binds a wrapped root key to its store, and to its own id.
func RootContext(store, rootID string) kms.Context {
	return kms.Context{"kmsfs:store": store, "kmsfs:root-key": rootID}
}

// Wrapped is how the key is wrapped; nil: not by a key service.
func (f *RootFile) Wrapped() *WrappedRoot { return f.wrapped }

// Unwrap answers the root key that a key service unwrapped. Error: [ErrWrapped].
func (f *RootFile) Unwrap(decrypt func(*WrappedRoot) ([]byte, error)) ([]byte, error) {
	root, err := decrypt(f.wrapped)
	if err != nil {
		return nil, err
	}
	if len(root) != kms.KeySize || RootKeyID(root) != f.id {
		kms.Wipe(root)
		return nil, ErrWrapped
	}
	return root, nil
}

// WrappedRootFile is the content of a file whose key a key service wrapped.
func WrappedRootFile(rootID string, w WrappedRoot) []byte {
	endpoint := w.Endpoint
	if endpoint == "" {
		endpoint = "-"
	}
	return fmt.Appendf(nil, "%s\nid %s\nkms %s\nendpoint %s\nstore %s\nblob %s\n", rootFileTitle, rootID, w.Key, endpoint, w.Store,
		base64.StdEncoding.EncodeToString(w.Blob))
}

// isWrapped tells the form by its third line.
func isWrapped(text string) bool {
	lines := strings.SplitN(text, "\n", 4)
	return len(lines) == 4 && strings.HasPrefix(lines[2], "kms ")
}

func parseWrapped(text, name string) (*RootFile, error) {
	f, w := &RootFile{}, WrappedRoot{}
	var blob string
	_, err := fmt.Sscanf(text, rootFileTitle+"\nid %s\nkms %s\nendpoint %s\nstore %s\nblob %s\n", &f.id, &w.Key, &w.Endpoint, &w.Store, &blob)
	if w.Endpoint == "-" {
		w.Endpoint = ""
	}
	if err == nil {
		w.Blob, err = base64.StdEncoding.DecodeString(blob)
	}
	if err != nil || string(WrappedRootFile(f.id, w)) != text || len(w.Blob) == 0 {
		return nil, fmt.Errorf("root key: %s is damaged; restore it from your backup, or from the recovery kit: kmsfs root recover KIT", name)
	}
	f.wrapped = &w
	return f, nil
}
