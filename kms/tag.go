package kms

import (
	"context"
	"strings"
	"unicode/utf8"
)

// Tags keeps tags: words on a key for people and their programs.
type Tags interface {
	// TagResource sets tags; a name that is there gets the new value. More than 50 on one key: [TagException].
	TagResource(ctx context.Context, keyID string, tags []Tag) error
	// UntagResource removes tags. A name that is not there is no error.
	UntagResource(ctx context.Context, keyID string, names []string) error
	// ListResourceTags returns tags in ascending order of name behind the name after, at most limit.
	ListResourceTags(ctx context.Context, keyID, after string, limit int) (TagPage, error)
}

// Tag is a name with a value.
type Tag struct{ Key, Value string }

// TagPage is one page of tags. Where Next is not empty, pass it as after for the next page.
type TagPage struct {
	Tags []Tag
	Next string
}

// Limits of AWS KMS for tags.
const (
	MaxTags        = 50 // of one key
	DefaultTagPage = 50
	MaxTagPage     = 50
	maxTagKey      = 128
	maxTagValue    = 256
)

// TagResource sets tags of a key.
func (s *Service) TagResource(ctx context.Context, keyID string, tags []Tag) error {
	return s.change(ctx, OpTagResource, keyID, func(id string) error {
		if err := validateTags(tags); err != nil {
			return err
		}
		return s.backend.TagResource(ctx, id, tags)
	})
}

// UntagResource removes tags of a key.
func (s *Service) UntagResource(ctx context.Context, keyID string, names []string) error {
	return s.change(ctx, OpUntagResource, keyID, func(id string) error {
		for _, n := range names {
			if err := validateTag(Tag{Key: n}); err != nil {
				return err
			}
		}
		return s.backend.UntagResource(ctx, id, names)
	})
}

// ListResourceTags lists the tags of a key; limit 0 means [DefaultTagPage].
func (s *Service) ListResourceTags(ctx context.Context, keyID, after string, limit int) (page TagPage, err error) {
	if limit == 0 {
		limit = DefaultTagPage
	}
	err = s.read(ctx, OpListResourceTags, keyID, func(id string) error {
		if err := validateRange("limit", limit, MaxTagPage); err != nil {
			return err
		}
		page, err = s.backend.ListResourceTags(ctx, id, after, limit)
		return err
	})
	return page, err
}

func validateTags(tags []Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		if err := validateTag(t); err != nil {
			return err
		}
		if seen[t.Key] {
			return Errorf(TagException, "Duplicate tag keys")
		}
		seen[t.Key] = true
	}
	if len(tags) > MaxTags {
		return Errorf(TagException, "Too many tags")
	}
	return nil
}

func validateTag(t Tag) error {
	switch {
	case t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey:
		return validateLength("tagKey", utf8.RuneCountInString(t.Key), maxTagKey)
	case utf8.RuneCountInString(t.Value) > maxTagValue:
		return validateLength("tagValue", utf8.RuneCountInString(t.Value), maxTagValue)
	case !utf8.ValidString(t.Key) || !utf8.ValidString(t.Value):
		return Errorf(TagException, "A tag is not valid UTF-8")
	case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
		return Errorf(TagException, "Tags beginning with aws: are reserved")
	}
	return nil
}
