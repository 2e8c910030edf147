package kmsapi

import (
	"context"
	"errors"
	"net/http"

	"kmsfs/kms"
	"kmsfs/kms/sigv4"
)

// The exceptions of the protocol itself, before any operation of KMS.
const (
	missingToken        kms.Code = "MissingAuthenticationTokenException"
	incompleteSignature kms.Code = "IncompleteSignatureException"
	unrecognizedClient  kms.Code = "UnrecognizedClientException"
	invalidSignature    kms.Code = "InvalidSignatureException"
	unknownOperation    kms.Code = "UnknownOperationException"
	serialization       kms.Code = "SerializationException"
	bodyTooLarge        kms.Code = "RequestEntityTooLargeException"
	requestTimeout      kms.Code = "RequestTimeoutException"
)

// row is how one exception looks on the wire.
type row struct {
	status  int
	capital bool // the text is "Message", as AWS has it for a few
}

// table is the only place where exceptions become HTTP. __type is the code itself. AWS JSON answers 400 for all but faults of
// the server.
func table() map[kms.Code]row {
	const client, fault, away = http.StatusBadRequest, http.StatusInternalServerError, http.StatusServiceUnavailable
	return map[kms.Code]row{
		kms.NotFoundException:             {status: client},
		kms.DisabledException:             {status: client},
		kms.KMSInvalidStateException:      {status: client},
		kms.InvalidKeyUsageException:      {status: client},
		kms.InvalidCiphertextException:    {status: client},
		kms.IncorrectKeyException:         {status: client},
		kms.AccessDeniedException:         {status: client, capital: true},
		kms.NotAuthorizedException:        {status: client},
		kms.AlreadyExistsException:        {status: client},
		kms.ThrottlingException:           {status: client},
		kms.KMSInternalException:          {status: fault},
		kms.DependencyTimeoutException:    {status: away},
		kms.KeyUnavailableException:       {status: fault},
		kms.ValidationException:           {status: client},
		kms.LimitExceededException:        {status: client},
		kms.InvalidAliasNameException:     {status: client},
		kms.InvalidArnException:           {status: client},
		kms.InvalidMarkerException:        {status: client},
		kms.InvalidGrantTokenException:    {status: client},
		kms.InvalidGrantIDException:       {status: client},
		kms.UnsupportedOperationException: {status: client, capital: true},
		kms.DryRunOperationException:      {status: client},
		kms.MalformedPolicyException:      {status: client},
		kms.ConflictException:             {status: client},
		kms.TagException:                  {status: client},
		kms.KMSInvalidSignatureException:  {status: client},
		kms.KMSInvalidMacException:        {status: client},
		kms.IncorrectKeyMaterialException: {status: client},
		kms.InvalidImportTokenException:   {status: client},
		kms.ExpiredImportTokenException:   {status: client},

		missingToken:        {status: client},
		incompleteSignature: {status: client},
		unrecognizedClient:  {status: client},
		invalidSignature:    {status: client},
		unknownOperation:    {status: client},
		serialization:       {status: client},
		bodyTooLarge:        {status: http.StatusRequestEntityTooLarge},
		requestTimeout:      {status: http.StatusRequestTimeout},
	}
}

// signatureCode names a refused signature as AWS's JSON services do.
func signatureCode(c sigv4.Code) kms.Code {
	switch c {
	case sigv4.MissingSignature:
		return missingToken
	case sigv4.Incomplete:
		return incompleteSignature
	case sigv4.UnknownAccessKey, sigv4.UnknownToken:
		return unrecognizedClient
	}
	return invalidSignature
}

// answer is an exception as it goes to the client.
type answer struct {
	row
	code kms.Code
	text string
}

// answerFor says what the client is told of err. The cause of an error never goes out; it is for the log.
func answerFor(err error) answer {
	a := answer{code: kms.KMSInternalException, text: "The request failed because of an internal error. Its request id is in the server's log."}
	var refused *kms.Error
	var signature *sigv4.Error
	switch {
	case errors.As(err, &refused):
		a.code, a.text = refused.Code, refused.Message
	case errors.As(err, &signature):
		a.code, a.text = signatureCode(signature.Code), signature.Message
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		a.code, a.text = kms.DependencyTimeoutException, "The request took too long, or its client gave up."
	}
	r, ok := table()[a.code]
	if !ok {
		return answerFor(nil)
	}
	a.row = r
	return a
}

// errorBody is AWS's JSON of an exception.
type errorBody struct {
	Type    string `json:"__type"`
	Lower   string `json:"message,omitempty"`
	Capital string `json:"Message,omitempty"`
}

func (a answer) body() errorBody {
	b := errorBody{Type: string(a.code)}
	if a.capital {
		b.Capital = a.text
	} else {
		b.Lower = a.text
	}
	return b
}
