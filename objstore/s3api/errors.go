package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore"
)

// code is an error code of S3 or, with "KMS." before it, of KMS by way of S3.
type code string

// The codes of the protocol itself, beside those of the store.
const (
	accessDenied          code = "AccessDenied"
	authMalformed         code = "AuthorizationHeaderMalformed"
	badDigest             code = "BadDigest"
	illegalLocation       code = "IllegalLocationConstraintException"
	illegalVersioning     code = "IllegalVersioningConfigurationException"
	incompleteBody        code = "IncompleteBody"
	internalError         code = "InternalError"
	invalidAccessKey      code = "InvalidAccessKeyId"
	invalidArgument       code = "InvalidArgument"
	invalidDigest         code = "InvalidDigest"
	invalidRange          code = "InvalidRange"
	invalidRequest        code = "InvalidRequest"
	invalidStorageClass   code = "InvalidStorageClass"
	invalidToken          code = "InvalidToken"
	malformedXML          code = "MalformedXML"
	methodNotAllowed      code = "MethodNotAllowed"
	missingLength         code = "MissingContentLength"
	notImplemented        code = "NotImplemented"
	notModified           code = "NotModified"
	preconditionFailed    code = "PreconditionFailed"
	requestTimeout        code = "RequestTimeout"
	serviceUnavailable    code = "ServiceUnavailable"
	signatureMismatch     code = "SignatureDoesNotMatch"
	slowDown              code = "SlowDown"
	timeTooSkewed         code = "RequestTimeTooSkewed"
	contentSHA256Mismatch code = "XAmzContentSHA256Mismatch"
)

// row is how one code looks on the wire: its status and, where the error has none of its own, its text.
type row struct {
	status int
	text   string
}

// table is every code that this door answers. Source: Amazon S3 API Reference, "Error responses".
func table() map[code]row {
	const bad, forbidden, missing, conflict = http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusConflict
	return map[code]row{
		accessDenied:          {forbidden, "Access Denied"},
		authMalformed:         {bad, "The authorization header is malformed."},
		badDigest:             {bad, "The Content-MD5 you specified did not match what we received."},
		illegalLocation:       {bad, "The specified location constraint is incompatible for the region specific endpoint this request was sent to."},
		illegalVersioning:     {bad, "The Versioning element must be specified"},
		incompleteBody:        {bad, "You did not provide the number of bytes specified by the Content-Length HTTP header"},
		internalError:         {http.StatusInternalServerError, "We encountered an internal error. Please try again."},
		invalidAccessKey:      {forbidden, "The AWS Access Key Id you provided does not exist in our records."},
		invalidArgument:       {bad, "Invalid Argument"},
		invalidDigest:         {bad, "The Content-MD5 you specified was invalid."},
		invalidRange:          {http.StatusRequestedRangeNotSatisfiable, "The requested range is not satisfiable"},
		invalidRequest:        {bad, "Invalid Request"},
		invalidStorageClass:   {bad, "The storage class you specified is not valid"},
		invalidToken:          {bad, "The provided token is malformed or otherwise invalid."},
		malformedXML:          {bad, "The XML you provided was not well-formed or did not validate against our published schema"},
		methodNotAllowed:      {http.StatusMethodNotAllowed, "The specified method is not allowed against this resource."},
		missingLength:         {http.StatusLengthRequired, "You must provide the Content-Length HTTP header."},
		notImplemented:        {http.StatusNotImplemented, "A header you provided implies functionality that is not implemented"},
		notModified:           {http.StatusNotModified, "Not Modified"},
		preconditionFailed:    {http.StatusPreconditionFailed, "At least one of the pre-conditions you specified did not hold"},
		requestTimeout:        {bad, "Your socket connection to the server was not read from or written to within the timeout period. Idle connections will be closed."},
		serviceUnavailable:    {http.StatusServiceUnavailable, "The key service (AWS KMS) does not answer or cannot be reached. Please try again."},
		signatureMismatch:     {forbidden, "The request signature we calculated does not match the signature you provided. Check your key and signing method."},
		slowDown:              {http.StatusServiceUnavailable, "Please reduce your request rate."},
		timeTooSkewed:         {forbidden, "The difference between the request time and the current time is too large."},
		contentSHA256Mismatch: {bad, "The provided 'x-amz-content-sha256' header does not match what was computed."},

		"NoSuchBucket":            {missing, "The specified bucket does not exist"},
		"NoSuchKey":               {missing, "The specified key does not exist."},
		"NoSuchVersion":           {missing, "The specified version does not exist."},
		"BucketNotEmpty":          {conflict, "The bucket you tried to delete is not empty. You must delete all versions in the bucket."},
		"BucketAlreadyOwnedByYou": {conflict, "Your previous request to create the named bucket succeeded and you already own it."},
		"InvalidBucketName":       {bad, "The specified bucket is not valid."},
		"KeyTooLongError":         {bad, "Your key is too long"},
		"MetadataTooLarge":        {bad, "Your metadata headers exceed the maximum allowed metadata size"},
		"EntityTooLarge":          {bad, "Your proposed upload exceeds the maximum allowed size"},
		"InsufficientStorage":     {http.StatusInsufficientStorage, "The disk of the store is full. Remove objects or old versions, or make the disk larger."},

		"KMS.NotFoundException":             {bad, ""},
		"KMS.DisabledException":             {bad, ""},
		"KMS.KMSInvalidStateException":      {bad, ""},
		"KMS.InvalidKeyUsageException":      {bad, ""},
		"KMS.UnsupportedOperationException": {bad, ""},
		"KMS.LimitExceededException":        {bad, ""},
	}
}

