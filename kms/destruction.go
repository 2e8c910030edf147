package kms

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Destruction says what became of a key that was deleted. Times are UTC.
type Destruction struct {
	Key         string    `json:"key"` // ARN
	Spec        string    `json:"spec"`
	Usage       string    `json:"usage"`
	Origin      string    `json:"origin"`
	Created     time.Time `json:"created"`
	Scheduled   time.Time `json:"scheduled"`
	ScheduledBy string    `json:"scheduled_by"` // IAM ARN
	WindowDays  int       `json:"window_days"`
	Due         time.Time `json:"due"`
	Destroyed   time.Time `json:"destroyed"`
	Loss
}

// Loss is what can never be read again without a key: crypto-shredding. A version under several keys of its bucket (hard
// links) counts under each.
type Loss struct {
	Files    int64 `json:"files"` // keys of which the current version is lost
	Versions int64 `json:"versions"`
	Bytes    int64 `json:"bytes"`
	// List is the SHA-256, in hex, of the list of these versions, which is kept apart.
	List string `json:"list_sha256,omitempty"`
	// Incomplete says why the list lacks something: damage of the store. A damaged store does not save a key.
	Incomplete string `json:"incomplete,omitempty"`
}

// Certificate is a [Destruction] that a store signed.
type Certificate struct {
	Type  string `json:"type"`
	Store string `json:"store"` // identity of the store
	Destruction
	Signer    uint32 `json:"signer"` // version of the store's identity
	PublicKey []byte `json:"public_key"`
	Signature []byte `json:"signature,omitempty"`
}

const (
	certificateType  = "kmsfs key destruction 1"
	certificateLabel = "kmsfs key certificate v1\n"
	maxCertificate   = 64 << 10 // bytes
)

// Certify signs d for a store, by version signer of its identity.
func Certify(store string, d Destruction, signer uint32, private ed25519.PrivateKey) Certificate {
	c := Certificate{Type: certificateType, Store: store, Destruction: d, Signer: signer, PublicKey: private.Public().(ed25519.PublicKey)}
	c.Signature = ed25519.Sign(private, c.message())
	return c
}

// message is what is signed: all fields but the signature, as compact JSON in their order, behind a label.
func (c Certificate) message() []byte {
	c.Signature = nil
	b, err := json.Marshal(c)
	if err != nil {
		panic("kms: internal error: " + err.Error()) // strings, numbers and times only
	}
	return append([]byte(certificateLabel), b...)
}

// ErrCertificate: the certificate was changed, or is none.
var ErrCertificate = errors.New("the certificate is not valid")

// VerifyCertificate reads a certificate and checks its signature with the public key that is in it. Whose that key is, is for
// the caller to know. Error: [ErrCertificate].
func VerifyCertificate(r io.Reader) (Certificate, error) {
	var c Certificate
	dec := json.NewDecoder(io.LimitReader(r, maxCertificate))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if c.Type != certificateType {
		return c, fmt.Errorf("%w: its type is %q; this release knows %q", ErrCertificate, c.Type, certificateType)
	}
	if _, err := dec.Token(); err != io.EOF {
		return c, fmt.Errorf("%w: something stands behind it", ErrCertificate)
	}
	if len(c.PublicKey) != ed25519.PublicKeySize || !ed25519.Verify(c.PublicKey, c.message(), c.Signature) {
		return c, fmt.Errorf("%w: the signature is not of these bytes", ErrCertificate)
	}
	return c, nil
}
