package s3api

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// The levels of a path.
const (
	levelService = "the service"
	levelBucket  = "a bucket"
	levelObject  = "an object"
)

// route is one operation: what is asked for by method, level of the path and sub-resource in the query.
type route struct {
	method, level, sub string
	name               string // as the S3 API Reference has it
	do                 operation
}

// routes is every operation that this door does.
func routes() []route {
	const get, put, post, head, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodHead, http.MethodDelete
	return []route{
		{get, levelService, "", "ListBuckets", listBuckets},

		{put, levelBucket, "", "CreateBucket", createBucket},
		{head, levelBucket, "", "HeadBucket", headBucket},
		{del, levelBucket, "", "DeleteBucket", deleteBucket},
		{get, levelBucket, "location", "GetBucketLocation", getBucketLocation},
		{get, levelBucket, "encryption", "GetBucketEncryption", getBucketEncryption},
		{put, levelBucket, "encryption", "PutBucketEncryption", putBucketEncryption},
		{del, levelBucket, "encryption", "DeleteBucketEncryption", deleteBucketEncryption},
		{get, levelBucket, "versioning", "GetBucketVersioning", getBucketVersioning},
		{put, levelBucket, "versioning", "PutBucketVersioning", putBucketVersioning},
		{get, levelBucket, "", "ListObjects", listObjects},
		{get, levelBucket, "versions", "ListObjectVersions", listObjectVersions},
		{post, levelBucket, "delete", "DeleteObjects", deleteObjects},

		{put, levelObject, "", "PutObject", putObject}, // CopyObject with x-amz-copy-source
		{get, levelObject, "", "GetObject", getObject},
		{head, levelObject, "", "HeadObject", getObject},
		{del, levelObject, "", "DeleteObject", deleteObject},
	}
}

// subresources are the names in a query that make another operation of a request. Others are parameters of it.
func subresources() []string {
	return strings.Fields("accelerate acl abac analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle location " +
		"logging metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics notification object-lock ownershipControls " +
		"partNumber policy policyStatus publicAccessBlock renameObject replication requestPayment restore retention select session tagging torrent " +
		"uploadId uploads versioning versions website")
}

func (q *request) level() string {
	switch {
	case q.bucket == "":
		return levelService
	case q.key == "":
		return levelBucket
	}
	return levelObject
}

// route finds what a request asks for.
func (h *Handler) route(q *request) (route, error) {
	sub := ""
	for _, name := range subresources() {
		if q.query.Has(name) {
			sub = name
			break
		}
	}
	i := slices.IndexFunc(h.routes, func(r route) bool { return r.method == q.Method && r.level == q.level() && r.sub == sub })
	if i >= 0 {
		return h.routes[i], nil
	}
	if strings.HasPrefix(sub, "upload") || sub == "partNumber" {
		return route{}, refuse(notImplemented, "Multipart uploads are not implemented yet. Send objects of up to 5 GiB by PutObject: "+
			"aws configure set default.s3.multipart_threshold 5GB")
	}
	if sub != "" {
		sub = " ?" + sub
	}
	return route{}, refuse(notImplemented, fmt.Sprintf("%s%s of %s is not implemented.", q.Method, sub, q.level()))
}
