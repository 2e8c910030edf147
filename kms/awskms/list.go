package awskms

import (
	"cmp"
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// all follows the markers of a list to its end. AWS's lists have no order that it promises, and markers that say nothing, while
// kms.Backend's are in order and go on behind a name: so each page of the latter reads the whole list.
func all[T any](ctx context.Context, page func(ctx context.Context, marker *string) ([]T, *string, error)) ([]T, error) {
	var out []T
	for marker := (*string)(nil); ; {
		part, next, err := page(ctx, marker)
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		if aws.ToString(next) == "" {
			return out, nil
		}
		marker = next
	}
}

// cut is the page of at most limit entries behind the name after. next is the last of its names, "" at the end.
func cut[T any](list []T, name func(T) string, after string, limit int) (page []T, next string) {
	list = slices.DeleteFunc(list, func(e T) bool { return name(e) <= after && after != "" })
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	if limit <= 0 || len(list) <= limit {
		return list, ""
	}
	return list[:limit], name(list[limit-1])
}
