package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// rotateAnswer is the answer of `root rotate`.
type rotateAnswer struct {
	File        string   `json:"file"`
	Former      string   `json:"former_id"`
	ID          string   `json:"id"`
	Service     uint32   `json:"sse_s3_version"` // of the service key that wraps from now on
	Kit         string   `json:"recovery_kit"`
	Damaged     []string `json:"damaged,omitempty"` // records that did not open, and do not now
	NotReplaced []string `json:"not_replaced"`
}

// notReplaced says what the old root key, with an old copy of the keyring, still opens.
func notReplaced() []string {
	return []string{
		"the key of the metadata database: names, attributes and the sealed records of keys stay readable with an old copy of the keyring",
		"the key of the audit records' chain",
		"the material of KMS keys, which is only sealed anew: kmsfs key rotate, then kmsfs reencrypt -r",
		"data keys of AES256 that are wrapped already: kmsfs rewrap -r wraps them by the new service key",
	}
}

func (a *app) rootRotate() *cobra.Command {
	cmd := command("rotate", "Replace the root key, and the keys that seal KMS keys and SSE-S3", cobra.NoArgs, func(context.Context, []string) error {
		store, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		answer, err := a.rotateRoot(store)
		if err != nil {
			return err
		}
		return a.print(answer, func(w io.Writer) { a.printRotated(w, answer) })
	})
	cmd.Long = "rotate makes a new root key, protected as the old one is, and seals everything that the root key opens under it. The records of\n" +
		"KMS keys and of users are sealed under new keys, and SSE-S3 (AES256) gets a new service key; the former ones stay for reading.\n" +
		"The old root key opens the store no more, only backups that were made before. Nothing may have the store open.\n\n" +
		"Not replaced, because all of the data would have to be written anew: the key of the metadata database, that of the audit\n" +
		"records' chain, and the material of KMS keys. Who has both the old root key and an old copy of the store keeps what they open.\n" +
		"If that matters: make a new store, copy the files, and delete the old one."
	a.flag(cmd, "root.new-key-file", "", "with a credential of systemd: where to write the new root key")
	a.flag(cmd, "root.recovery-kit", "", "file of the new recovery kit; empty: STORE.recovery; none: no kit")
	return cmd
}

func (a *app) rotateRoot(store string) (*rotateAnswer, error) {
	ring, err := a.existingKeyring(store)
	if err != nil {
		return nil, err
	}
	if _, err := dial(store); err == nil {
		return nil, &service.Error{Code: service.Busy, Message: "a daemon serves the store, and the root key is replaced only while nothing has it open; run `kmsfs umount` first"}
	}
	staged, final, err := a.cfg.stagedRoot(store)
	if err != nil {
		return nil, err
	}
	if err := a.cfg.checkKit(a.cfg.kitPath(store), ring.SealedUnder); err != nil {
		return nil, err
	}
	r, err := a.cfg.rotationOf(store)
	if err != nil {
		return nil, err
	}
	answer := &rotateAnswer{File: cmp.Or(final, staged), Former: r.ring.Root, NotReplaced: notReplaced()}
	root, err := r.replace(staged, final)
	answer.ID, answer.Service, answer.Damaged = r.ring.Root, r.ring.Newest(keyring.SSES3).Version, r.damaged
	if err := errors.Join(err, r.close()); err != nil {
		return nil, err
	}
	defer kms.Wipe(root)
	if answer.Kit, err = a.cfg.writeKit(store, root); err != nil {
		return nil, fmt.Errorf("the root key is replaced, but its recovery kit could not be written (run: kmsfs root kit): %w", err)
	}
	return answer, nil
}

// replace is run with the protection that the root key has.
func (r *rotation) replace(staged, final string) ([]byte, error) {
	path, err := r.cfg.rootPath(r.store)
	if err != nil {
		return nil, err
	}
	present, err := r.cfg.readRoot(path)
	if err != nil {
		return nil, err
	}
	defer present.Wipe()
	return r.run(present, staged, final)
}

// stagedRoot is where a rotation writes the new root key, and the name that it gives it then; "" when others have to.
func (c *Config) stagedRoot(store string) (staged, final string, err error) {
	path, err := c.rootPath(store)
	switch {
	case err != nil:
		return "", "", err
	case !isCredential(c.RootKey) && c.Root.NewKeyFile != "":
		return "", "", usagef("--new-key-file is for a root key that is a credential of systemd; %s is replaced in place", path)
	case !isCredential(c.RootKey):
		return path + stagedSuffix, path, nil
	case c.Root.NewKeyFile == "":
		return "", "", usagef("the root key is a credential of systemd, which kmsfs cannot replace: say where to write the new one with --new-key-file FILE")
	}
	if _, err := os.Lstat(c.Root.NewKeyFile); err == nil {
		return "", "", &service.Error{Code: service.BadRequest, Message: c.Root.NewKeyFile + " is there already; move it away first"}
	}
	return c.Root.NewKeyFile, "", nil
}

func (a *app) printRotated(w io.Writer, r *rotateAnswer) {
	fmt.Fprintf(w, "the root key %s is new (id %s, before: %s)\n", r.File, r.ID, r.Former)
	if isCredential(a.cfg.RootKey) {
		fmt.Fprintf(w, "put %s where the unit takes its credential from, before the next start: the present one opens nothing any more\n", r.File)
	}
	fmt.Fprintf(w, "sealed anew: the records of KMS keys and users; AES256 wraps by version %d of the service key from now on\n", r.Service)
	for _, name := range r.Damaged {
		fmt.Fprintf(w, "damaged before, and so it stays: record %q\n", name)
	}
	fmt.Fprintln(w, "not replaced:")
	for _, what := range r.NotReplaced {
		fmt.Fprintf(w, "  %s\n", what)
	}
	fmt.Fprintf(w, "the old root key and its recovery kit still open backups that were made before: keep them as long as those\n")
	if r.Kit != "" {
		fmt.Fprintln(w, kitAdvice(r.Kit))
	}
}
