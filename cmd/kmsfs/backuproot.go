package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
	"kmsfs/objstore/badgerstore/backup"
)

// backupRoot reads the root key that is to open a backup: of the recovery kit, or the file that the new store will have. The
// caller wipes it.
func (a *app) backupRoot(store string, head backup.Head) (*rootKey, error) {
	path, err := a.cfg.rootPath(store)
	if err != nil {
		return nil, err
	}
	if a.cfg.RestoreBackup.Kit == "" {
		f, err := a.cfg.readRoot(path)
		if err != nil {
			return nil, err
		}
		defer f.Wipe()
		return a.cfg.openRoot(path, f, head.Store)
	}
	if _, err := os.Lstat(path); err == nil && !a.cfg.RestoreBackup.Verify {
		return nil, &service.Error{Code: service.BadRequest, Message: fmt.Sprintf("%s is there already; without --kit it is used, or move it away", path)}
	}
	text, err := os.ReadFile(a.cfg.RestoreBackup.Kit)
	if err != nil {
		return nil, err
	}
	defer kms.Wipe(text)
	root, err := local.ParseRecoveryKit(text)
	if err != nil {
		return nil, &damageError{err.Error()}
	}
	return &rootKey{secret: root}, nil
}

// rootFromKit makes the root key file of the store with this identity, which was restored by a recovery kit.
func (a *app) rootFromKit(store, id string, root []byte) error {
	if a.cfg.RestoreBackup.Kit == "" {
		return nil
	}
	path, err := a.cfg.rootPath(store)
	if err != nil {
		return err
	}
	content, err := a.cfg.rootContent(root, id, func() ([]byte, error) { return a.cfg.newPassphrase(path) })
	if err != nil {
		return err
	}
	defer kms.Wipe(content)
	return local.CreateRootFile(path, content)
}

// backupSecret opens the keyring in a backup by the root key, and answers the store's secret. The caller wipes it.
func backupSecret(head backup.Head, root []byte) (secret []byte, err error) {
	dir, err := os.MkdirTemp("", "kmsfs-keyring-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, sealed := range head.Files {
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), sealed, 0o600); err != nil {
			return nil, err
		}
	}
	f, err := keyring.Read(dir)
	if err != nil {
		return nil, &service.Error{Code: service.DamagedBackup, Message: "the backup has no keyring that can be read"}
	}
	id := local.RootKeyID(root)
	if !f.SealedUnder(id) {
		h := f.Head()
		return nil, &service.Error{Code: service.WrongRootKey, Message: fmt.Sprintf("this is root key %s, but the backup needs root key %s (in use since %s)",
			id, h.Root, timeText(h.Since))}
	}
	ring, err := f.Open(root)
	if err != nil {
		return nil, &service.Error{Code: service.DamagedBackup, Message: "open the keyring of the backup", Err: err}
	}
	defer ring.Wipe()
	return bytes.Clone(ring.Newest(keyring.Store).Secret), nil
}
