package sigv4

import "errors"

// Code says why a signature was refused. It is closed: every door maps each member of [Codes].
type Code string

// Why a signature is refused.
const (
	MissingSignature  Code = "MissingSignature"  // the request is not signed at all
	Incomplete        Code = "Incomplete"        // the signature lacks a part, or a part is malformed
	UnknownAccessKey  Code = "UnknownAccessKey"  // nobody has this access key id, or not any more
	UnknownToken      Code = "UnknownToken"      // a session token; nobody here has one
	WrongScope        Code = "WrongScope"        // for another day, region or service
	TimeSkewed        Code = "TimeSkewed"        // its date is too far from this clock
	Expired           Code = "Expired"           // of a presigned request
	UnsignedHeader    Code = "UnsignedHeader"    // a header that has to be signed is not
	SignatureMismatch Code = "SignatureMismatch" // not made with this secret, or not for this request
	BodyMismatch      Code = "BodyMismatch"      // the body has not the hash that was signed
)

// Codes lists every code, so that a test of each door's table can find a hole.
var Codes = []Code{
	MissingSignature, Incomplete, UnknownAccessKey, UnknownToken, WrongScope, TimeSkewed, Expired, UnsignedHeader,
	SignatureMismatch, BodyMismatch,
}

// Error implements error, so that a bare code is a matching target: errors.Is(err, sigv4.TimeSkewed).
func (c Code) Error() string { return string(c) }

// Error is a refusal. Message is what AWS's services answer where that is known; it holds nothing secret.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return "request signature: " + string(e.Code) + ": " + e.Message }

// Unwrap gives the code.
func (e *Error) Unwrap() error { return e.Code }

// CodeOf is the code of err; ok is false when err is no refusal, but trouble with looking one up.
func CodeOf(err error) (c Code, ok bool) {
	ok = errors.As(err, &c)
	return c, ok
}

func refuse(c Code, message string) *Error { return &Error{Code: c, Message: message} }
