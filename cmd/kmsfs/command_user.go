package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
)

func (a *app) userCommand() *cobra.Command {
	create := command("create NAME", "Make a user and print the access key", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Credentials, error) {
			return s.UserCreate(ctx, service.UserName{Name: args[0]})
		}, func(c service.Credentials) {
			fields(a.stdout, "user:", c.Name, "access key id:", c.AccessKeyID, "secret access key:", c.Secret)
		})
	})
	list := command("ls", "List the users", cobra.NoArgs, func(ctx context.Context, _ []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]service.DoorUser, error) {
			return s.UserList(ctx, service.Nothing{})
		}, a.printUsers)
	})
	remove := command("rm NAME", "Take a user's access away, at once", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Nothing, error) {
			return s.UserRemove(ctx, service.UserName{Name: args[0]})
		}, func(service.Nothing) {})
	})
	return a.group("user", "Users of the doors and their access keys", create, list, remove)
}

func (a *app) printUsers(all []service.DoorUser) {
	table(a.stdout, "USER\tACCESS KEY ID\tCREATED", func(line func(...any)) {
		for _, u := range all {
			if u.Damaged {
				line(u.Name, "(its record is damaged)", "-")
				continue
			}
			line(u.Name, u.AccessKeyID, timeText(u.Created))
		}
	})
}

func (a *app) envCommand() *cobra.Command {
	cmd := command("env", "Print what the AWS tools want to know, as lines for a shell", cobra.NoArgs, a.env)
	cmd.Long = "env prints the access key of a user and where the doors are: eval \"$(kmsfs env)\". Without --user there must be only\n" +
		"one user. aws-cli before 2.13 and SDKs before July 2023 do not know AWS_ENDPOINT_URL_KMS\n" +
		"and AWS_ENDPOINT_URL_S3: give them --endpoint-url \"$AWS_ENDPOINT_URL_KMS\"."
	a.flag(cmd, "env.user", "", "whose access key")
	return cmd
}

func (a *app) env(ctx context.Context, _ []string) error {
	ctx, c, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer c.close()
	user, err := c.UserCredentials(ctx, service.UserName{Name: a.cfg.Env.User})
	if err != nil {
		return err
	}
	st, err := c.Status(ctx, service.StatusRequest{})
	if err != nil {
		return err
	}
	vars := [][2]string{{"AWS_ACCESS_KEY_ID", user.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", user.Secret}, {"AWS_DEFAULT_REGION", a.cfg.KMS.Region}}
	if len(st.Doors) == 0 {
		fmt.Fprintln(a.stderr, "kmsfs: no door is open; kmsfs serve --kms 127.0.0.1:PORT --s3 127.0.0.1:PORT opens them")
	}
	return a.printEnv(append(vars, endpoints(st.Doors)...))
}

// endpoints is where the first door of each protocol is.
func endpoints(open []service.Door) (vars [][2]string) {
	names := map[string]string{service.ProtocolKMS: "AWS_ENDPOINT_URL_KMS", service.ProtocolS3: "AWS_ENDPOINT_URL_S3"}
	ca := ""
	for _, d := range open {
		if name := names[d.Protocol]; name != "" {
			vars = append(vars, [2]string{name, d.URL})
			delete(names, d.Protocol)
		}
		ca = cmp.Or(ca, d.CAFile)
	}
	if ca != "" {
		vars = append(vars, [2]string{"AWS_CA_BUNDLE", ca})
	}
	return vars
}

func (a *app) printEnv(vars [][2]string) error {
	all := map[string]string{}
	for _, v := range vars {
		all[v[0]] = v[1]
	}
	return a.print(all, func(w io.Writer) {
		for _, v := range vars {
			fmt.Fprintf(w, "export %s=%s\n", v[0], shellQuoted(v[1]))
		}
	})
}

// shellQuoted is a word of a POSIX shell.
func shellQuoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
