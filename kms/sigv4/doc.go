// Package sigv4 signs HTTP requests with AWS Signature Version 4 and verifies such signatures, for every door and every
// remote client of this module. It knows no service: what differs between them is in [Scheme].
//
// A signature covers method, path, query, the headers that it lists and the hash of the body. [Verifier] refuses a request
// whose Host, date or x-amz-* headers are not among those, so that nobody on the way can alter what it does.
//
// Replay: a signature is good for [MaxSkew] around its date (a presigned one until it expires), and within that time the
// identical request may be sent again. The protocol has no nonce, and dates have a resolution of one second, so that two
// equal calls of one client within a second have equal signatures: they cannot be told from a replay, and AWS accepts
// them too. Only a TLS connection keeps others from reading a request that they could send again.
//
// Source: AWS, "Create a signed AWS API request" (IAM User Guide, reference_sigv-create-signed-request) and "Authenticating
// Requests: Using Query Parameters", "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
// Chunks" (Amazon S3 API Reference). Vectors: testdata/sigv4.
package sigv4
