package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/kms"
)

func (a *app) auditCommand() *cobra.Command {
	return a.group("audit", "Check and read the audit records", a.auditVerify(), a.auditTail(), a.auditWho())
}

func (a *app) auditVerify() *cobra.Command {
	cmd := command("verify", "Check that no audit record was changed, added or removed", cobra.NoArgs,
		func(context.Context, []string) error {
			dir, report, err := a.verifyAudit()
			if err != nil {
				return err
			}
			if err := a.print(report, func(w io.Writer) { printReport(w, dir, report) }); err != nil {
				return err
			}
			if report.IssueCount > 0 {
				return &damageError{fmt.Sprintf("the audit records are not as they were written; first: %s", report.Issues[0])}
			}
			return nil
		})
	cmd.Long = "verify checks the chain of all audit records with a key of the store's keyring, and names the first line\n" +
		"that is broken. An end that is missing is found as far as the records reached when a process last closed them."
	a.flag(cmd, "audit.partial", "", "accept that the oldest files were moved away")
	return cmd
}

func (a *app) verifyAudit() (dir string, r kms.AuditReport, err error) {
	store, dir, err := a.auditDir()
	if err != nil {
		return "", r, err
	}
	key, err := a.cfg.auditKey(store)
	if err != nil {
		return "", r, err
	}
	defer kms.Wipe(key)
	r, err = kms.VerifyAudit(dir, key, a.cfg.Audit.Partial)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there are no audit records at %s: %w", dir, err)
	}
	return dir, r, err
}

func printReport(w io.Writer, dir string, r kms.AuditReport) {
	for i, issue := range r.Issues {
		if i == 10 {
			fmt.Fprintf(w, "and %d more\n", r.IssueCount-10)
			break
		}
		fmt.Fprintln(w, issue)
	}
	fmt.Fprintf(w, "%d records in %s", r.Records, dir)
	if r.Records > 0 {
		fmt.Fprintf(w, ", %d to %d", r.First, r.Last)
	}
	fmt.Fprintf(w, ": %d broken places\n", r.IssueCount)
}

// auditDir is where the audit records of the configured store lie.
func (a *app) auditDir() (store, dir string, err error) {
	if store, err = a.cfg.StorePath(); err != nil {
		return "", "", err
	}
	return store, beside(a.cfg.AuditDir, store, ".audit"), nil
}

func (a *app) auditTail() *cobra.Command {
	cmd := command("tail", "Show the last audit records", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		_, dir, err := a.auditDir()
		if err != nil {
			return err
		}
		f, err := a.tailAudit(dir)
		if err != nil || !a.cfg.Audit.Follow {
			return errors.Join(err, f.Close())
		}
		return a.followAudit(ctx, dir, f)
	})
	a.flag(cmd, "audit.follow", "f", "go on as records are written")
	a.flag(cmd, "audit.lines", "n", "how many of the last records")
	return cmd
}

// tailAudit prints the last records, and answers the file that is written now, at its end.
func (a *app) tailAudit(dir string) (*os.File, error) {
	var last []string
	files, err := kms.AuditFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there are no audit records in %s", dir)
	}
	for i := len(files) - 1; i >= 0 && len(last) < a.cfg.Audit.Lines; i-- {
		lines, err := lastLines(files[i], a.cfg.Audit.Lines-len(last))
		if err != nil {
			return nil, err
		}
		last = append(lines, last...)
	}
	f, err := os.Open(files[len(files)-1])
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for _, line := range last {
		a.auditLine(line)
	}
	return f, nil
}

func lastLines(path string, n int) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var last []string
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			last = append(last, line)
			last = last[max(0, len(last)-n):]
		}
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// followPause is how long `tail -f` sleeps when there is nothing new.
const followPause = 200 * time.Millisecond

// followAudit prints records as they are written, over rotations, until ctx ends.
func (a *app) followAudit(ctx context.Context, dir string, f *os.File) error {
	r, part := bufio.NewReader(f), ""
	for {
		line, err := r.ReadString('\n')
		part += line
		if err == nil {
			a.auditLine(part)
			part = ""
			continue
		}
		if err != io.EOF {
			return errors.Join(err, f.Close())
		}
		next, err := rotated(dir, f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		if next != nil {
			if rest, _ := io.ReadAll(r); len(rest) > 0 { // written between the last read and the rotation
				a.auditLine(part + string(rest))
				part = ""
			}
			f.Close()
			f = next
			r.Reset(f)
			continue
		}
		if err := pause(ctx, followPause); err != nil {
			return f.Close()
		}
	}
}

// rotated opens the file that is written now when it is another than f.
func rotated(dir string, f *os.File) (*os.File, error) {
	now, err := os.Open(filepath.Join(dir, kms.AuditFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // this moment it is being rotated
	}
	if err != nil {
		return nil, err
	}
	a, err := f.Stat()
	b, err2 := now.Stat()
	if err := errors.Join(err, err2); err != nil || os.SameFile(a, b) {
		return nil, errors.Join(err, now.Close())
	}
	return now, nil
}
