package local

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"

	"kmsfs/kms"
)

// ErrPassphrase: the passphrase is not the one that the root key file was sealed with, or the file was changed.
var ErrPassphrase = errors.New("the passphrase is wrong, or the root key file was changed")

// KDF is how expensive it is to try a passphrase: the parameters of argon2id.
type KDF struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultKDF is RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes.
func DefaultKDF() KDF { return KDF{Memory: 64 << 10, Time: 3, Threads: 4} }

// valid refuses what would be no protection, and what would be an attack on who reads the file.
func (k KDF) valid() error {
	if k.Memory < 8<<10 || k.Memory > 4<<20 || k.Time < 1 || k.Time > 100 || k.Threads < 1 {
		return fmt.Errorf("root key: argon2id with m=%d,t=%d,p=%d is outside of what this release takes", k.Memory, k.Time, k.Threads)
	}
	return nil
}

func (k KDF) String() string {
	return fmt.Sprintf("argon2id m=%d,t=%d,p=%d", k.Memory, k.Time, k.Threads)
}

const (
	rootFileTitle = "kmsfs root key 1" // the last word is the version
	labelRootFile = "kmsfs root key passphrase v1"
	labelRootID   = "kmsfs root key id v1"
	rootSaltSize  = 16
	rootFileLimit = 4 << 10 // bytes, of any form
)

// RootKeyID names a root key without telling it: 16 hex digits.
func RootKeyID(root []byte) string { return fmt.Sprintf("%x", Derive(root, labelRootID)[:8]) }

// RootFile is the content of a root key file, in either form.
type RootFile struct {
	plain   []byte // the key itself; nil where it is protected
	id      string
	wrapped *WrappedRoot // by a key service
	kdf     KDF          // with a passphrase, as what follows
	salt    []byte
	sealed  []byte
}

// Protected reports whether a passphrase is needed.
func (f *RootFile) Protected() bool { return f.plain == nil && f.wrapped == nil }

// KDF is the passphrase's; of a plain key nothing.
func (f *RootFile) KDF() KDF { return f.kdf }

// ID is that of the key. With a passphrase it is what the file says.
func (f *RootFile) ID() string { return f.id }

// Wipe forgets the key of a plain file.
func (f *RootFile) Wipe() { kms.Wipe(f.plain) }

// Open answers the root key. passphrase is asked only where there is one, and wiped. Error: [ErrPassphrase].
func (f *RootFile) Open(passphrase func() ([]byte, error)) ([]byte, error) {
	switch {
	case f.wrapped != nil:
		return nil, errors.New("root key: it is wrapped by a key service, which has to unwrap it")
	case !f.Protected():
		return bytes.Clone(f.plain), nil
	}
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	wrap := f.kdf.key(p, f.salt)
	defer kms.Wipe(wrap)
	root, err := kms.Open(nil, wrap, labelRootFile, []byte(f.head()), f.sealed)
	if err != nil || len(root) != kms.KeySize || RootKeyID(root) != f.id {
		kms.Wipe(root)
		return nil, ErrPassphrase
	}
	return root, nil
}

// key wipes the passphrase.
func (k KDF) key(passphrase, salt []byte) []byte {
	defer kms.Wipe(passphrase)
	return argon2.IDKey(passphrase, salt, k.Time, k.Memory, k.Threads, kms.KeySize)
}

// head is the part of the file that is authenticated with the key.
func (f *RootFile) head() string {
	return fmt.Sprintf("%s\nid %s\n%s\nsalt %s\n", rootFileTitle, f.id, f.kdf, base64.StdEncoding.EncodeToString(f.salt))
}

// PlainRootFile is the content of a file that only its mode protects.
func PlainRootFile(root []byte) []byte { return bytes.Clone(root) }

// SealRootFile is the content of a file that a passphrase protects, which is wiped.
func SealRootFile(root, passphrase []byte, k KDF) ([]byte, error) {
	if err := errors.Join(k.valid(), checkPassphrase(passphrase)); err != nil {
		return nil, err
	}
	f := RootFile{id: RootKeyID(root), kdf: k, salt: make([]byte, rootSaltSize)}
	rand.Read(f.salt)
	wrap := k.key(passphrase, f.salt)
	defer kms.Wipe(wrap)
	sealed := kms.Seal(nil, wrap, labelRootFile, []byte(f.head()), root)
	return []byte(f.head() + "key " + base64.StdEncoding.EncodeToString(sealed) + "\n"), nil
}

func checkPassphrase(p []byte) error {
	if len(p) == 0 {
		return errors.New("root key: the passphrase is empty; choose one")
	}
	return nil
}

// ParseRootFile reads the content of a root key file, of which name is for messages.
func ParseRootFile(data []byte, name string) (*RootFile, error) {
	switch {
	case bytes.HasPrefix(data, []byte("kmsfs root key ")):
		return parseSealed(string(data), name)
	case len(data) != kms.KeySize:
		return nil, fmt.Errorf("root key: %s has %d bytes, but a root key has %d; it is damaged or another file: restore it from your backup, "+
			"or from the recovery kit: kmsfs root recover KIT", name, len(data), kms.KeySize)
	case [kms.KeySize]byte(data) == [kms.KeySize]byte{}:
		return nil, fmt.Errorf("root key: %s holds only zero bytes, so it was damaged; restore it from your backup, "+
			"or from the recovery kit: kmsfs root recover KIT", name)
	}
	return &RootFile{plain: data, id: RootKeyID(data)}, nil
}

func parseSealed(text, name string) (*RootFile, error) {
	title, _, _ := strings.Cut(text, "\n")
	if title != rootFileTitle {
		return nil, fmt.Errorf("root key: %s is a %q; this release knows %q", name, title, rootFileTitle)
	}
	if isWrapped(text) {
		return parseWrapped(text, name)
	}
	f := &RootFile{}
	var salt, sealed string
	_, err := fmt.Sscanf(text, rootFileTitle+"\nid %s\nargon2id m=%d,t=%d,p=%d\nsalt %s\nkey %s\n",
		&f.id, &f.kdf.Memory, &f.kdf.Time, &f.kdf.Threads, &salt, &sealed)
	if err == nil {
		f.salt, err = base64.StdEncoding.DecodeString(salt)
	}
	if err == nil {
		f.sealed, err = base64.StdEncoding.DecodeString(sealed)
	}
	if err != nil || f.head()+"key "+sealed+"\n" != text || len(f.salt) != rootSaltSize {
		return nil, fmt.Errorf("root key: %s is damaged; restore it from your backup, or from the recovery kit: kmsfs root recover KIT", name)
	}
	return f, f.kdf.valid()
}
