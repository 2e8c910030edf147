package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

// auditRecord is what commands show of a record.
type auditRecord struct {
	EventSource       string
	EventName         string
	ErrorCode         string
	UserIdentity      struct{ Arn string }
	RequestParameters struct {
		KeyID, SourceKeyID, DestinationKeyID string
		AliasName                            string
		EncryptionContext                    map[string]string
		SourceEncryptionContext              map[string]string
		DestinationEncryptionContext         map[string]string
		BucketName, Key                      string
		RenameSource                         string `json:"x-amz-rename-source"`
	}
	ResponseElements struct {
		KeyID string `json:"x-amz-server-side-encryption-aws-kms-key-id"`
	}
	AdditionalEventData struct {
		KMSFS struct {
			Time               time.Time
			UID                uint32
			PID                int
			Command, Via, Path string
			Seq                uint64
		}
	}
}

// key is the KMS key that was used, of ReEncrypt the new one.
func (r *auditRecord) key() string {
	for _, id := range []string{r.ResponseElements.KeyID, r.RequestParameters.KeyID, r.RequestParameters.DestinationKeyID, r.RequestParameters.AliasName} {
		if id != "" {
			return id
		}
	}
	return "-"
}

// resource is the object that was used, or object or bucket that a key was used for; source is what it was before a rename.
func (r *auditRecord) resource() (now, source string) {
	p := &r.RequestParameters
	if p.BucketName != "" {
		if p.RenameSource != "" {
			source = kms.BucketARN(p.RenameSource)
		}
		return kms.ObjectARN(p.BucketName, p.Key), source
	}
	if r.EventName == string(kms.OpReEncrypt) {
		return p.DestinationEncryptionContext[kms.ARNKey], p.SourceEncryptionContext[kms.ARNKey]
	}
	return p.EncryptionContext[kms.ARNKey], ""
}

// moved reports whether r renamed a directory that one of names is in.
func (r *auditRecord) moved(names map[string]bool) bool {
	now, source := r.resource()
	if r.EventName != string(kms.OpRenameObject) || !strings.HasSuffix(now, "/") || r.ErrorCode != "" {
		return false
	}
	for name := range names {
		if strings.HasPrefix(name, now) || strings.HasPrefix(name, source) {
			return true
		}
	}
	return false
}

// user is who came through a network door, by name; "" for processes of this machine.
func (r *auditRecord) user() string {
	switch r.AdditionalEventData.KMSFS.Via {
	case service.ProtocolKMS, service.ProtocolS3:
		return r.UserIdentity.Arn[strings.LastIndexByte(r.UserIdentity.Arn, '/')+1:]
	}
	return ""
}

func (r *auditRecord) result() string {
	if r.ErrorCode == "" {
		return "ok"
	}
	return r.ErrorCode
}

// auditLine prints one line of the files: as it is with --json, else in short.
func (a *app) auditLine(line string) {
	line = strings.TrimSuffix(line, "\n")
	var r auditRecord
	if a.cfg.JSON || json.Unmarshal([]byte(line), &r) != nil {
		fmt.Fprintln(a.stdout, line)
		return
	}
	f := &r.AdditionalEventData.KMSFS
	what := f.Path
	if now, _ := r.resource(); what == "" {
		what = now
	}
	who := fmt.Sprintf("uid %d pid %d (%s, %s)", f.UID, f.PID, orDash(f.Command), orDash(f.Via))
	if user := r.user(); user != "" {
		who = fmt.Sprintf("user %s (%s)", user, f.Via)
	}
	a.line("%s %s %s %s %s %s", timeText(f.Time), r.EventName, r.result(), who, r.key(), orDash(what))
}

// auditUse is one line of `audit who`.
type auditUse struct {
	Time      time.Time `json:"time"`
	Operation string    `json:"operation"`
	Result    string    `json:"result"`
	User      string    `json:"user,omitempty"` // of a network door: the processes below are not his
	UID       uint32    `json:"uid"`
	PID       int       `json:"pid"`
	Command   string    `json:"command"`
	Principal string    `json:"principal"`
	Via       string    `json:"via"`
	Key       string    `json:"key"`
	Resource  string    `json:"resource"` // the object, under its name of that time, or its bucket with a bucket key
	Record    uint64    `json:"record"`
}

