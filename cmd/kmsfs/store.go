package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/users"
	"kmsfs/objstore/badgerstore"
)

// storeHeader is a file that every store has.
const storeHeader = "kmsfs.store"

// owned is a store that this process has open, with its key service.
type owned struct {
	path     string
	store    *badgerstore.Store
	kms      *kms.Service
	keys     keyProvider
	users    *users.Store
	audit    *kms.FileAuditor
	identity identity
	created  bool // the store is new
}

// Close makes everything durable and lets other processes in.
func (o *owned) Close() error {
	o.identity.wipe()
	return errors.Join(o.kms.Close(), o.keys.Close(), o.users.Close(), o.audit.Close(), o.store.Close())
}

// openStore opens the store at path, and makes it with its root key when create is set and there is none.
//
// Errors: NoStore, NoRootKey, WrongRootKey, OpenRootKey, NoKeyring, NewerFormat, OlderFormat, Busy of package service.
func openStore(path string, c *Config, create bool, log *slog.Logger) (*owned, error) {
	exists, err := storeExists(path)
	if err != nil {
		return nil, err
	}
	if !exists && !create && !badgerstore.Unfinished(path) {
		return nil, &service.Error{Code: service.NoStore, Message: fmt.Sprintf("there is no store at %s", path)}
	}
	if exists {
		err = asOwner(path, create)
	} else {
		err = unused(path)
	}
	if err != nil {
		return nil, err
	}
	root, err := c.rootOf(path, exists)
	if err != nil {
		return nil, err
	}
	defer root.wipe()
	st, ring, err := c.openEngine(path, root, log)
	if err != nil {
		return nil, err
	}
	defer ring.Wipe()
	o := &owned{path: path, store: st, created: !exists}
	if err := o.openKMS(ring, root, c, log); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return o, nil
}

// openEngine opens the store's engine and its keyring, which the caller wipes.
func (c *Config) openEngine(path string, root *rootKey, log *slog.Logger) (st *badgerstore.Store, ring *keyring.Ring, err error) {
	unlock := func() ([]byte, string, error) {
		if ring, err = c.unlock(path, root); err != nil {
			return nil, "", err
		}
		return bytes.Clone(ring.Newest(keyring.Store).Secret), ring.Head.Store, nil
	}
	st, err = badgerstore.Open(path, badgerstore.Options{Unlock: unlock, Logger: log})
	if err != nil && ring != nil {
		ring.Wipe()
	}
	if err != nil {
		return nil, nil, storeError(err)
	}
	return st, ring, nil
}

// openKMS builds the key service over records that lie in the store.
func (o *owned) openKMS(ring *keyring.Ring, root *rootKey, c *Config, log *slog.Logger) error {
	auditor, err := o.openAudit(ring.Newest(keyring.Audit).Secret, c, log)
	if err != nil {
		return err
	}
	o.keys, err = o.openProvider(ring.Secrets(keyring.KMS), c, o.witness(c, auditor, log))
	if err != nil {
		return errors.Join(fmt.Errorf("open the KMS keys of the store: %w", err), o.audit.Close())
	}
	if err := o.forgetStale(ring, root); err != nil { // what is left of a destroyed key is no reason to stay closed
		log.Error("the key under which a destroyed KMS key was sealed could not be replaced; it is tried again at the next start", "error", err)
	}
	o.identity = newIdentity(ring)
	quotas, err := kms.ParseQuotas(c.KMS.Quotas)
	if err != nil {
		return &configError{fmt.Errorf("kms.quotas: %w", err)}
	}
	o.kms = kms.NewService(o.keys, kms.Options{
		Audit:             auditor,
		ServiceKeys:       serviceKeys(ring),
		BucketKeyLifetime: time.Duration(c.KMS.BucketKeyLifetime),
		Region:            c.KMS.Region,
		Account:           c.KMS.Account,
		Principal:         c.principalOf,
		Quotas:            quotas,
		Now:               c.now,
		DefaultKey:        c.KMS.DefaultKey,
		External:          c.KMS.Provider == providerAWS,
	})
	o.store.SetKMS(o.kms)
	sealing := ring.Secrets(keyring.Users)
	o.users, err = users.Open(o.store.UserRecords(), sealing[0], nil, sealing[1:]...)
	return err
}

func serviceKeys(ring *keyring.Ring) map[uint32][]byte {
	out := map[uint32][]byte{}
	for _, k := range ring.All(keyring.SSES3) {
		out[k.Version] = k.Secret
	}
	return out
}

// unused refuses a directory that holds something else, before a root key is made for it.
func unused(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if badgerstore.Unfinished(path) {
		return storeError(fmt.Errorf("%s: %w", path, badgerstore.ErrUnfinished))
	}
	for _, e := range entries {
		if !badgerstore.BeforeHeader(e.Name()) {
			return storeError(fmt.Errorf("%s: %w", path, badgerstore.ErrNotStore))
		}
	}
	return err
}

// asOwner keeps root from leaving files of its own in the store of another user, who could not open it any more: root
// becomes that user, but for a daemon, which has to stay what it is.
func asOwner(path string, daemon bool) error {
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner := st.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	if daemon {
		return &service.Error{Code: service.NotPermitted, Message: fmt.Sprintf("the store %s belongs to uid %d", path, owner.Uid)}
	}
	return errors.Join(syscall.Setgroups(nil), syscall.Setgid(int(owner.Gid)), syscall.Setuid(int(owner.Uid)))
}

// storeExists answers false for a directory that is missing, empty, or was left by an init that was cut short.
func storeExists(path string) (bool, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !st.IsDir() {
		return false, &service.Error{Code: service.BadRequest, Message: fmt.Sprintf("%s is a file, so it is no store", path)}
	}
	_, err = os.Stat(filepath.Join(path, storeHeader))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// storeError gives the engine's errors a code.
func storeError(err error) error {
	if known := (*service.Error)(nil); errors.As(err, &known) {
		return err
	}
	for from, to := range map[error]service.Code{
		badgerstore.ErrLocked:      service.Busy,
		badgerstore.ErrNewerFormat: service.NewerFormat,
		badgerstore.ErrOlderFormat: service.OlderFormat,
		badgerstore.ErrWrongKey:    service.WrongRootKey,
		badgerstore.ErrNotStore:    service.BadRequest,
		badgerstore.ErrNotEmpty:    service.BadRequest,
		badgerstore.ErrUnfinished:  service.Unfinished,
	} {
		if errors.Is(err, from) {
			return &service.Error{Code: to, Message: "open the store", Err: err}
		}
	}
	return fmt.Errorf("open the store: %w", err)
}
