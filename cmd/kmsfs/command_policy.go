package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/kms/policy"
)

func (a *app) keyPolicy() *cobra.Command {
	cmd := command("policy KEY", "Print the policy of a key, or replace it", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		c := &a.cfg.KeyPolicy
		switch {
		case c.Remove && (!c.Here || c.Set != ""):
			return usagef("--remove goes with --here alone: every key has a policy of its own")
		case c.Remove:
			return a.setPolicy(ctx, service.KeyPolicy{ID: args[0], Here: true})
		case c.Set == "":
			return a.showPolicy(ctx, service.KeyPolicyRequest{ID: args[0], Here: c.Here})
		}
		text, err := readPolicy(c.Set)
		if err != nil {
			return err
		}
		return a.setPolicy(ctx, service.KeyPolicy{ID: args[0], Policy: text, Here: c.Here})
	})
	cmd.Long = "policy prints who may do what with a key, in AWS's JSON language. --set FILE, or --set - for standard input,\n" +
		"replaces it at once. A user is arn:aws:iam::ACCOUNT:user/NAME: on a mount the name of the process's uid, at a door\n" +
		"the user of the access key. root and the owner of the store are arn:aws:iam::ACCOUNT:root.\n\n" +
		"A key that is in another KMS has its policy there, for the one user that this program is there. --here is about a\n" +
		"second policy, kept in this store, that tells the users of this machine apart: both have to allow a use. Without one, who\n" +
		"may use the mount may use the key."
	a.flag(cmd, "key-policy.set", "", "file with the new policy; - is standard input")
	a.flag(cmd, "key-policy.here", "", "the policy of this store, for a key that is in another KMS")
	a.flag(cmd, "key-policy.remove", "", "with --here: remove that policy")
	return cmd
}

func (a *app) showPolicy(ctx context.Context, r service.KeyPolicyRequest) error {
	return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.KeyPolicy, error) {
		return s.KeyPolicy(ctx, r)
	}, func(p service.KeyPolicy) {
		if p.Policy == "" {
			a.line("%s has no policy here", p.ID)
			return
		}
		a.line("%s", strings.TrimRight(p.Policy, "\n"))
	})
}

func (a *app) setPolicy(ctx context.Context, p service.KeyPolicy) error {
	return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.KeyPolicy, error) {
		return s.KeyPolicySet(ctx, p)
	}, func(p service.KeyPolicy) {
		if p.Policy == "" {
			a.line("%s has no policy here any more", p.ID)
			return
		}
		a.line("%s has a new policy; it is in force", p.ID)
	})
}

// readPolicy reads a policy and checks its grammar. The error shows the line with the mistake.
func readPolicy(path string) (string, error) {
	in := io.Reader(os.Stdin)
	name := "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in, name = f, path
	}
	text, err := io.ReadAll(io.LimitReader(in, policy.MaxSize+1))
	if err != nil {
		return "", err
	}
	_, err = policy.Parse(string(text))
	var mistake *policy.SyntaxError
	if errors.As(err, &mistake) {
		return "", kms.Errorf(kms.MalformedPolicyException, "%s: %s%s", name, mistake.Error(), markedLine(string(text), mistake))
	}
	return string(text), err
}

// markedLine is the line of a mistake, and under it a mark at the column. Long lines are cut around it.
func markedLine(text string, m *policy.SyntaxError) string {
	const before, width = 60, 100
	lines := strings.Split(text, "\n")
	if m.Line < 1 || m.Line > len(lines) {
		return ""
	}
	line, at := lines[m.Line-1], m.Column-1
	at = max(0, min(at, len(line)))
	start := max(0, at-before)
	cut := strings.Map(func(r rune) rune {
		if r == '\t' || r == '\r' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(line[start:min(len(line), start+width)], "?"))
	return fmt.Sprintf("\n  %s\n  %s^", cut, strings.Repeat(" ", len([]rune(line[start:at]))))
}

func (a *app) keyTag() *cobra.Command {
	cmd := command("tag KEY [NAME=VALUE...]", "List, set and remove tags of a key", cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
		r := service.KeyTagRequest{ID: args[0], Remove: a.cfg.KeyTag.Remove}
		for _, arg := range args[1:] {
			name, value, ok := strings.Cut(arg, "=")
			if !ok {
				return usagef("%q is not NAME=VALUE", arg)
			}
			r.Set = append(r.Set, kms.Tag{Key: name, Value: value})
		}
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]kms.Tag, error) { return s.KeyTags(ctx, r) },
			func(tags []kms.Tag) {
				table(a.stdout, "TAG\tVALUE", func(line func(...any)) {
					for _, t := range tags {
						line(t.Key, t.Value)
					}
				})
			})
	})
	a.flag(cmd, "key-tag.remove", "", "remove this tag; may be given more than once")
	return cmd
}

func (a *app) keyRotation() *cobra.Command {
	cmd := command("rotation KEY", "Show when a key is rotated, and its materials; --every and --off change it", cobra.ExactArgs(1),
		func(ctx context.Context, args []string) error {
			r := service.KeyRotationRequest{ID: args[0], Days: a.cfg.KeyRotation.Every, Off: a.cfg.KeyRotation.Off}
			if r.Off && r.Days != 0 {
				return usagef("--every and --off contradict each other")
			}
			return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.KeyRotation, error) {
				return s.KeyRotation(ctx, r)
			}, a.printRotation)
		})
	a.flag(cmd, "key-rotation.every", "", "rotate by itself every so many days: 90 to 2560")
	a.flag(cmd, "key-rotation.off", "", "rotate no more by itself")
	return cmd
}

func (a *app) printRotation(r service.KeyRotation) {
	text := "off"
	if r.Status.Enabled {
		text = fmt.Sprintf("every %d days, next at %s", r.Status.PeriodDays, timeText(r.Status.Next))
	}
	fields(a.stdout, "rotation:", text)
	table(a.stdout, "MATERIAL\tSINCE\tHOW\tENCRYPTS", func(line func(...any)) {
		for _, m := range r.Materials {
			line(m.MaterialID, orDash(timeText(m.Date)), orDash(m.Type), m.Current)
		}
	})
}
