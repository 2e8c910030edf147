package main

import (
	"context"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/objstore"
)

// onTarget runs a call about one path on the store that the path leads to.
func onTarget[T any](a *app, ctx context.Context, arg string, do func(context.Context, service.API, service.Object) (T, error), text func(T)) error {
	targets, err := a.resolveTargets(ctx, []string{arg})
	if err != nil {
		return err
	}
	a.useStore(targets)
	return verb(a, ctx, false, func(ctx context.Context, s service.API) (T, error) { return do(ctx, s, targets[0].object) }, text)
}

// useStore makes the store of the paths the one to talk to.
func (a *app) useStore(targets []target) {
	if targets[0].store != "" {
		a.cfg.Store = targets[0].store
	}
}

func (a *app) versionsCommand() *cobra.Command {
	return command("versions PATH", "List the versions of a file, newest first", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return onTarget(a, ctx, args[0], func(ctx context.Context, s service.API, o service.Object) ([]service.Version, error) {
			return s.Versions(ctx, o)
		}, func(all []service.Version) {
			table(a.stdout, "VERSION\tSTATE\tSIZE\tMODIFIED\tENCRYPTION", func(line func(...any)) {
				for _, v := range all {
					line(v.ID, versionState(v), v.Size, timeText(v.Modified), v.Stored)
				}
			})
		})
	})
}

func versionState(v service.Version) string {
	s := "old"
	if v.Current {
		s = "current"
	}
	if v.DeleteMarker {
		s += ",deleted"
	}
	return s
}

func (a *app) restoreCommand() *cobra.Command {
	return command("restore PATH VERSION", "Make an old version the current one", cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
		return onTarget(a, ctx, args[0], func(ctx context.Context, s service.API, o service.Object) (service.Version, error) {
			return s.Restore(ctx, service.RestoreRequest{Object: o, Version: objstore.VersionID(args[1])})
		}, func(v service.Version) { a.line("%s: version %s is current", args[0], v.ID) })
	})
}

func (a *app) explainCommand() *cobra.Command {
	return command("explain PATH", "Tell which key a file uses, why, and since when", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return onTarget(a, ctx, args[0], func(ctx context.Context, s service.API, o service.Object) (service.Explanation, error) {
			return s.Explain(ctx, o)
		}, a.printExplanation)
	})
}

func (a *app) printExplanation(e service.Explanation) {
	fields(a.stdout, "object:", service.Object{Bucket: e.Bucket, Key: e.Key}.String(), "selected:", e.Selected.String())
	for _, r := range e.Why {
		from := r.From
		if r.Path != "" {
			from += " " + r.Path
		}
		a.line("  %s = %s, from %s", r.Attribute, orDash(r.Value), from)
	}
	stored := "nothing yet"
	switch {
	case e.Directory:
		stored = ""
	case e.Stored != nil:
		stored = e.Stored.String()
	}
	pending := ""
	if e.Pending {
		pending = "yes: the next write or `kmsfs reencrypt` makes a version as selected"
	}
	fields(a.stdout, "stored:", stored, "version:", e.Version, "since:", timeText(e.Since), "pending:", pending,
		"key state:", e.KeyState, "key alias:", list(e.Aliases), "cannot be used:", e.Error, "last error:", e.LastError)
}