// keyService says how a refusal of the key service goes out: a code and, where kept is set, KMS's own text.
//
// AWS documents four codes "KMS.X", and that throttling is SlowDown. What it answers when KMS is away is not known: 503
// ServiceUnavailable, on which every SDK tries again, and which says that nothing was wrong with the request. A data key that
// does not open is damage (a ciphertext blob or a record was altered), as a chunk that does not: InternalError. The rest are
// codes of operations that S3 does not do.
func keyService(c kms.Code) (out code, kept bool) {
	switch c {
	case kms.NotFoundException, kms.DisabledException, kms.KMSInvalidStateException, kms.InvalidKeyUsageException,
		kms.UnsupportedOperationException, kms.LimitExceededException:
		return "KMS." + code(c), true
	case kms.AccessDeniedException, kms.NotAuthorizedException:
		return accessDenied, true
	case kms.ValidationException, kms.InvalidArnException:
		return invalidArgument, true
	case kms.ThrottlingException:
		return slowDown, false
	case kms.KMSInternalException, kms.DependencyTimeoutException, kms.KeyUnavailableException:
		return serviceUnavailable, false
	}
	return internalError, false
}

// textThrottled is S3's of a caller who is over a quota of KMS.
const textThrottled = "Please reduce your request rate for operations involving AWS KMS."

// storeCode is how a refusal of the store goes out. Codes of a mount's own operations cannot come from S3's.
func storeCode(c objstore.Code) code {
	if _, ok := table()[code(c)]; ok {
		return code(c)
	}
	return internalError
}

// signatureCode names a refused signature as S3 does.
func signatureCode(c sigv4.Code) code {
	switch c {
	case sigv4.MissingSignature, sigv4.Expired, sigv4.UnsignedHeader:
		return accessDenied
	case sigv4.UnknownAccessKey:
		return invalidAccessKey
	case sigv4.UnknownToken:
		return invalidToken
	case sigv4.Incomplete, sigv4.WrongScope:
		return authMalformed
	case sigv4.TimeSkewed:
		return timeTooSkewed
	case sigv4.BodyMismatch:
		return contentSHA256Mismatch
	}
	return signatureMismatch
}

// refusal is an error of the protocol. text is for the client; "" is that of the table.
type refusal struct {
	code  code
	text  string
	extra []pair // elements of the answer beside Code and Message
	err   error  // the cause; for the log
}

// pair is an XML element with text in it.
type pair struct{ name, value string }

func (r *refusal) Error() string {
	if r.err != nil {
		return string(r.code) + ": " + r.text + ": " + r.err.Error()
	}
	return string(r.code) + ": " + r.text
}

// Unwrap gives the cause.
func (r *refusal) Unwrap() error { return r.err }

func refuse(c code, text string, extra ...pair) *refusal {
	return &refusal{code: c, text: text, extra: extra}
}

// argument refuses the value of a header or parameter.
func argument(name, value, text string) *refusal {
	return refuse(invalidArgument, text, pair{"ArgumentName", name}, pair{"ArgumentValue", value})
}

// notHere refuses a header of something that this door does not do.
func notHere(header, why string) *refusal {
	return refuse(notImplemented, "", pair{"Header", header}, pair{"additionalMessage", why})
}

// answer is an error as it goes to the client.
type answer struct {
	row
	code  code
	extra []pair
}

// answerFor says what the client is told of err. The cause of an error never goes out; it is for the log.
func answerFor(err error) answer {
	var (
		own       *refusal
		refused   *kms.Error
		signature *sigv4.Error
		stored    *objstore.Error
		bare      objstore.Code
	)
	switch {
	case errors.As(err, &own):
		return complete(own.code, own.text, own.extra)
	case errors.As(err, &refused):
		return ofKeyService(refused)
	case errors.As(err, &signature):
		return ofSignature(signature)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return complete(requestTimeout, "", nil)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return complete(incompleteBody, "", nil)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return complete(requestTimeout, "", nil)
	case errors.As(err, &stored):
		return complete(storeCode(objstore.CodeOf(err)), ownText(stored), nil)
	case errors.As(err, &bare):
		return complete(storeCode(bare), "", nil)
	}
	return complete(internalError, "", nil)
}

func complete(c code, text string, extra []pair) answer {
	r, ok := table()[c]
	if !ok {
		c, text, extra = internalError, "", nil
		r = table()[c]
	}
	if text != "" {
		r.text = text
	}
	return answer{r, c, extra}
}

func ofKeyService(e *kms.Error) answer {
	c, kept := keyService(e.Code)
	switch {
	case kept:
		return complete(c, e.Message, nil)
	case c == slowDown:
		return complete(c, textThrottled, nil)
	}
	return complete(c, "", nil)
}

// ofSignature keeps the words that help: what is wrong with a signature's form. For the rest S3 has words of its own.
func ofSignature(e *sigv4.Error) answer {
	c, text := signatureCode(e.Code), ""
	switch e.Code {
	case sigv4.Incomplete, sigv4.WrongScope:
		text = "The authorization header is malformed; " + e.Message
	case sigv4.Expired:
		text = e.Message
	case sigv4.UnsignedHeader:
		text = "There were headers present in the request which were not signed"
	}
	return complete(c, text, nil)
}

// ownText is what the store says of arguments, for which S3 has no fixed text.
func ownText(e *objstore.Error) string {
	for {
		switch storeCode(e.Code) {
		case invalidArgument, invalidRequest, "InvalidBucketName", "MetadataTooLarge":
		default:
			return ""
		}
		inner := (*objstore.Error)(nil)
		if e.Message != "" || !errors.As(e.Err, &inner) {
			return e.Message
		}
		e = inner
	}
}
