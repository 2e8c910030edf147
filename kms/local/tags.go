package local

import (
	"context"
	"slices"
	"strings"

	"kmsfs/kms"
)

// setTags adds tags to the key, which is the caller's own. The order of names is kept.
func (k *key) setTags(tags []kms.Tag) error {
	all := slices.Clone(k.info.Tags)
	for _, t := range tags {
		i, found := findTag(all, t.Key)
		if !found {
			all = slices.Insert(all, i, tag{Key: t.Key})
		}
		all[i].Value = t.Value
	}
	if len(all) > kms.MaxTags {
		return kms.Errorf(kms.TagException, "Too many tags")
	}
	k.info.Tags = all
	return nil
}

func findTag(tags []tag, name string) (int, bool) {
	return slices.BinarySearchFunc(tags, name, func(t tag, name string) int { return strings.Compare(t.Key, name) })
}

// TagResource is kms.Tags'.
func (p *Provider) TagResource(ctx context.Context, keyID string, tags []kms.Tag) error {
	_, err := p.change(ctx, kms.OpTagResource, keyID, func(k *key) error { return k.setTags(tags) })
	return err
}

// UntagResource is kms.Tags'.
func (p *Provider) UntagResource(ctx context.Context, keyID string, names []string) error {
	_, err := p.change(ctx, kms.OpUntagResource, keyID, func(k *key) error {
		k.info.Tags = slices.DeleteFunc(slices.Clone(k.info.Tags), func(t tag) bool { return slices.Contains(names, t.Key) })
		return nil
	})
	return err
}

// ListResourceTags is kms.Tags'.
func (p *Provider) ListResourceTags(ctx context.Context, keyID, after string, limit int) (kms.TagPage, error) {
	k, err := p.lookup(ctx, keyID)
	if err != nil {
		return kms.TagPage{}, err
	}
	var page kms.TagPage
	for _, t := range k.info.Tags {
		if t.Key <= after {
			continue
		}
		if len(page.Tags) == limit {
			page.Next = page.Tags[limit-1].Key
			break
		}
		page.Tags = append(page.Tags, kms.Tag(t))
	}
	return page, nil
}
