// Command kmsfs mounts S3-style buckets whose objects are encrypted by server-side encryption with KMS keys, and
// administers buckets, keys and versions.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() { os.Exit(int(run(os.Args[1:], os.Stdout, os.Stderr))) }

// app is one run of the program.
type app struct {
	flags      Config // what the flags set
	configFile string
	cfg        Config // what is in force, from flags, variables, file and defaults
	origin     map[string]origin
	stdout     io.Writer
	stderr     io.Writer
	now        func() time.Time // of tests; nil: time.Now
}

// run answers the exit code of a command line.
func run(args []string, stdout, stderr io.Writer) exit {
	limitMemory()
	if err := protectMemory(); err != nil {
		fmt.Fprintf(stderr, "kmsfs: core dumps cannot be switched off: %v\n", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go restMemory(ctx)
	a := &app{flags: Default(), stdout: stdout, stderr: stderr}
	return a.run(ctx, args)
}

// run is one command line.
func (a *app) run(ctx context.Context, args []string) exit {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		a.report(cmd, err)
	}
	return exitCode(err)
}

// report prints an error for a person: what, why, what to do.
func (a *app) report(cmd *cobra.Command, err error) {
	if err.Error() != "" {
		fmt.Fprintf(a.stderr, "kmsfs: %s\n", strings.TrimSpace(err.Error()))
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(a.stderr, "usage: %s\n", cmd.UseLine())
		return
	}
	store, _ := a.cfg.StorePath()
	text := hint(err, store)
	if m := mountHint(err); m != "" {
		text = m
	}
	if text != "" {
		fmt.Fprintf(a.stderr, "hint: %s\n", text)
	}
}

// root is the command tree.
func (a *app) root() *cobra.Command {
	root := a.group("kmsfs", "Files as encrypted S3 objects, a KMS key for each",
		a.mountCommand(), a.umountCommand(), a.initCommand(), a.statusCommand(), a.bucketCommand(), a.keyCommand(),
		a.serveCommand(), a.userCommand(), a.envCommand(),
		a.versionsCommand(), a.restoreCommand(), a.reencryptCommand(), a.rewrapCommand(), a.explainCommand(),
		a.checkCommand(), a.backupCommand(), a.restoreBackupCommand(), a.auditCommand(), a.rootCommand(), a.gcCommand(), a.configCommand(), a.versionCommand())
	root.Long = "kmsfs mounts buckets as directories. Every file is an object, encrypted under a KMS key that its extended\n" +
		"attributes choose.\n\n" + exitHelp()
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return a.resolve(cmd) }
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	a.flag(root, "store", "", "directory of the store ($KMSFS_STORE)")
	a.flag(root, "json", "", "print JSON ($KMSFS_JSON)")
	a.flag(root, "root-key", "", "root key: a file, or credential:NAME of systemd ($KMSFS_ROOT_KEY)")
	a.flag(root, "log-level", "", "debug, info, warn or error ($KMSFS_LOG_LEVEL)")
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "configuration file ($KMSFS_CONFIG)")
	return root
}

// group is a command that only has commands below it.
func (a *app) group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use + " COMMAND", Short: short, DisableFlagsInUseLine: true}
	cmd.AddCommand(subs...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		text := fmt.Sprintf("%q is no command of %s", args[0], cmd.CommandPath())
		if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
			text += ": did you mean " + strings.Join(like, " or ") + "?"
		}
		return usagef("%s", text)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Parent() == nil {
			return cmd.Help()
		}
		cmd.SetOut(a.stderr)
		return errors.Join(cmd.Help(), usagef("%s needs a command", cmd.CommandPath()))
	}
	cmd.SuggestionsMinimumDistance = 2
	return cmd
}

// command is a leaf of the tree. Wrong numbers of arguments are a [usageError].
func command(use, short string, args cobra.PositionalArgs, run func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, given []string) error {
			if err := args(cmd, given); err != nil {
				return &usageError{err}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) },
	}
}
