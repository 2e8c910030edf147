package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/local"
)

// noKit is the name of the recovery kit where none is wanted.
const noKit = "none"

func (c *Config) kitPath(store string) string { return beside(c.Root.RecoveryKit, store, ".recovery") }

func (a *app) rootKit() *cobra.Command {
	cmd := command("kit", "Write the recovery kit anew", cobra.NoArgs, func(context.Context, []string) error {
		store, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		if a.cfg.Root.RecoveryKit == noKit {
			return usagef("root.recovery-kit is %q; name a file", noKit)
		}
		path, err := a.newKit(store)
		if err != nil {
			return err
		}
		a.line("%s", kitAdvice(path))
		return nil
	})
	cmd.Long = "kit writes the sheet from which `kmsfs root recover` gets the root key back, and reads it back. A kit of an earlier root key\n" +
		"opens only backups of the time before `kmsfs root rotate`."
	a.flag(cmd, "root.recovery-kit", "", "file of the kit; empty: STORE.recovery")
	return cmd
}

func kitAdvice(path string) string {
	return fmt.Sprintf("print the recovery kit %s, which has the root key in clear, and delete the file", path)
}

// checkKit refuses to have a file replaced that is no kit of the root keys that are known to the caller.
func (c *Config) checkKit(path string, known func(rootID string) bool) error {
	if path == noKit {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer kms.Wipe(text)
	root, err := local.ParseRecoveryKit(text)
	defer kms.Wipe(root)
	if err != nil || !known(local.RootKeyID(root)) {
		return &service.Error{Code: service.BadRequest, Message: fmt.Sprintf("%s is there and is no recovery kit of this store; move it away, or name another file: --recovery-kit FILE", path)}
	}
	return nil
}

// writeKit writes the recovery kit of a store, in place of one that is there, and reads it back. It answers the path, "" when
// none is wanted.
func (c *Config) writeKit(store string, root []byte) (string, error) {
	path := c.kitPath(store)
	if path == noKit {
		return "", nil
	}
	text := local.RecoveryKit(root, store)
	defer kms.Wipe(text)
	if err := local.ReplaceRootFile(path, text); err != nil {
		return "", fmt.Errorf("write the recovery kit: %w", err)
	}
	read, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	defer kms.Wipe(read)
	back, err := local.ParseRecoveryKit(read)
	defer kms.Wipe(back)
	if err != nil || !bytes.Equal(back, root) {
		return "", fmt.Errorf("the recovery kit %s reads back wrong: %v", path, err)
	}
	return path, nil
}

// newKit is writeKit in place of a file that is a kit of this store, if anything.
func (a *app) newKit(store string) (string, error) {
	ring, err := a.existingKeyring(store)
	if err != nil {
		return "", err
	}
	if err := a.cfg.checkKit(a.cfg.kitPath(store), ring.SealedUnder); err != nil {
		return "", err
	}
	root, err := a.cfg.loadRoot(store)
	if err != nil {
		return "", err
	}
	defer root.wipe()
	return a.cfg.writeKit(store, root.secret)
}
