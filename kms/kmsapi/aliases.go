package kmsapi

import (
	"context"

	"kmsfs/kms"
)

type aliasRequest struct{ AliasName, TargetKeyId *string }

func (r *aliasRequest) check(v *violations) {
	v.required("aliasName", r.AliasName != nil)
	v.required("targetKeyId", r.TargetKeyId != nil)
}

func createAlias(ctx context.Context, s *kms.Service, in *aliasRequest) (*nothing, error) {
	return nil, s.CreateAlias(ctx, *in.AliasName, *in.TargetKeyId)
}

func updateAlias(ctx context.Context, s *kms.Service, in *aliasRequest) (*nothing, error) {
	return nil, s.UpdateAlias(ctx, *in.AliasName, *in.TargetKeyId)
}

type deleteAliasRequest struct{ AliasName *string }

func (r *deleteAliasRequest) check(v *violations) { v.required("aliasName", r.AliasName != nil) }

func deleteAlias(ctx context.Context, s *kms.Service, in *deleteAliasRequest) (*nothing, error) {
	return nil, s.DeleteAlias(ctx, *in.AliasName)
}

type listAliasesRequest struct {
	KeyId *string
	page
}

func (r *listAliasesRequest) check(v *violations) { r.page.check(v, kms.MaxAliasPage) }

type aliasEntry struct {
	AliasArn        string
	AliasName       string
	CreationDate    *timestamp
	LastUpdatedDate *timestamp
	TargetKeyId     string
}

type listAliasesAnswer struct {
	Aliases []aliasEntry
	next
}

func listAliases(ctx context.Context, s *kms.Service, in *listAliasesRequest) (*listAliasesAnswer, error) {
	after, err := in.after("alias")
	if err != nil {
		return nil, err
	}
	p, err := s.ListAliases(ctx, text(in.KeyId), after, number(in.Limit))
	if err != nil {
		return nil, err
	}
	out := &listAliasesAnswer{Aliases: make([]aliasEntry, len(p.Aliases)), next: nextPage("alias", p.Next)}
	for i, a := range p.Aliases {
		out.Aliases[i] = aliasEntry{AliasArn: a.ARN, AliasName: a.Name, CreationDate: at(a.Created), LastUpdatedDate: at(a.Updated), TargetKeyId: a.TargetKeyID}
	}
	return out, nil
}
