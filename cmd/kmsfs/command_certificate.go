package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
)

// CertificateConfig is what `kmsfs key certificate` verifies.
type CertificateConfig struct {
	Verify string `toml:"verify"` // a certificate
	List   string `toml:"list"`   // the list of lost versions that it speaks of
}

func (a *app) keyCertificate() *cobra.Command {
	cmd := command("certificate [KEY]", "Certify that a key was destroyed, or verify such a certificate", cobra.MaximumNArgs(1),
		func(ctx context.Context, args []string) error {
			switch file := a.cfg.Certificate.Verify; {
			case file != "" && len(args) == 0:
				return a.verifyCertificate(file)
			case file != "" || len(args) == 0:
				return usagef("name a key to certify its destruction, or verify a certificate with --verify FILE")
			}
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (kms.Certificate, error) {
				return s.KeyCertificate(ctx, service.KeyID{ID: args[0]})
			}, a.printCertificate)
		})
	cmd.Long = "certificate prints, as JSON, when a key was scheduled for deletion and by whom, when it was destroyed, and how many files, versions\n" +
		"and bytes became unreadable with it, signed by the store's identity (Ed25519). KEY is a key id or ARN: aliases go with their key.\n" +
		"The list of those versions is STORE.audit/destroyed/KEYID.jsonl; the certificate has its SHA-256.\n\n" +
		"--verify checks a certificate with the public key that is in it, and says whether that is this store's."
	a.flag(cmd, "key-certificate.verify", "", "verify the certificate in this file")
	a.flag(cmd, "key-certificate.list", "", "with --verify: check also that this file is its list")
	return cmd
}

func (a *app) printCertificate(c kms.Certificate) {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		panic(err) // strings, numbers and times only
	}
	a.line("%s", b)
}

// verified is the answer of --verify.
type verified struct {
	kms.Certificate
	Fingerprint string `json:"fingerprint"`
	Known       bool   `json:"known"` // it is an identity of the configured store
	ListChecked bool   `json:"list_checked"`
}

func (a *app) verifyCertificate(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c, err := kms.VerifyCertificate(bytes.NewReader(data))
	if err != nil {
		return &damageError{fmt.Sprintf("%s: %v", file, err)}
	}
	v := verified{Certificate: c, Fingerprint: fingerprint(c.PublicKey), Known: a.knowsSigner(c)}
	if v.ListChecked, err = a.checkList(c); err != nil {
		return err
	}
	return a.print(v, func(w io.Writer) { printVerified(w, v) })
}

// checkList compares the list that the user named, if any, with the certificate.
func (a *app) checkList(c kms.Certificate) (bool, error) {
	file := a.cfg.Certificate.List
	if file == "" {
		return false, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != c.List {
		return false, &damageError{fmt.Sprintf("%s is not the list that the certificate speaks of, or it was changed", file)}
	}
	return true, nil
}

// knowsSigner looks for the public key in the keyring of the configured store, which needs no root key.
func (a *app) knowsSigner(c kms.Certificate) bool {
	store, err := a.cfg.StorePath()
	if err != nil {
		return false
	}
	ring, err := keyring.Read(store)
	if err != nil || ring.Head().Store != c.Store {
		return false
	}
	for _, s := range ring.Head().Signers {
		if s.Version == c.Signer && s.Public.Equal(ed25519.PublicKey(c.PublicKey)) {
			return true
		}
	}
	return false
}

func printVerified(w io.Writer, v verified) {
	fmt.Fprintf(w, "valid: key %s was destroyed at %s\n", v.Key, timeText(v.Destroyed))
	fmt.Fprintf(w, "with it %d versions (%d bytes), those of %d files among them, became unreadable\n", v.Versions, v.Bytes, v.Files)
	if v.Incomplete != "" {
		fmt.Fprintf(w, "the list is incomplete: %s\n", v.Incomplete)
	}
	if v.ListChecked {
		fmt.Fprintln(w, "the list is the one that was certified")
	}
	if v.Known {
		fmt.Fprintf(w, "signed by this store: %s\n", v.Fingerprint)
		return
	}
	fmt.Fprintf(w, "signed by %s, which is not known here: compare it with `kmsfs root status` of the store %s\n", v.Fingerprint, v.Store)
}
