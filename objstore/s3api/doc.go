// Package s3api is the S3 door: S3's REST protocol over an [objstore.Store], for aws-cli, the AWS SDKs and everything else that
// speaks it, with buckets in the path (http://HOST/BUCKET/KEY). [Handler] is the protocol; package httpdoor has its listeners.
//
// A request passes: signature as far as the headers tell (package sigv4), signature, operation by method and query (router.go),
// headers, the store with its key service, and the body last, so that nothing of it is read for a request that is refused
// anyway. A body that has not the hash, the checksum, the chunk signatures or the length that were announced is an error of the
// write, which then has not happened. Nobody without an access key gets further than the first of these.
//
// Every user of the store may use all buckets: there are no bucket policies. Key policies decide for the user,
// arn:aws:iam::ACCOUNT:user/NAME, by way of "s3".
//
// A change is answered when it survives power loss. An error is answered in one place, after the tables in errors.go.
//
// What is missing is answered 501 NotImplemented, never ignored: multipart uploads, ACLs, policies, tags, life cycles and all else
// that router.go has no row for, encryption by customers' keys (SSE-C), and the headers Cache-Control, Content-Disposition,
// Content-Encoding, Content-Language and Expires, for which a version has no place.
//
// Where AWS's behaviour is not known, this is chosen: AWS refuses plain HTTP for objects under KMS keys; here plain HTTP exists on
// loopback addresses only, and is good enough there. An encryption context or bucket-key switch of another value than it can have,
// and a context or key without x-amz-server-side-encryption: aws:kms, are InvalidArgument: what a client asked for is never left
// out. A bucket-key switch with AES256 means nothing and is ignored. Content-MD5 is checked on objects under KMS keys too.
//
// Sources: AWS, "Amazon S3 API Reference" (each operation, "Error responses", "Common Request Headers").
package s3api
