package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/keyring"
	"kmsfs/kms/local"
	"kmsfs/objstore"
)

// destroyedDir is below the audit records, because its lists name objects as those do.
const destroyedDir = "destroyed"

// lostVersion is a line of the list of what cannot be read any more.
type lostVersion struct {
	Bucket  string             `json:"bucket"`
	Key     string             `json:"key"`
	Version objstore.VersionID `json:"version"`
	Bytes   int64              `json:"bytes"`
	Current bool               `json:"current"`
}

// witness writes down what is lost with a KMS key before the key is destroyed, and records the destruction.
type witness struct {
	dir   string
	store objstore.Store
	audit kms.Auditor
	log   *slog.Logger
	now   func() time.Time
	root  string // ARN of the account's root user, in whose name the store acts
}

var _ local.Witness = (*witness)(nil)

// Loses is local.Witness's. The list is durable when it returns.
func (w *witness) Loses(ctx context.Context, keyARN string) (loss kms.Loss, err error) {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return loss, err
	}
	path := filepath.Join(w.dir, keyARN[strings.LastIndexByte(keyARN, '/')+1:]+".jsonl")
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return loss, err
	}
	l := newLossList(f)
	loss, err = l.write(ctx, w.store, keyARN)
	if err = errors.Join(err, l.end(), f.Sync(), f.Close()); err != nil {
		return loss, errors.Join(err, os.Remove(f.Name()))
	}
	loss.List = hex.EncodeToString(l.sum.Sum(nil))
	return loss, renameDurably(f.Name(), path)
}

// renameDurably survives power loss.
func renameDurably(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Destroyed is local.Witness's. The key is gone, so that a record that cannot be written is no reason to fail.
func (w *witness) Destroyed(d kms.Destruction) {
	w.log.Warn("a KMS key was destroyed", "key", d.Key, "files", d.Files, "versions", d.Versions, "bytes", d.Bytes, "list", w.dir)
	e := kms.Event{Time: w.now(), Operation: kms.OpDeleteKey, KeyARN: d.Key, Caller: kms.Caller{Principal: w.root, UID: uint32(os.Geteuid()), PID: os.Getpid()}}
	if err := w.audit.Record(e); err != nil {
		w.log.Error("the destruction of a key is not recorded", "key", d.Key, "error", err)
	}
}

// forgetStale replaces the key that seals the records of KMS keys, when some were destroyed under it: whatever the database's
// files still have of their records opens no more. It also ends what was cut short of that, or of a rotation.
func (o *owned) forgetStale(ring *keyring.Ring, root *rootKey) error {
	p, ok := o.keys.(*local.Provider)
	if !ok || !p.Stale() && len(ring.All(keyring.KMS)) == 1 {
		return nil
	}
	ring.Add(keyring.KMS, time.Now())
	if err := ring.Write(o.path, root.secret, time.Now()); err != nil {
		return err
	}
	if err := p.Reseal(ring.Newest(keyring.KMS).Secret); err != nil {
		return err
	}
	ring.DropFormer(keyring.KMS)
	return ring.Write(o.path, root.secret, time.Now())
}

// lossList writes the list and its sum.
type lossList struct {
	sum hash.Hash
	buf *bufio.Writer
	enc *json.Encoder
}

func newLossList(w io.Writer) *lossList {
	l := &lossList{sum: sha256.New()}
	l.buf = bufio.NewWriter(io.MultiWriter(w, l.sum))
	l.enc = json.NewEncoder(l.buf)
	return l
}

func (l *lossList) end() error { return l.buf.Flush() }

// write lists what lies under a key, bucket by bucket. Damaged records are noted, and do not save the key.
func (l *lossList) write(ctx context.Context, s objstore.Store, keyARN string) (loss kms.Loss, err error) {
	buckets, err := s.ListBuckets(ctx)
	if err != nil {
		return loss, err
	}
	for _, b := range buckets {
		err := l.bucket(ctx, s, b.Name, keyARN, &loss)
		if errors.Is(err, objstore.IntegrityError) {
			loss.Incomplete = "damage in bucket " + b.Name + ": " + err.Error()
			continue
		}
		if err != nil {
			return loss, err
		}
	}
	return loss, nil
}

func (l *lossList) bucket(ctx context.Context, s objstore.Store, bucket, keyARN string, loss *kms.Loss) error {
	for in := (objstore.ListInput{}); ; {
		page, err := s.ListVersions(ctx, bucket, in)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			if o.DeleteMarker || o.Encryption.KeyID != keyARN {
				continue
			}
			loss.Versions++
			loss.Bytes += o.Size
			if o.IsLatest {
				loss.Files++
			}
			if err := l.enc.Encode(lostVersion{bucket, o.Key, o.VersionID, o.Size, o.IsLatest}); err != nil {
				return err
			}
		}
		if !page.Truncated {
			return nil
		}
		in.After, in.AfterVersion = page.Next, page.NextVersion
	}
}
