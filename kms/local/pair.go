package local

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"kmsfs/kms"
)

const labelPrivate = "kmsfs kms private key v1"

// keyPair is an RSA, ECDSA or Ed25519 private key.
type keyPair crypto.Signer

func (k *key) asymmetric() bool {
	return strings.HasPrefix(k.info.Spec, "RSA_") || strings.HasPrefix(k.info.Spec, "ECC_")
}

// makePair makes the key pair of a new asymmetric key. Its private half is stored sealed by the key's material.
func (k *key) makePair() error {
	if !k.asymmetric() {
		return nil
	}
	pair, err := kms.NewKeyPair(k.info.Spec)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return fmt.Errorf("make a key pair: %w", err)
	}
	defer kms.Wipe(private)
	if k.info.Public, err = x509.MarshalPKIXPublicKey(pair.Public()); err != nil {
		return fmt.Errorf("make a key pair: %w", err)
	}
	k.info.Private = kms.Seal(nil, k.current().secret[:], labelPrivate, k.rawID[:], private)
	k.pair = pair
	return nil
}

// openPair opens the private half of an enabled asymmetric key.
func (k *key) openPair() error {
	if !k.asymmetric() || k.info.State != kms.StateEnabled || k.pair != nil {
		return nil
	}
	private, err := kms.Open(nil, k.current().secret[:], labelPrivate, k.rawID[:], k.info.Private)
	if err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	defer kms.Wipe(private)
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("the private key: %w", err)
	}
	pair, ok := parsed.(crypto.Signer)
	if !ok {
		return errors.New("the private key is of a kind that this release does not know")
	}
	k.pair = pair
	return nil
}
