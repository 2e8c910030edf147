package keyring

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/local"
)

const (
	title      = "kmsfs keyring 1" // the last word is the version
	titleStart = "kmsfs keyring "
	label      = "kmsfs keyring v1" // derives the key that seals the file, and labels the seal
	maxFile    = 1 << 20            // bytes
)

var errMalformed = errors.New("it is malformed")

// text is the file's lines before the last, which are authenticated with it.
func (h *Head) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nstore %s\ngeneration %d\nroot %s\nsince %s\n", title, h.Store, h.Generation, h.Root, h.Since.Format(time.RFC3339))
	for _, s := range h.Signers {
		fmt.Fprintf(&b, "signer %d %s\n", s.Version, base64.StdEncoding.EncodeToString(s.Public))
	}
	return b.String()
}

// parseFile reads a file without opening it. What it would not write in the same bytes is refused.
func parseFile(data []byte) (h Head, sealed []byte, err error) {
	if first, _, _ := strings.Cut(string(data), "\n"); strings.HasPrefix(first, titleStart) && first != title {
		return h, nil, fmt.Errorf("it is a %q; this release knows %q", first, title)
	}
	var last string
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name == "ring" {
			last = value
		} else if err := h.parseLine(name, value); err != nil {
			return h, nil, err
		}
	}
	sealed, err = base64.StdEncoding.DecodeString(last)
	id, bad := hex.DecodeString(h.Store)
	if err != nil || bad != nil || len(id) != 16 || h.text()+"ring "+last+"\n" != string(data) {
		return h, nil, errMalformed
	}
	return h, sealed, nil
}

func (h *Head) parseLine(name, value string) (err error) {
	switch name {
	case "store":
		h.Store = value
	case "generation":
		h.Generation, err = strconv.ParseUint(value, 10, 64)
	case "root":
		h.Root = value
	case "since":
		h.Since, err = time.Parse(time.RFC3339, value)
	case "signer":
		version, key, _ := strings.Cut(value, " ")
		n, err := strconv.ParseUint(version, 10, 32)
		public, bad := base64.StdEncoding.DecodeString(key)
		if err != nil || bad != nil || len(public) != ed25519.PublicKeySize {
			return errMalformed
		}
		h.Signers = append(h.Signers, Signer{uint32(n), public})
	}
	if err != nil {
		return errMalformed
	}
	return nil
}

// seal makes the file.
func (r *Ring) seal(root []byte) []byte {
	key := local.Derive(root, label)
	defer kms.Wipe(key)
	payload := r.payload()
	defer kms.Wipe(payload)
	text := r.text()
	sealed := kms.Seal(nil, key, label, []byte(text), payload)
	return []byte(text + "ring " + base64.StdEncoding.EncodeToString(sealed) + "\n")
}

func (r *Ring) payload() []byte {
	n := 0
	for _, all := range r.keys {
		n += len(all)
	}
	b := make([]byte, 0, n*(16+4+8+kms.KeySize)) // never moved, so that no copy of a secret is left
	for _, p := range purposes() {
		for _, k := range r.keys[p] {
			b = append(append(b, byte(len(p))), p...)
			b = binary.BigEndian.AppendUint32(b, k.Version)
			b = binary.BigEndian.AppendUint64(b, uint64(k.Created.Unix()))
			b = append(b, k.Secret...)
		}
	}
	return b
}

// openFile opens what parseFile read.
func openFile(h Head, sealed, root []byte) (*Ring, error) {
	key := local.Derive(root, label)
	defer kms.Wipe(key)
	payload, err := kms.Open(nil, key, label, []byte(h.text()), sealed)
	if err != nil {
		return nil, err
	}
	defer kms.Wipe(payload)
	r := &Ring{Head: h, keys: map[Purpose][]Key{}}
	for rest := payload; len(rest) > 0; {
		if rest, err = r.parseKey(rest); err != nil {
			r.Wipe()
			return nil, err
		}
	}
	return r, r.complete()
}

// parseKey reads the first secret of b and answers the rest.
func (r *Ring) parseKey(b []byte) ([]byte, error) {
	n := int(b[0])
	if len(b) < 1+n+12+kms.KeySize {
		return nil, errMalformed
	}
	p, at := Purpose(b[1:1+n]), b[1+n:]
	if !slices.Contains(purposes(), p) {
		return nil, fmt.Errorf("it has a secret for %q, which this release does not know; use the release that wrote it", p)
	}
	k := Key{Version: binary.BigEndian.Uint32(at), Created: time.Unix(int64(binary.BigEndian.Uint64(at[4:])), 0).UTC(),
		Secret: slices.Clone(at[12 : 12+kms.KeySize])}
	if all := r.keys[p]; len(all) > 0 && all[len(all)-1].Version >= k.Version {
		return nil, errMalformed
	}
	r.keys[p] = append(r.keys[p], k)
	return at[12+kms.KeySize:], nil
}

func (r *Ring) complete() error {
	for _, p := range purposes() {
		if len(r.keys[p]) == 0 {
			return fmt.Errorf("it has no secret for %q", p)
		}
	}
	return nil
}
