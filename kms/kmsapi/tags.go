package kmsapi

import (
	"context"
	"fmt"

	"kmsfs/kms"
)

type tag struct{ TagKey, TagValue *string }

func checkTags(v *violations, tags []tag) {
	for i, t := range tags {
		v.required(fmt.Sprintf("tags.%d.member.tagKey", i+1), t.TagKey != nil)
		v.required(fmt.Sprintf("tags.%d.member.tagValue", i+1), t.TagValue != nil)
	}
}

func plainTags(tags []tag) []kms.Tag {
	out := make([]kms.Tag, len(tags))
	for i, t := range tags {
		out[i] = kms.Tag{Key: *t.TagKey, Value: *t.TagValue}
	}
	return out
}

type tagRequest struct {
	KeyId *string
	Tags  []tag
}

func (r *tagRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("tags", r.Tags != nil)
	checkTags(v, r.Tags)
}

func tagResource(ctx context.Context, s *kms.Service, in *tagRequest) (*nothing, error) {
	return nil, s.TagResource(ctx, *in.KeyId, plainTags(in.Tags))
}

type untagRequest struct {
	KeyId   *string
	TagKeys []string
}

func (r *untagRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	v.required("tagKeys", r.TagKeys != nil)
}

func untagResource(ctx context.Context, s *kms.Service, in *untagRequest) (*nothing, error) {
	return nil, s.UntagResource(ctx, *in.KeyId, in.TagKeys)
}

type listTagsRequest struct {
	KeyId *string
	page
}

func (r *listTagsRequest) check(v *violations) {
	v.required("keyId", r.KeyId != nil)
	r.page.check(v, kms.MaxTagPage)
}

type tagEntry struct{ TagKey, TagValue string }

type listTagsAnswer struct {
	Tags []tagEntry
	next
}

func listResourceTags(ctx context.Context, s *kms.Service, in *listTagsRequest) (*listTagsAnswer, error) {
	after, err := in.after("tag")
	if err != nil {
		return nil, err
	}
	p, err := s.ListResourceTags(ctx, *in.KeyId, after, number(in.Limit))
	if err != nil {
		return nil, err
	}
	out := &listTagsAnswer{Tags: make([]tagEntry, len(p.Tags)), next: nextPage("tag", p.Next)}
	for i, t := range p.Tags {
		out.Tags[i] = tagEntry{TagKey: t.Key, TagValue: t.Value}
	}
	return out, nil
}
