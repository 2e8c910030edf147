package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
)

func list(s []string) string { return strings.Join(s, ", ") }

func (a *app) reencryptCommand() *cobra.Command {
	cmd := command("reencrypt PATH...", "Give files a new data key, new ciphertext and a new version", cobra.MinimumNArgs(1),
		func(ctx context.Context, args []string) error {
			c := a.cfg.Reencrypt
			return a.onTree(ctx, args, service.TreeRequest{Recursive: c.Recursive, DryRun: c.DryRun, All: c.All}, "reencrypted", service.API.Reencrypt)
		})
	cmd.Long = "reencrypt makes a new version of each file, as its encryption attributes select. A file that is named gets one\n" +
		"always. With -r, files that are stored as selected already are skipped, so that a run that was cut short goes on\n" +
		"where it stopped; --all takes them too. A file that fails does not stop the others: exit code 3. Without -r, when all\n" +
		"files failed, it is that of the failure."
	a.flag(cmd, "reencrypt.recursive", "r", "descend into directories")
	a.flag(cmd, "reencrypt.dry-run", "", "count only: files, bytes, KMS calls at most")
	a.flag(cmd, "reencrypt.all", "", "with -r: also files that are stored as selected")
	return cmd
}

func (a *app) rewrapCommand() *cobra.Command {
	cmd := command("rewrap PATH...", "Wrap data keys anew: no data is moved, no version is made", cobra.MinimumNArgs(1),
		func(ctx context.Context, args []string) error {
			c := a.cfg.Rewrap
			return a.onTree(ctx, args, service.TreeRequest{Recursive: c.Recursive, DryRun: c.DryRun}, "rewrapped", service.API.Rewrap)
		})
	cmd.Long = "rewrap wraps the data key of each file's current version under the key that its attributes select, also when it\n" +
		"is that key already: so it brings files under the newest material after `kmsfs key rotate`. Old versions keep\n" +
		"their keys. A file that fails does not stop the others: exit code 3. Without -r, when all files\n" +
		"failed, it is that of the failure."
	a.flag(cmd, "rewrap.recursive", "r", "descend into directories")
	a.flag(cmd, "rewrap.dry-run", "", "count only: files, bytes, KMS calls at most")
	return cmd
}

// onTree runs a call over trees, shows how far it is, and names what failed.
func (a *app) onTree(ctx context.Context, args []string, r service.TreeRequest, done string,
	do func(service.API, context.Context, service.TreeRequest, service.Progress) (service.TreeAnswer, error)) error {
	targets, err := a.resolveTargets(ctx, args)
	if err != nil {
		return err
	}
	a.useStore(targets)
	for _, t := range targets {
		r.Objects = append(r.Objects, t.object)
	}
	var answer service.TreeAnswer
	var last error
	err = a.withProgress(ctx, "files", func(ctx context.Context, s service.API, p service.Progress) (err error) {
		answer, err = do(s, ctx, r, func(e service.Event) {
			e.Path = shown(targets, e.Path)
			if e.Cause != nil {
				last = e.Cause
			}
			p(e)
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := a.print(answer, func(w io.Writer) { fmt.Fprintln(w, treeText(answer, done)) }); err != nil {
		return err
	}
	if r.Recursive {
		last = nil
	}
	return treeError(answer, last)
}

// treeError is nil when nothing failed. last is the failure that tells the exit code when all failed; it is nil where
// a tree was asked for, for which 3 always means that some files failed.
func treeError(t service.TreeAnswer, last error) error {
	message := fmt.Sprintf("%d of %d files failed", t.Failed, t.Failed+t.Files)
	switch {
	case t.Failed == 0:
		return nil
	case t.Files == 0 && t.Skipped == 0 && last != nil:
		return &allFailedError{message, last}
	}
	return &partialError{message}
}

func treeText(t service.TreeAnswer, done string) string {
	if t.DryRun {
		done = "to be " + done
	}
	s := fmt.Sprintf("%d files (%s) %s, %d KMS calls", t.Files, bytesText(t.Bytes), done, t.KMSCalls)
	if t.DryRun {
		s = strings.Replace(s, " KMS calls", " KMS calls at most", 1)
	}
	if t.Skipped > 0 {
		s += fmt.Sprintf("; %d skipped, stored as selected", t.Skipped)
	}
	return s
}

// withProgress runs a long call on the store and shows its events on standard error.
func (a *app) withProgress(ctx context.Context, unit string, do func(context.Context, service.API, service.Progress) error) error {
	ctx, c, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	bar := newProgress(a.stderr, unit, a.cfg.JSON)
	err = do(ctx, c, bar.event)
	bar.close()
	return errors.Join(err, c.close())
}

func (a *app) checkCommand() *cobra.Command {
	cmd := command("check", "Read every record and every chunk, and report damage", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		var answer service.CheckAnswer
		start := time.Now()
		err := a.withProgress(ctx, "bytes", func(ctx context.Context, s service.API, p service.Progress) (err error) {
			answer, err = s.Check(ctx, service.CheckRequest{Repair: a.cfg.Check.Repair}, p)
			return err
		})
		if err != nil {
			return err
		}
		if err := a.print(answer, func(w io.Writer) {
			printRepairs(w, answer)
			fmt.Fprintln(w, checkText(answer, time.Since(start)))
		}); err != nil {
			return err
		}
		switch {
		case answer.Damaged > 0:
			return &damageError{fmt.Sprintf("the store is damaged: %d findings", answer.Damaged)}
		case answer.Lost > 0:
			return &damageError{fmt.Sprintf("the store is whole again, and %d things are lost", answer.Lost)}
		}
		return nil
	})
	a.flag(cmd, "check.repair", "", "mend what can be mended; what stays damaged is listed, with the version to restore")
	return cmd
}

// printRepairs lists what a repair did, and how to get damaged objects back.
func printRepairs(w io.Writer, c service.CheckAnswer) {
	for _, m := range c.Repairs {
		did := "mended"
		if m.Lost {
			did = "lost"
		}
		if m.Bucket != "" || m.Key != "" {
			did += " " + service.Object{Bucket: m.Bucket, Key: m.Key}.String()
		}
		fmt.Fprintf(w, "%s: %s\n", did, m.What)
	}
	for _, d := range c.Damage {
		if d.Restore != "" {
			fmt.Fprintf(w, "an older version is whole: kmsfs restore s3://%s/%s %s\n", d.Bucket, d.Key, d.Restore)
		}
	}
}

func checkText(c service.CheckAnswer, took time.Duration) string {
	s := fmt.Sprintf("checked %d records, %d objects, %d versions, %d chunks (%s) in %s: %d damaged", c.Records, c.Objects, c.Versions,
		c.Chunks, bytesText(c.Bytes), took.Round(time.Millisecond), c.Damaged)
	if n := len(c.Repairs); n > 0 {
		s += fmt.Sprintf("; %d mended", n)
	}
	if c.Healed > 0 {
		s += fmt.Sprintf("; %d files of the database restored from their copies", c.Healed)
	}
	if c.Unread > 0 {
		s += fmt.Sprintf("; %d versions not read, for their KMS keys refuse", c.Unread)
	}
	return s
}
