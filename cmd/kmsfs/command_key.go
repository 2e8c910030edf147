package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/objstore"
)

func (a *app) keyCommand() *cobra.Command {
	return a.group("key", "Make and administer KMS keys", a.keyCreate(), a.keyList(),
		a.keyVerb("describe", "Describe a key", service.API.KeyDescribe),
		a.keyVerb("enable", "Allow the use of a key again", service.API.KeyEnable),
		a.keyDisable(),
		a.keyVerb("rotate", "Add key material; what is stored stays readable", service.API.KeyRotate),
		a.keyRotation(), a.keyPolicy(), a.keyTag(), a.grantCommand(),
		a.keyUse(), a.keyScheduleDeletion(),
		a.keyVerb("cancel-deletion", "Stop a deletion; the key stays disabled", service.API.KeyCancelDeletion),
		a.keyCertificate(), a.aliasCommand())
}

func (a *app) keyCreate() *cobra.Command {
	cmd := command("create", "Make a symmetric key and print its ARN", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Key, error) {
			return s.KeyCreate(ctx, service.KeyCreateRequest{Alias: a.cfg.Key.Alias, Description: a.cfg.Key.Description})
		}, func(k service.Key) { a.line("%s", k.ARN) })
	})
	a.flag(cmd, "key.alias", "", "name of the key: alias/NAME")
	a.flag(cmd, "key.description", "", "what the key is for")
	return cmd
}

func (a *app) keyList() *cobra.Command {
	return command("ls", "List the keys", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]service.Key, error) {
			return s.KeyList(ctx, service.Nothing{})
		}, func(keys []service.Key) {
			table(a.stdout, "KEY\tALIAS\tSTATE\tCREATED\tDESCRIPTION", func(line func(...any)) {
				for _, k := range keys {
					line(k.ID, orDash(strings.Join(k.Aliases, ",")), k.State, timeText(k.Created), k.Description)
				}
			})
		})
	})
}

// keyVerb is a command on one key that prints the key as it is then.
func (a *app) keyVerb(use, short string, do func(service.API, context.Context, service.KeyID) (service.Key, error)) *cobra.Command {
	return command(use+" KEY", short, cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Key, error) {
			return do(s, ctx, service.KeyID{ID: args[0]})
		}, a.printKey)
	})
}

func (a *app) keyDisable() *cobra.Command {
	cmd := command("disable KEY", "Refuse every use of a key from now on", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.KeyStopped, error) {
			return s.KeyDisable(ctx, service.KeyID{ID: args[0]})
		}, a.printStopped)
	})
	cmd.Long = "disable refuses every use of a key from now on, bucket keys included, and says what goes on all the same.\n" +
		"`kmsfs key enable` allows it again."
	return cmd
}

func (a *app) keyUse() *cobra.Command {
	return command("use KEY", "Count what cannot be read without a key", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (objstore.KeyUse, error) {
			return s.KeyUse(ctx, service.KeyID{ID: args[0]})
		}, func(u objstore.KeyUse) {
			fields(a.stdout, "files:", fmt.Sprint(u.Files), "versions:", fmt.Sprint(u.Versions), "bytes:", fmt.Sprint(u.Bytes))
		})
	})
}

func (a *app) keyScheduleDeletion() *cobra.Command {
	cmd := command("schedule-deletion KEY", "Make a key unusable now and destroy it later", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.KeyStopped, error) {
				return s.KeyScheduleDeletion(ctx, service.KeyDeletionRequest{ID: args[0], Days: a.cfg.Key.Days, WillLose: int64(a.cfg.Key.WillLose)})
			}, a.printStopped)
		})
	cmd.Long = "schedule-deletion makes a key unusable now, and destroys it after --days. What is encrypted under it can never be\n" +
		"read again then. It counts that first, and does nothing unless --i-will-lose has the number of versions.\n" +
		"Until the key is destroyed, `kmsfs key cancel-deletion` brings everything back."
	a.flag(cmd, "key.i-will-lose", "", "how many versions become unreadable for ever")
	a.flag(cmd, "key.days", "", "days until the key is destroyed, with everything under it: 7 to 30")
	return cmd
}

func (a *app) printKey(k service.Key) {
	fields(a.stdout, "key:", k.ARN, "alias:", strings.Join(k.Aliases, ", "), "state:", string(k.State),
		"created:", timeText(k.Created), "deletion:", timeText(k.DeletionDate), "description:", k.Description,
		"usage:", k.Usage+" "+k.Spec, "manager:", k.Manager, "material:", k.MaterialID)
}

// printStopped says, after the key, how far its end reaches.
func (a *app) printStopped(k service.KeyStopped) {
	a.printKey(k.Key)
	lifetime := Duration(k.BucketKeyLifetime)
	a.line("New opens are refused from now on. Bucket keys, which live for %s, were dropped; open files keep their data key until they are closed.", lifetime)
	if k.Shared {
		a.line("Whoever else uses this key in its key service keeps bucket keys for their lifetime: another kmsfs %s, if it is set as this one.", lifetime)
	}
}

func (a *app) aliasCommand() *cobra.Command {
	return a.group("alias", "Name keys", a.aliasList(), a.aliasSet(), a.aliasRemove())
}

func (a *app) aliasList() *cobra.Command {
	return command("ls", "List the aliases", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]service.Alias, error) {
			return s.AliasList(ctx, service.Nothing{})
		}, func(all []service.Alias) {
			table(a.stdout, "ALIAS\tKEY", func(line func(...any)) {
				for _, n := range all {
					line(n.Name, n.Target)
				}
			})
		})
	})
}

func (a *app) aliasSet() *cobra.Command {
	return command("set ALIAS KEY", "Point an alias, new or existing, to a key", cobra.ExactArgs(2),
		func(ctx context.Context, args []string) error {
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Alias, error) {
				return s.AliasSet(ctx, service.Alias{Name: args[0], Target: args[1]})
			}, func(n service.Alias) { a.line("%s -> %s", n.Name, n.Target) })
		})
}

func (a *app) aliasRemove() *cobra.Command {
	return command("rm ALIAS", "Remove an alias; the key stays", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Nothing, error) {
			return s.AliasRemove(ctx, service.AliasName{Name: args[0]})
		}, func(service.Nothing) {})
	})
}
