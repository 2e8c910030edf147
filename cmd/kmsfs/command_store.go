package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
)

func (a *app) initCommand() *cobra.Command {
	cmd := command("init", "Make a store and its root key", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		path, err := a.cfg.StorePath()
		if err != nil {
			return err
		}
		exists, err := storeExists(path)
		if err != nil {
			return err
		}
		if exists {
			return &service.Error{Code: service.BadRequest, Message: "there is a store at " + path + " already"}
		}
		o, err := openStore(path, &a.cfg, true, a.logger())
		if err != nil {
			return err
		}
		if err := o.Close(); err != nil {
			return err
		}
		key, err := a.cfg.rootPath(path)
		if err != nil {
			return err
		}
		kit, err := a.newKit(path)
		if err != nil {
			return fmt.Errorf("the store is ready, but its recovery kit could not be written (run: kmsfs root kit): %w", err)
		}
		return a.print(map[string]string{"store": path, "root_key": key, "recovery_kit": kit}, func(w io.Writer) {
			fmt.Fprintf(w, "store %s is ready\nkeep a copy of its root key %s elsewhere: without it the data is lost\n", path, key)
			if kit != "" {
				fmt.Fprintln(w, kitAdvice(kit))
			}
		})
	})
	a.protectionFlags(cmd)
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	cmd := command("status", "Show the store, its daemon and its mounts", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Status, error) {
			return s.Status(ctx, service.StatusRequest{Usage: !a.cfg.Status.Brief})
		}, a.printStatus)
	})
	a.flag(cmd, "status.brief", "", "do not count objects")
	return cmd
}

func (a *app) printStatus(s service.Status) {
	daemon := "not running"
	if s.PID != 0 {
		daemon = fmt.Sprintf("pid %d, since %s", s.PID, timeText(s.Started))
	}
	fields(a.stdout, "store:", s.Store, "daemon:", daemon, "kms calls:", fmt.Sprint(s.KMSCalls))
	a.printProvider(s.Provider)
	for _, t := range s.Throttled {
		fields(a.stdout, "throttled:", fmt.Sprintf("%d requests of %s over the quota of %s", t.Requests, t.Principal, t.Operation))
	}
	if !a.cfg.Status.Brief {
		fields(a.stdout, "buckets:", fmt.Sprint(s.Buckets), "objects:", countText(s.Objects, s.Bytes),
			"old versions:", countText(s.Noncurrent, s.OldBytes),
			"disk:", fmt.Sprintf("%s free of %s", bytesText(s.DiskFree), bytesText(s.DiskTotal)))
	}
	if len(s.Doors) > 0 {
		table(a.stdout, "DOOR\tURL\tSINCE", func(line func(...any)) {
			for _, d := range s.Doors {
				line(d.Protocol, d.URL, timeText(d.Since))
			}
		})
	}
	if len(s.Mounts) == 0 {
		return
	}
	table(a.stdout, "MOUNT\tBUCKET\tSINCE\tOPTIONS", func(line func(...any)) {
		for _, m := range s.Mounts {
			line(m.Dir, orAll(m.Bucket), timeText(m.Since), optionsText(m.Options))
		}
	})
}

func orAll(bucket string) string {
	if bucket == "" {
		return "(all)"
	}
	return bucket
}

func optionsText(o service.MountOptions) string {
	s := "rw"
	if o.ReadOnly {
		s = "ro"
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{o.Suid, "suid"}, {o.Dev, "dev"}, {o.NoExec, "noexec"}, {o.AllowOther, "allow_other"}, {o.NonEmpty, "nonempty"},
		{o.Permissions, "default_permissions"}, {o.ReencryptOnSet, "reencrypt=on-set"}} {
		if f.on {
			s += "," + f.name
		}
	}
	for _, f := range []struct {
		n            *uint32
		name, format string
	}{{o.UID, "uid", "%d"}, {o.GID, "gid", "%d"}, {o.Umask, "umask", "%03o"}} {
		if f.n != nil {
			s += "," + f.name + "=" + fmt.Sprintf(f.format, *f.n)
		}
	}
	return s
}

func (a *app) gcCommand() *cobra.Command {
	return command("gc", "Reclaim now what the background would reclaim soon", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.GCAnswer, error) {
			return s.GC(ctx, service.Nothing{})
		}, func(r service.GCAnswer) {
			a.line("removed %d expired versions and %d unused contents: %s", r.Versions, r.Contents, bytesText(r.Bytes))
		})
	})
}

func (a *app) versionCommand() *cobra.Command {
	return command("version", "Print the version of the program", cobra.NoArgs, func(context.Context, []string) error {
		return a.print(map[string]string{"version": programVersion()}, func(w io.Writer) { fmt.Fprintln(w, "kmsfs", programVersion()) })
	})
}

// programVersion is the module's version, or the commit that the program was built from.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && version == "(devel)" {
			version = s.Value[:min(12, len(s.Value))]
		}
	}
	return version
}

func (a *app) configCommand() *cobra.Command {
	show := command("show", "Print the settings in force and where each comes from", cobra.NoArgs, func(context.Context, []string) error {
		return a.print(a.effective(), func(w io.Writer) {
			table(w, "SETTING\tVALUE\tFROM", func(line func(...any)) {
				for _, s := range a.effective() {
					line(s.Key, fmt.Sprintf("%v", s.Value), s.From)
				}
			})
		})
	})
	check := command("check [FILE]", "Check a configuration file, or the settings in force", cobra.MaximumNArgs(1),
		func(_ context.Context, args []string) error {
			if len(args) == 1 {
				c := Default()
				if _, err := c.Load(args[0]); err != nil {
					return err
				}
				if err := c.Validate(); err != nil {
					return err
				}
			}
			a.line("ok")
			return nil
		})
	example := command("example", "Print a configuration file with every setting at its default", cobra.NoArgs,
		func(context.Context, []string) error {
			_, err := a.stdout.Write(exampleConfig)
			return err
		})
	return a.group("config", "Show and check the configuration", show, check, example)
}

// effectiveSetting is one line of `config show`.
type effectiveSetting struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
	From  string `json:"from"`
}

func (a *app) effective() []effectiveSetting {
	var out []effectiveSetting
	for _, key := range settingKeys() {
		s := effectiveSetting{Key: key, Value: a.cfg.field(key).Interface(), From: string(a.originOf(key))}
		if d, ok := s.Value.(Duration); ok {
			s.Value = d.String()
		}
		switch origin(s.From) {
		case fromFile:
			s.From += " " + a.configFile
		case fromEnv:
			s.From += " $" + variable(key)
		}
		out = append(out, s)
	}
	if path, err := a.cfg.StorePath(); err == nil && os.Getenv(variable("store")) == "" && a.cfg.Store == "" {
		out[0].Value = path
	}
	return out
}

func (a *app) originOf(key string) origin {
	if o, ok := a.origin[key]; ok {
		return o
	}
	return fromDefault
}
