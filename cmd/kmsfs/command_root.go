package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
)

func (a *app) rootCommand() *cobra.Command {
	return a.group("root", "Show, protect, replace and recover the root key", a.rootStatus(), a.rootChange(), a.rootRotate(), a.rootKit(), a.rootRecover())
}

// rootState is the answer of `root status`.
type rootState struct {
	File       string `json:"file"`
	Protection string `json:"protection"`
	KDF        string `json:"kdf,omitempty"`
	KMSKey     string `json:"kms_key,omitempty"`
	Endpoint   string `json:"kms_endpoint,omitempty"`
	ID         string `json:"id"`
	Since      string `json:"since"` // when it came into use
	Store      string `json:"store_id"`
	Signer     string `json:"signer"` // fingerprint of what signs certificates
}

func (a *app) rootStatus() *cobra.Command {
	return command("status", "Show where the root key is and what protects it", cobra.NoArgs, func(context.Context, []string) error {
		store, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		ring, err := a.existingKeyring(store)
		if err != nil {
			return err
		}
		path, f, err := a.cfg.findRoot(store, ring)
		if err != nil {
			return err
		}
		defer f.Wipe()
		h := ring.Head()
		s := rootState{File: path, Protection: protectNone, ID: f.ID(), Since: timeText(h.Since), Store: h.Store, Signer: fingerprint(h.Signers[len(h.Signers)-1].Public)}
		if f.Protected() {
			s.Protection, s.KDF = protectPassphrase, f.KDF().String()
		}
		if k := f.Wrapped(); k != nil {
			s.Protection, s.KMSKey, s.Endpoint = strings.TrimSuffix(protectAWS, ":"), k.Key, a.cfg.rootEndpoint(k)
		}
		return a.print(s, func(w io.Writer) {
			fields(w, "root key:", s.File, "id:", s.ID, "in use since:", s.Since, "protection:", s.Protection, "passphrase:", s.KDF, "kms key:", s.KMSKey, "kms endpoint:", s.Endpoint,
				"store id:", s.Store, "signs as:", s.Signer)
		})
	})
}

// existingKeyring is readKeyring for a store that may be missing.
func (a *app) existingKeyring(store string) (*keyring.File, error) {
	exists, err := storeExists(store)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, &service.Error{Code: service.NoStore, Message: fmt.Sprintf("there is no store at %s", store)}
	}
	return readKeyring(store)
}

func (a *app) rootChange() *cobra.Command {
	cmd := command("change", "Protect the same root key in another way, or by another passphrase", cobra.NoArgs, func(context.Context, []string) error {
		store, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		if isCredential(a.cfg.RootKey) {
			return &service.Error{Code: service.Unsupported, Message: "the root key is a credential of systemd; change it where the unit takes it from"}
		}
		if !a.given("root.protection") {
			return usagef("say what is to protect the root key: --protection passphrase, --protection aws:KEY or --protection none")
		}
		ring, err := a.existingKeyring(store)
		if err != nil {
			return err
		}
		path, f, err := a.cfg.findRoot(store, ring)
		if err != nil {
			return err
		}
		return a.changeRoot(path, f, ring.Head().Store)
	})
	a.protectionFlags(cmd)
	a.flag(cmd, "root.new-passphrase-file", "", "read the new passphrase from this file")
	return cmd
}

func (a *app) changeRoot(path string, f *local.RootFile, store string) error {
	defer f.Wipe()
	root, err := a.cfg.openRoot(path, f, store)
	if err != nil {
		return err
	}
	defer root.wipe()
	content, err := a.cfg.rootContent(root.secret, store, a.changedPassphrase)
	if err != nil {
		return err
	}
	defer kms.Wipe(content)
	if err := local.ReplaceRootFile(path, content); err != nil {
		return err
	}
	a.line("the root key %s has protection: %s; older copies of the file keep theirs", path, a.cfg.Root.Protection)
	return nil
}

func (a *app) changedPassphrase() ([]byte, error) {
	if a.cfg.Root.NewPassphraseFile != "" {
		return readPassphrase(a.cfg.Root.NewPassphraseFile)
	}
	p, err := promptPassphrase("new passphrase")
	if err != nil {
		return nil, err
	}
	return confirmed(p)
}

func (a *app) rootRecover() *cobra.Command {
	cmd := command("recover KIT", "Make the root key file anew from the recovery kit", cobra.ExactArgs(1), func(_ context.Context, args []string) error {
		store, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return err
		}
		defer kms.Wipe(text)
		root, err := local.ParseRecoveryKit(text)
		if err != nil {
			return &damageError{err.Error()}
		}
		defer kms.Wipe(root)
		path, err := a.recoverTo(store, root)
		if err != nil {
			return err
		}
		a.line("the root key %s is back (id %s)", path, local.RootKeyID(root))
		return nil
	})
	a.protectionFlags(cmd)
	return cmd
}

// protectionFlags are how a root key file that is made is protected.
func (a *app) protectionFlags(cmd *cobra.Command) {
	a.flag(cmd, "root.protection", "", "none, passphrase (argon2id), or aws:KEY: wrapped by a key of AWS KMS or a service like it")
	a.flag(cmd, "root.kms-endpoint", "", "URL of the key service of aws:KEY; empty: AWS's own")
}

// recoverTo makes the root key file, when it is the store's root key, and answers its path.
func (a *app) recoverTo(store string, root []byte) (string, error) {
	ring, err := a.existingKeyring(store)
	if err != nil {
		return "", err
	}
	opened, err := ring.Open(root)
	switch {
	case errors.Is(err, keyring.ErrRootKey):
		return "", &service.Error{Code: service.WrongRootKey, Message: "the kit does not open the store, so nothing was made", Err: err}
	case err != nil:
		return "", &service.Error{Code: service.NoKeyring, Message: "open the keyring", Err: err}
	}
	opened.Wipe()
	path, err := a.cfg.rootPath(store)
	if err != nil {
		return "", err
	}
	content, err := a.cfg.rootContent(root, ring.Head().Store, func() ([]byte, error) { return a.cfg.newPassphrase(path) })
	if err != nil {
		return "", err
	}
	defer kms.Wipe(content)
	err = local.CreateRootFile(path, content)
	if errors.Is(err, fs.ErrExist) {
		err = &service.Error{Code: service.BadRequest, Message: fmt.Sprintf("%s is there already; move it away first", path)}
	}
	return path, err
}