func (a *app) auditWho() *cobra.Command {
	cmd := command("who PATH", "Show who used a file, or its key, and when", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		t, err := a.resolveTarget(ctx, args[0])
		if err != nil {
			return err
		}
		store, dir, err := a.auditDir()
		if err != nil {
			return err
		}
		if t.store != "" && t.store != store {
			dir = beside(a.cfg.AuditDir, t.store, ".audit")
		}
		uses, err := usesOf(dir, t.object.Bucket, t.object.Key)
		if err != nil {
			return err
		}
		return a.print(uses, func(w io.Writer) { printUses(w, uses) })
	})
	cmd.Long = "who lists each use of a KMS key for the object, under the names that it had before renames too. With a bucket key the\n" +
		"KMS key is used for many objects at once: such uses name the object that they were made for, and the bucket. Opens,\n" +
		"writes, renames and deletions of the object itself are there where audit.data-events has recorded them."
	return cmd
}

func printUses(w io.Writer, uses []auditUse) {
	table(w, "TIME\tOPERATION\tRESULT\tUID\tPID\tCOMMAND\tVIA\tKEY", func(line func(...any)) {
		for _, u := range uses {
			uid, pid := fmt.Sprint(u.UID), fmt.Sprint(u.PID)
			if u.User != "" {
				uid, pid = u.User, "-"
			}
			line(timeText(u.Time), u.Operation, u.Result, uid, pid, orDash(u.Command), u.Via, u.Key)
		}
	})
}

// usesOf reads the records twice: for the names that the object had, and for the uses under them.
func usesOf(dir, bucket, key string) ([]auditUse, error) {
	names, err := formerNames(dir, kms.ObjectARN(bucket, key))
	if err != nil {
		return nil, err
	}
	uses := []auditUse{}
	err = eachRecord(dir, func(r *auditRecord) {
		now, source := r.resource()
		path := kms.BucketARN(r.AdditionalEventData.KMSFS.Path)
		if !names[now] && !names[source] && !(now == kms.BucketARN(bucket) && names[path]) && !r.moved(names) {
			return
		}
		f := &r.AdditionalEventData.KMSFS
		uses = append(uses, auditUse{Time: f.Time, Operation: r.EventName, Result: r.result(), User: r.user(), UID: f.UID, PID: f.PID, Command: f.Command,
			Principal: r.UserIdentity.Arn, Via: f.Via, Key: r.key(), Resource: now, Record: f.Seq})
	})
	return uses, err
}

// formerNames follows renames back. It may take in another object that had such a name at another time.
func formerNames(dir, arn string) (map[string]bool, error) {
	type rename struct{ from, to string }
	var renames []rename
	err := eachRecord(dir, func(r *auditRecord) {
		if to, from := r.resource(); from != "" && from != to && r.ErrorCode == "" {
			renames = append(renames, rename{from, to})
		}
	})
	names := map[string]bool{arn: true}
	for i := len(renames) - 1; i >= 0; i-- {
		for _, name := range slices.Collect(maps.Keys(names)) {
			if former, ok := strings.CutPrefix(name, renames[i].to); ok && (former == "" || strings.HasSuffix(renames[i].to, "/")) {
				names[renames[i].from+former] = true // of the object, or of a directory that it was in
			}
		}
	}
	return names, err
}

// eachRecord calls fn with every line that is a record. Whether it is genuine is for verify to say.
func eachRecord(dir string, fn func(*auditRecord)) error {
	return kms.AuditLines(dir, func(_ string, _ int, line []byte, whole bool) error {
		var r auditRecord
		if whole && json.Unmarshal(line, &r) == nil {
			fn(&r)
		}
		return nil
	})
}
