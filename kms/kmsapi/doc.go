// Package kmsapi is the KMS door: AWS KMS's JSON protocol over a [kms.Service], for aws-cli, the AWS SDKs and everything else
// that speaks it. [Handler] is the protocol; package httpdoor has its listeners.
//
//	POST / HTTP/1.1
//	X-Amz-Target: TrentService.GenerateDataKey
//	Content-Type: application/x-amz-json-1.1
//	Authorization: AWS4-HMAC-SHA256 Credential=.../kms/aws4_request, ...
//
//	{"KeyId":"alias/hr","KeySpec":"AES_256"}
//
// A request passes: signature as far as the headers tell (package sigv4), body of at most [MaxBody] bytes, signature, operation by
// X-Amz-Target (operations.go), decoding, presence of the required members, the service. Nobody without an access key gets
// further than the first of these, and no body is read for them. What a key may be used for is the service's to decide; this
// package tells it who asks: arn:aws:iam::ACCOUNT:user/NAME, via "kms".
//
// An error is answered in one place, after the one table in errors.go.
package kmsapi
