package s3api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"kmsfs/objstore"
)

const maxBuckets = 10_000 // of a page of ListBuckets

type listBucketsResult struct {
	XMLName           struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner             owner
	Buckets           []bucketEntry `xml:"Buckets>Bucket"`
	ContinuationToken string        `xml:",omitempty"`
	Prefix            string        `xml:",omitempty"`
}

type bucketEntry struct {
	Name, CreationDate, BucketRegion string
}

// owner is the account: it owns everything.
type owner struct{ ID, DisplayName string }

func (h *Handler) owner() owner { return owner{h.Account, h.Account} }

// listBuckets lists all buckets by name.
func listBuckets(h *Handler, q *request) (*response, error) {
	limit := maxBuckets
	if text := q.query.Get("max-buckets"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxBuckets {
			return nil, argument("max-buckets", text, "Argument max-buckets must be an integer between 1 and 10000")
		}
		limit = n
	}
	all, err := h.Store.ListBuckets(q.Context())
	if err != nil {
		return nil, err
	}
	prefix, after := q.query.Get("prefix"), q.query.Get("continuation-token")
	all = slices.DeleteFunc(all, func(b objstore.Bucket) bool { return !strings.HasPrefix(b.Name, prefix) || b.Name <= after })
	out := listBucketsResult{Owner: h.owner(), Prefix: prefix}
	for _, b := range all[:min(limit, len(all))] {
		out.Buckets = append(out.Buckets, bucketEntry{b.Name, xmlTime(b.Created), h.Region})
	}
	if len(all) > limit {
		out.ContinuationToken = all[limit-1].Name
	}
	return &response{xml: out}, nil
}

type bucketConfiguration struct {
	XMLName            struct{} `xml:"CreateBucketConfiguration"`
	LocationConstraint string
	Location, Bucket   *struct{} // of directory buckets
}

// createBucket makes a bucket as S3 does: without versions, SSE-S3 by default.
func createBucket(h *Handler, q *request) (*response, error) {
	if err := refuseUnknown(q.Header); err != nil {
		return nil, err
	}
	if strings.EqualFold(q.Header.Get("x-amz-bucket-object-lock-enabled"), "true") {
		return nil, notHere("x-amz-bucket-object-lock-enabled", "There are no object locks.")
	}
	if o := q.Header.Get("x-amz-object-ownership"); o != "" && o != "BucketOwnerEnforced" {
		return nil, notHere("x-amz-object-ownership", "There are no access control lists.")
	}
	if q.ContentLength != 0 {
		var c bucketConfiguration
		if err := q.document(&c); err != nil {
			return nil, err
		}
		if c.Location != nil || c.Bucket != nil {
			return nil, refuse(notImplemented, "Directory buckets are not implemented.")
		}
		if l := c.LocationConstraint; l != "" && l != h.Region {
			return nil, refuse(illegalLocation, "The "+l+" location constraint is incompatible for the region specific endpoint this request was sent to.")
		}
	}
	if _, err := h.Store.CreateBucket(q.Context(), objstore.Bucket{Name: q.bucket}); err != nil {
		return nil, err
	}
	out := &response{header: http.Header{}}
	out.header.Set("Location", "/"+q.bucket)
	return out, h.bucketChanged(q)
}

// bucketChanged tells of a change and makes it survive power loss.
func (h *Handler) bucketChanged(q *request) error {
	h.BucketChanged(q.bucket)
	return h.Store.Sync(context.WithoutCancel(q.Context()))
}

func headBucket(h *Handler, q *request) (*response, error) {
	if _, err := h.Store.HeadBucket(q.Context(), q.bucket); err != nil {
		return nil, err
	}
	out := &response{header: http.Header{}}
	out.header.Set("x-amz-bucket-region", h.Region)
	return out, nil
}

func deleteBucket(h *Handler, q *request) (*response, error) {
	if err := h.Store.DeleteBucket(q.Context(), q.bucket); err != nil {
		return nil, err
	}
	return &response{status: http.StatusNoContent}, h.bucketChanged(q)
}

type locationResult struct {
	XMLName  struct{} `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
	Location string   `xml:",chardata"`
}

// getBucketLocation answers the region, which S3 leaves out where it is us-east-1.
func getBucketLocation(h *Handler, q *request) (*response, error) {
	if _, err := h.Store.HeadBucket(q.Context(), q.bucket); err != nil {
		return nil, err
	}
	out := locationResult{Location: h.Region}
	if h.Region == "us-east-1" {
		out.Location = ""
	}
	return &response{xml: out}, nil
}
