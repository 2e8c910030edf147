package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/objstore/badgerstore"
	"kmsfs/objstore/badgerstore/backup"
)

func (a *app) restoreBackupCommand() *cobra.Command {
	cmd := command("restore-backup DIR|FILE|-", "Make a new store from a backup, or verify one", cobra.ExactArgs(1), a.restoreBackup)
	cmd.Long = "restore-backup makes the store that --store names, which must not exist yet, from a backup: the newest of a directory, or\n" +
		"the one that --point names. The root key is needed: beside the new store (STORE.key), or where --root-key says, or in the\n" +
		"recovery kit that --kit names.\n\n" +
		"With --verify nothing is written: with the root key all is read and authenticated as for a restore; without it the\n" +
		"checksums of everything in the backup are compared, which finds damage, though not forgery."
	a.flag(cmd, "restore-backup.point", "", "the backup of a directory to take; the newest by default")
	a.flag(cmd, "restore-backup.verify", "", "read all of the backup, and write nothing")
	a.flag(cmd, "restore-backup.kit", "", "take the root key from this recovery kit, and make its file beside the new store")
	return cmd
}

// restoredAnswer is the answer of restore-backup.
type restoredAnswer struct {
	Store   string `json:"store,omitempty"`
	Point   string `json:"point,omitempty"`
	Records int64  `json:"records"`
	Bytes   int64  `json:"bytes"`
	Lost    int64  `json:"lost,omitempty"`
	// Packs is how many files were compared with their checksums, where the root key is not there.
	Packs int `json:"packs,omitempty"`
}

func (a *app) restoreBackup(ctx context.Context, args []string) error {
	store, err := a.cfg.StorePath()
	if err != nil {
		return err
	}
	src, err := backup.Open(args[0], a.cfg.RestoreBackup.Point, os.Stdin)
	if err != nil {
		return service.BackupError(err)
	}
	defer src.Close()
	bar := newProgress(a.stderr, "bytes", a.cfg.JSON)
	src.Progress = func(done, total int64) { bar.event(service.Event{Done: done, Total: total}) }
	do := a.restoreTo
	if a.cfg.RestoreBackup.Verify {
		do = a.verifyBackup
	}
	answer, err := do(ctx, store, src)
	bar.close()
	if err != nil {
		return service.BackupError(err)
	}
	return a.print(answer, func(w io.Writer) { fmt.Fprintln(w, restoredText(answer)) })
}

func restoredText(r restoredAnswer) string {
	s := fmt.Sprintf("%d records and %s of ciphertext", r.Records, bytesText(r.Bytes))
	switch {
	case r.Packs > 0:
		s = fmt.Sprintf("the checksums of %d packs are right; with the root key it can be told whether anybody changed them", r.Packs)
	case r.Store != "":
		s = fmt.Sprintf("store %s is ready: %s", r.Store, s)
	default:
		s = "the backup is whole and authentic: " + s
	}
	if r.Lost > 0 {
		s += fmt.Sprintf("\n%d records or chunks could not be read when it was made: kmsfs check names the files", r.Lost)
	}
	return s
}

func answerOf(r *badgerstore.Restored) restoredAnswer {
	return restoredAnswer{Point: r.Point.Name, Records: r.Records, Bytes: r.Bytes, Lost: r.Point.Lost}
}

// restoreTo makes the store, and opens it once.
func (a *app) restoreTo(ctx context.Context, store string, src *backup.Source) (r restoredAnswer, err error) {
	root, err := a.backupRoot(store, src.Head)
	if err != nil {
		return r, err
	}
	defer root.wipe()
	secret, err := backupSecret(src.Head, root.secret)
	if err != nil {
		return r, err
	}
	defer kms.Wipe(secret)
	if err := os.MkdirAll(filepath.Dir(store), 0o700); err != nil {
		return r, err
	}
	rep, err := badgerstore.Restore(ctx, store, src, badgerstore.Options{Secret: secret, Logger: a.logger()})
	if errors.Is(err, badgerstore.ErrNotEmpty) || errors.Is(err, badgerstore.ErrLocked) {
		return r, storeError(err)
	}
	if err != nil {
		return r, err
	}
	err = a.rootFromKit(store, src.Store, root.secret)
	if err == nil {
		err = a.openOnce(store)
	}
	if err != nil {
		return r, fmt.Errorf("the store %s is restored, but does not open: %w", store, err)
	}
	r = answerOf(rep)
	r.Store = store
	return r, nil
}

func (a *app) openOnce(store string) error {
	o, err := openStore(store, &a.cfg, false, a.logger())
	if err != nil {
		return err
	}
	return o.Close()
}

// verifyBackup reads all of a backup. Without the root key it only compares checksums.
func (a *app) verifyBackup(ctx context.Context, store string, src *backup.Source) (r restoredAnswer, err error) {
	root, err := a.backupRoot(store, src.Head)
	if errors.Is(err, service.NoRootKey) {
		return a.compareSums(ctx, src)
	}
	if err != nil {
		return r, err
	}
	defer root.wipe()
	secret, err := backupSecret(src.Head, root.secret)
	if err != nil {
		return r, err
	}
	defer kms.Wipe(secret)
	rep, err := badgerstore.VerifyBackup(ctx, src, secret)
	if err != nil {
		return r, err
	}
	return answerOf(rep), nil
}

func (a *app) compareSums(ctx context.Context, src *backup.Source) (r restoredAnswer, err error) {
	var bad []error
	r.Packs, err = src.Sums(ctx, func(err error) { bad = append(bad, err) })
	return r, errors.Join(append(bad, err)...)
}
