package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/objstore"
)

func (a *app) bucketCommand() *cobra.Command {
	return a.group("bucket", "Make, list, change and remove buckets",
		a.bucketCreate(), a.bucketSet(), a.bucketList(), a.bucketShow(), a.bucketRemove())
}

func (a *app) bucketFlags(cmd *cobra.Command) *cobra.Command {
	a.flag(cmd, "bucket.versioning", "", "enabled or suspended")
	a.flag(cmd, "bucket.expire-noncurrent", "", "age at which old versions are removed: 7d, 12h, never")
	a.flag(cmd, "bucket.sse", "", "default encryption: AES256, aws:kms or aws:kms:dsse")
	a.flag(cmd, "bucket.sse-kms-key-id", "", "default KMS key: id, ARN or alias/NAME")
	a.flag(cmd, "bucket.bucket-key", "", "true: one KMS call for many objects")
	return cmd
}

// newBucket is the settings that buckets made by this program start with.
func (c *Config) newBucket(name string) service.BucketSettings {
	age := time.Duration(c.Bucket.ExpireNoncurrent)
	return service.BucketSettings{Name: name, Versioning: versioning(c.Bucket.Versioning), ExpireNoncurrent: &age,
		SSE: c.Bucket.SSE, KeyID: c.Bucket.KeyID, BucketKey: optional(c.Bucket.BucketKey)}
}

func versioning(s string) objstore.Versioning {
	if s == "suspended" {
		return objstore.VersioningSuspended
	}
	return objstore.VersioningEnabled
}

func optional(s string) *bool {
	if s == "" {
		return nil
	}
	b := s == "true"
	return &b
}

// changedBucket is what the command line changes: what stands in the file or the environment is for new buckets.
func (a *app) changedBucket(name string) service.BucketSettings {
	all, s := a.cfg.newBucket(name), service.BucketSettings{Name: name}
	if a.given("bucket.versioning") {
		s.Versioning = all.Versioning
	}
	if a.given("bucket.expire-noncurrent") {
		s.ExpireNoncurrent = all.ExpireNoncurrent
	}
	if a.given("bucket.sse") {
		s.SSE = all.SSE
	}
	if a.given("bucket.sse-kms-key-id") {
		s.KeyID = all.KeyID
	}
	if a.given("bucket.bucket-key") {
		s.BucketKey = all.BucketKey
	}
	return s
}

func (a *app) bucketCreate() *cobra.Command {
	return a.bucketFlags(command("create NAME", "Make a bucket", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Bucket, error) {
			return s.BucketCreate(ctx, a.cfg.newBucket(args[0]))
		}, func(b service.Bucket) { a.line("%s", b.Name) })
	}))
}

func (a *app) bucketSet() *cobra.Command {
	return a.bucketFlags(command("set NAME", "Change a bucket's settings: those whose flags are given", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			change := a.changedBucket(args[0])
			if change == (service.BucketSettings{Name: args[0]}) {
				return usagef("nothing to set: give at least one flag")
			}
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Bucket, error) {
				return s.BucketSet(ctx, change)
			}, a.printBucket)
		}))
}

func (a *app) bucketList() *cobra.Command {
	return command("ls", "List the buckets", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]service.Bucket, error) {
			return s.BucketList(ctx, service.Nothing{})
		}, func(all []service.Bucket) {
			table(a.stdout, "NAME\tVERSIONING\tEXPIRE\tDEFAULT\tCREATED", func(line func(...any)) {
				for _, b := range all {
					line(b.Name, b.Versioning, Duration(b.Expire), b.Default, timeText(b.Created))
				}
			})
		})
	})
}

func (a *app) bucketShow() *cobra.Command {
	return command("show NAME", "Show a bucket's settings and what it holds", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Bucket, error) {
				return s.BucketShow(ctx, service.BucketName{Name: args[0]})
			}, a.printBucket)
		})
}

func (a *app) bucketRemove() *cobra.Command {
	return command("rm NAME", "Remove an empty bucket", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Nothing, error) {
			return s.BucketRemove(ctx, service.BucketName{Name: args[0]})
		}, func(service.Nothing) {})
	})
}

func (a *app) printBucket(b service.Bucket) {
	var now, old string
	if u := b.Usage; u != nil {
		now, old = countText(u.Objects, u.Bytes), countText(u.Noncurrent, u.OldBytes)
	}
	fields(a.stdout, "bucket:", b.Name, "created:", timeText(b.Created), "versioning:", b.Versioning,
		"expire-noncurrent:", Duration(b.Expire).String(), "default encryption:", b.Default.String(),
		"objects:", now, "old versions:", old)
}

func countText(n, bytes int64) string { return fmt.Sprintf("%d (%s)", n, bytesText(bytes)) }
