package main

import (
	"bytes"
	"fmt"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
	"kmsfs/kms/users"
	"kmsfs/objstore/badgerstore"
)

// rotation replaces a root key, with the secrets that can be replaced. Nobody else has the store open.
//
// Killed at any moment, it leaves a store that opens with the files that are there:
//
//  1. the keyring gets new secrets beside the old ones, still under the old root key;
//  2. the records of KMS keys, then those of users, are sealed anew, each kind in one transaction;
//  3. the new root key is written beside the old one (or, for a credential, to the file that was asked for);
//  4. the keyring, now without the former secrets, is written under the new root key: from here on the old one opens nothing;
//  5. the new root key gets the old one's name. [Config.findRoot] and [Config.settleRoot] make up for a death before that.
//
// The recovery kit follows: it can be written again at any time.
type rotation struct {
	cfg    *Config
	store  string
	old    *rootKey
	engine *badgerstore.Store
	ring   *keyring.Ring
	done   func(step string) // of tests; nil: nothing

	damaged []string // records that did not open
}

// rotationOf opens the store for a rotation.
func (c *Config) rotationOf(store string) (*rotation, error) {
	root, err := c.loadRoot(store)
	if err != nil {
		return nil, err
	}
	r := &rotation{cfg: c, store: store, old: root}
	if r.engine, r.ring, err = c.openEngine(store, root, quietLog()); err != nil {
		root.wipe()
		return nil, err
	}
	return r, nil
}

func (r *rotation) close() error {
	r.old.wipe()
	r.ring.Wipe()
	return r.engine.Close()
}

func (r *rotation) step(name string) {
	if r.done != nil {
		r.done(name)
	}
}

// run answers the new root key, which the caller wipes. present is the old one's file, staged is where that of the new one is
// written, and final its name then, "" when to give it one is not this program's to do.
func (r *rotation) run(present *local.RootFile, staged, final string) (root []byte, err error) {
	root = local.NewRootKey()
	file, err := r.content(present, root)
	if err != nil {
		return nil, err
	}
	defer kms.Wipe(file)
	if err := r.renewSecrets(); err != nil {
		return nil, err
	}
	if err := r.stage(staged, final, file); err != nil {
		return nil, err
	}
	if err := r.opens(staged, root); err != nil {
		return nil, err
	}
	r.step("staged")
	if err := r.sealUnder(root); err != nil {
		return nil, err
	}
	r.step("sealed")
	if final != "" {
		err = local.AdoptRootFile(staged, final)
	}
	r.step("in place")
	return root, err
}

// sealUnder is the moment from which only the new root key opens the store.
func (r *rotation) sealUnder(root []byte) error {
	for _, p := range renewed() {
		if p != keyring.SSES3 { // what it wrapped stays
			r.ring.DropFormer(p)
		}
	}
	return r.ring.Write(r.store, root, time.Now())
}

// renewed are the secrets that a rotation replaces. The others would need all of the metadata, or of the audit records, anew.
func renewed() []keyring.Purpose {
	return []keyring.Purpose{keyring.KMS, keyring.Users, keyring.SSES3, keyring.Identity}
}

func (r *rotation) renewSecrets() error {
	for _, p := range renewed() {
		r.ring.Add(p, time.Now())
	}
	if err := r.ring.Write(r.store, r.old.secret, time.Now()); err != nil {
		return err
	}
	r.step("secrets added")
	damaged, err := local.Reseal(r.engine.Records(), r.ring.Secrets(keyring.KMS))
	if err != nil {
		return err
	}
	r.step("keys sealed anew")
	more, err := users.Reseal(r.engine.UserRecords(), r.ring.Secrets(keyring.Users))
	r.damaged = append(damaged, more...)
	r.step("users sealed anew")
	return err
}

// stage writes the new root key. One that an earlier rotation left, which never came into use, is replaced.
func (r *rotation) stage(staged, final string, file []byte) error {
	if final == "" {
		return local.CreateRootFile(staged, file)
	}
	return local.ReplaceRootFile(staged, file)
}

// content makes a file of the new root key with the protection that the present one has.
func (r *rotation) content(present *local.RootFile, root []byte) ([]byte, error) {
	switch w := present.Wrapped(); {
	case w != nil:
		return r.cfg.wrapRoot(root, w.Key, r.cfg.rootEndpoint(w), r.ring.Store)
	case !present.Protected():
		return local.PlainRootFile(root), nil
	}
	return local.SealRootFile(root, bytes.Clone(r.old.passphrase), present.KDF())
}

// opens proves that the staged file gives the new root key, while the old one still counts.
func (r *rotation) opens(staged string, root []byte) error {
	f, err := local.ReadRootFile(staged)
	if err != nil {
		return err
	}
	defer f.Wipe()
	if f.Wrapped() != nil {
		return nil // wrapRoot proved it
	}
	back, err := f.Open(func() ([]byte, error) { return bytes.Clone(r.old.passphrase), nil })
	defer kms.Wipe(back)
	if err == nil && !bytes.Equal(back, root) {
		err = fmt.Errorf("the new root key %s reads back wrong; nothing was replaced", staged)
	}
	return err
}
