package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/local"
)

func (a *app) rootCommand() *cobra.Command {
	rotate := command("rotate", "Not available: see its error", cobra.NoArgs, func(context.Context, []string) error {
		return &service.Error{Code: service.Unsupported, Message: "the root key of a store cannot be replaced, because its records are sealed under it; " +
			"`kmsfs root change` protects the same key in another way; if others know the key, make a new store and copy the files"}
	})
	return a.group("root", "Show, protect and recover the root key", a.rootStatus(), a.rootChange(), rotate, a.rootRecover())
}

// rootState is the answer of `root status`.
type rootState struct {
	File       string `json:"file"`
	Protection string `json:"protection"`
	KDF        string `json:"kdf,omitempty"`
	ID         string `json:"id"`
}

func (a *app) rootStatus() *cobra.Command {
	return command("status", "Show where the root key is and what protects it", cobra.NoArgs, func(context.Context, []string) error {
		_, path, err := a.rootFile()
		if err != nil {
			return err
		}
		f, err := a.cfg.readRoot(path)
		if err != nil {
			return err
		}
		defer f.Wipe()
		s := rootState{File: path, Protection: protectNone, ID: f.ID()}
		if f.Protected() {
			s.Protection, s.KDF = protectPassphrase, f.KDF().String()
		}
		return a.print(s, func(w io.Writer) {
			fields(w, "root key:", s.File, "id:", s.ID, "protection:", s.Protection, "passphrase:", s.KDF)
		})
	})
}

func (a *app) rootFile() (store, path string, err error) {
	if store, err = a.cfg.StorePath(); err == nil {
		path, err = a.cfg.rootPath(store)
	}
	return store, path, err
}

func (a *app) rootChange() *cobra.Command {
	cmd := command("change", "Protect the same root key in another way, or by another passphrase", cobra.NoArgs, func(context.Context, []string) error {
		store, path, err := a.rootFile()
		if err != nil {
			return err
		}
		if isCredential(a.cfg.RootKey) {
			return &service.Error{Code: service.Unsupported, Message: "the root key is a credential of systemd; change it where the unit takes it from"}
		}
		if !a.given("root.protection") {
			return usagef("say what is to protect the root key: --protection passphrase or --protection none")
		}
		root, err := a.cfg.loadRoot(store)
		if err != nil {
			return err
		}
		defer kms.Wipe(root)
		content, err := a.cfg.rootContent(root, a.changedPassphrase)
		if err != nil {
			return err
		}
		defer kms.Wipe(content)
		if err := local.ReplaceRootFile(path, content); err != nil {
			return err
		}
		a.line("the root key %s has protection: %s; older copies of the file keep theirs", path, a.cfg.Root.Protection)
		return nil
	})
	a.flag(cmd, "root.protection", "", "none, or passphrase (argon2id)")
	a.flag(cmd, "root.new-passphrase-file", "", "read the new passphrase from this file")
	return cmd
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
		store, path, err := a.rootFile()
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
		if err := a.recoverTo(store, path, root); err != nil {
			return err
		}
		a.line("the root key %s is back (id %s)", path, local.RootKeyID(root))
		return nil
	})
	a.flag(cmd, "root.protection", "", "none, or passphrase (argon2id)")
	return cmd
}

// recoverTo makes the file, and takes it back when it is another store's key.
func (a *app) recoverTo(store, path string, root []byte) error {
	exists, err := storeExists(store)
	if err != nil {
		return err
	}
	if !exists {
		return &service.Error{Code: service.NoStore, Message: fmt.Sprintf("there is no store at %s", store)}
	}
	content, err := a.cfg.rootContent(root, func() ([]byte, error) { return a.cfg.newPassphrase(path) })
	if err != nil {
		return err
	}
	defer kms.Wipe(content)
	if err := local.CreateRootFile(path, content); errors.Is(err, fs.ErrExist) {
		return &service.Error{Code: service.BadRequest, Message: fmt.Sprintf("%s is there already; move it away first", path)}
	} else if err != nil {
		return err
	}
	o, err := openStore(store, &a.cfg, false, a.logger())
	switch {
	case err == nil:
		return o.Close()
	case errors.Is(err, service.Busy):
		return nil // a daemon has it open: nothing can be checked, and nothing is lost
	}
	return errors.Join(fmt.Errorf("the kit's key does not open the store, so %s was not made: %w", path, err), os.Remove(path))
}

// writeKit writes the recovery kit of a new store and reads it back. It answers the path, "" when none is wanted.
func (a *app) writeKit(store string) (string, error) {
	path := beside(a.cfg.Root.RecoveryKit, store, ".recovery")
	if path == "none" {
		return "", nil
	}
	root, err := a.cfg.loadRoot(store)
	if err != nil {
		return "", err
	}
	defer kms.Wipe(root)
	text := local.RecoveryKit(root, store)
	defer kms.Wipe(text)
	if err := local.CreateRootFile(path, text); err != nil {
		return "", fmt.Errorf("the store is ready, but its recovery kit could not be written: %w", err)
	}
	read, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	defer kms.Wipe(read)
	back, err := local.ParseRecoveryKit(read)
	defer kms.Wipe(back)
	if err != nil || string(back) != string(root) {
		return "", fmt.Errorf("the recovery kit %s reads back wrong: %v", path, err)
	}
	return path, nil
}
