package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
)

func (a *app) grantCommand() *cobra.Command {
	return a.group("grant", "Let one user use a key, beside its policy", a.grantCreate(), a.grantList(),
		a.grantEnd("revoke", "End a grant, as who administers the key", service.API.GrantRevoke),
		a.grantEnd("retire", "End a grant, as its retiring principal", service.API.GrantRetire))
}

func (a *app) grantCreate() *cobra.Command {
	cmd := command("create KEY", "Make a grant and print its id", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		g := a.cfg.Grant
		r := service.GrantRequest{ID: args[0], Grantee: a.principal(g.Grantee), Retiring: a.principal(g.Retiring), Name: g.Name}
		for op := range strings.SplitSeq(g.Operations, ",") {
			r.Operations = append(r.Operations, kms.Operation(strings.TrimSpace(op)))
		}
		var err error
		if g.Context != "" {
			if r.Context, err = kms.ParseContext(g.Context); err != nil {
				return usagef("--context: %w", err)
			}
		}
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (kms.GrantRef, error) {
			return s.GrantCreate(ctx, r)
		}, func(ref kms.GrantRef) { a.line("%s", ref.ID) })
	})
	a.flag(cmd, "grant.grantee", "", "who may: the name of a user, or an ARN")
	a.flag(cmd, "grant.retiring", "", "who may take it back: the name of a user, or an ARN")
	a.flag(cmd, "grant.operations", "", "what he may, separated by commas")
	a.flag(cmd, "grant.name", "", "name: the same grant is not made twice")
	a.flag(cmd, "grant.context", "", "JSON object: pairs that the encryption context must have")
	return cmd
}

// principal makes an ARN of a user's name.
func (a *app) principal(name string) string {
	if name == "" || strings.HasPrefix(name, "arn:") {
		return name
	}
	return kms.UserPrincipal(a.cfg.KMS.Account, name)
}

func (a *app) grantList() *cobra.Command {
	return command("ls KEY", "List the grants of a key", cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) ([]kms.Grant, error) {
			return s.GrantList(ctx, service.KeyID{ID: args[0]})
		}, func(all []kms.Grant) {
			table(a.stdout, "GRANT\tGRANTEE\tOPERATIONS\tCREATED\tNAME", func(line func(...any)) {
				for _, g := range all {
					line(g.ID, g.Grantee, operationList(g.Operations), timeText(g.Created), g.Name)
				}
			})
		})
	})
}

func operationList(ops []kms.Operation) string {
	out := make([]string, len(ops))
	for i, op := range ops {
		out[i] = string(op)
	}
	return strings.Join(out, ",")
}

func (a *app) grantEnd(use, short string, do func(service.API, context.Context, service.GrantName) (service.Nothing, error)) *cobra.Command {
	return command(use+" KEY GRANT", short, cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
		return verb(a, ctx, false, func(ctx context.Context, s service.API) (service.Nothing, error) {
			return do(s, ctx, service.GrantName{Key: args[0], Grant: args[1]})
		}, func(service.Nothing) {})
	})
}
