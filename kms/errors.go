package kms

import (
	"errors"
	"fmt"
)

// Code says why the key service refused, as AWS names the exception. It is closed: every door maps
// each member of [Codes].
//
// Source: AWS KMS API Reference, "Common Errors" and the errors of each operation.
type Code string

// The codes of AWS KMS.
const (
	NotFoundException             Code = "NotFoundException"
	DisabledException             Code = "DisabledException"
	KMSInvalidStateException      Code = "KMSInvalidStateException" // Error.State says which
	InvalidKeyUsageException      Code = "InvalidKeyUsageException"
	InvalidCiphertextException    Code = "InvalidCiphertextException" // also: the context is not the one it was made with
	IncorrectKeyException         Code = "IncorrectKeyException"
	AccessDeniedException         Code = "AccessDeniedException"
	NotAuthorizedException        Code = "NotAuthorizedException"
	AlreadyExistsException        Code = "AlreadyExistsException"
	ThrottlingException           Code = "ThrottlingException"
	KMSInternalException          Code = "KMSInternalException"
	DependencyTimeoutException    Code = "DependencyTimeoutException"
	KeyUnavailableException       Code = "KeyUnavailableException"
	ValidationException           Code = "ValidationException"
	LimitExceededException        Code = "LimitExceededException"
	InvalidAliasNameException     Code = "InvalidAliasNameException"
	InvalidArnException           Code = "InvalidArnException"
	InvalidMarkerException        Code = "InvalidMarkerException"
	InvalidGrantTokenException    Code = "InvalidGrantTokenException"
	InvalidGrantIDException       Code = "InvalidGrantIdException"
	UnsupportedOperationException Code = "UnsupportedOperationException"
	DryRunOperationException      Code = "DryRunOperationException"
	MalformedPolicyException      Code = "MalformedPolicyDocumentException"
	ConflictException             Code = "ConflictException"
	TagException                  Code = "TagException"
	KMSInvalidSignatureException  Code = "KMSInvalidSignatureException"
	KMSInvalidMacException        Code = "KMSInvalidMacException"
	IncorrectKeyMaterialException Code = "IncorrectKeyMaterialException"
	InvalidImportTokenException   Code = "InvalidImportTokenException"
	ExpiredImportTokenException   Code = "ExpiredImportTokenException"
)

// Codes lists every code, so that a test of each door's table can find a hole.
var Codes = []Code{
	NotFoundException, DisabledException, KMSInvalidStateException, InvalidKeyUsageException,
	InvalidCiphertextException, IncorrectKeyException, AccessDeniedException, NotAuthorizedException,
	AlreadyExistsException, ThrottlingException, KMSInternalException, DependencyTimeoutException,
	KeyUnavailableException, ValidationException, LimitExceededException, InvalidAliasNameException,
	InvalidArnException, InvalidMarkerException, InvalidGrantTokenException, InvalidGrantIDException,
	UnsupportedOperationException, DryRunOperationException, MalformedPolicyException, ConflictException,
	TagException, KMSInvalidSignatureException, KMSInvalidMacException, IncorrectKeyMaterialException,
	InvalidImportTokenException, ExpiredImportTokenException,
}

// Error implements error, so that a bare code is a matching target:
// errors.Is(err, kms.DisabledException).
func (c Code) Error() string { return string(c) }

// Error is a refusal. Message is what AWS answers, word for word, where that is known; it may be empty.
type Error struct {
	Code    Code
	Message string
	State   KeyState // of the key, with KMSInvalidStateException
	Region  string   // with NotFoundException: the other region that the key's ARN names
	Err     error    // the cause; never sent to a client
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s += ": " + e.Message
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the code and the cause, so that errors.Is finds either.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// CodeOf is the code of err: "" for nil, [KMSInternalException] when err has none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return KMSInternalException
}

// Errorf makes an Error without a cause.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}
