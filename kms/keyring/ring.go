package keyring

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"kmsfs/kms"
)

// Purpose is what a secret is for.
type Purpose string

// The purposes. Every ring has at least one secret of each.
const (
	Store    Purpose = "store"    // the metadata database and the header
	KMS      Purpose = "kms"      // the records of the local key provider
	SSES3    Purpose = "sse-s3"   // data keys of AES256
	Users    Purpose = "users"    // the records of the doors' users
	Audit    Purpose = "audit"    // the chain of the audit records
	Identity Purpose = "identity" // an Ed25519 seed: signs certificates
)

// purposes are in the order of the file.
func purposes() []Purpose { return []Purpose{Store, KMS, SSES3, Users, Audit, Identity} }

// Key is one version of a secret. Versions begin at 1 and are never used again.
type Key struct {
	Version uint32
	Created time.Time
	Secret  []byte // 32 random bytes
}

// Signer is the public half of an identity.
type Signer struct {
	Version uint32
	Public  ed25519.PublicKey
}

// Head is the part of the file that is no secret. It is authenticated with the rest.
type Head struct {
	Store      string    // identity of the store: 32 hex digits
	Generation uint64    // counts the writes
	Root       string    // id of the root key that opens the ring
	Since      time.Time // since when it does, whole seconds
	Signers    []Signer  // all that there ever were, in ascending order of version
}

// Ring is the secrets of a store. It is not for concurrent use. Wipe it.
type Ring struct {
	Head
	keys   map[Purpose][]Key // ascending by version
	staled bool              // not all copies on disk are this ring
}

// NewID is a random identity of a store.
func NewID() string {
	var id [16]byte
	rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// New makes the ring of a new store with the identity id.
func New(id string, now time.Time) *Ring {
	r := &Ring{Head: Head{Store: id}, keys: map[Purpose][]Key{}}
	for _, p := range purposes() {
		r.Add(p, now)
	}
	return r
}

// Add makes a new version of a secret, which is used from now on.
func (r *Ring) Add(p Purpose, now time.Time) {
	k := Key{Version: 1, Created: now.UTC().Truncate(time.Second), Secret: make([]byte, kms.KeySize)}
	rand.Read(k.Secret)
	if all := r.keys[p]; len(all) > 0 {
		k.Version = all[len(all)-1].Version + 1
	}
	r.keys[p] = append(r.keys[p], k)
	if p == Identity {
		public := ed25519.NewKeyFromSeed(k.Secret).Public().(ed25519.PublicKey)
		r.Signers = append(r.Signers, Signer{k.Version, public})
	}
}

// DropFormer forgets all versions of a secret but the newest. The public half of an identity stays.
func (r *Ring) DropFormer(p Purpose) {
	all := r.keys[p]
	last := len(all) - 1
	for _, k := range all[:last] {
		kms.Wipe(k.Secret)
	}
	r.keys[p] = slices.Clone(all[last:])
}

// Newest is the version that is used now. It belongs to the ring.
func (r *Ring) Newest(p Purpose) Key {
	all := r.keys[p]
	return all[len(all)-1]
}

// All is every version that is left, newest first. They belong to the ring.
func (r *Ring) All(p Purpose) []Key {
	all := slices.Clone(r.keys[p])
	slices.Reverse(all)
	return all
}

// Secrets is All without versions.
func (r *Ring) Secrets(p Purpose) [][]byte {
	var out [][]byte
	for _, k := range r.All(p) {
		out = append(out, k.Secret)
	}
	return out
}

// Signer is the identity that signs now. The caller wipes it.
func (r *Ring) Signer() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(r.Newest(Identity).Secret) }

// Wipe forgets the secrets. The ring is not to be used afterwards.
func (r *Ring) Wipe() {
	for _, all := range r.keys {
		for _, k := range all {
			kms.Wipe(k.Secret)
		}
	}
}
