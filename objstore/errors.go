package objstore

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an operation met, in S3's own words where S3
// has one. It is closed: every door maps each member of [Codes].
//
// Source: Amazon S3 API Reference, "Error responses".
type Code string

// The codes S3 answers with.
const (
	NoSuchBucket            Code = "NoSuchBucket"
	NoSuchKey               Code = "NoSuchKey"
	NoSuchVersion           Code = "NoSuchVersion"
	MethodNotAllowed        Code = "MethodNotAllowed" // the version is a delete marker
	BucketNotEmpty          Code = "BucketNotEmpty"
	BucketAlreadyOwnedByYou Code = "BucketAlreadyOwnedByYou"
	InvalidBucketName       Code = "InvalidBucketName"
	InvalidArgument         Code = "InvalidArgument"
	InvalidRange            Code = "InvalidRange"
	InvalidRequest          Code = "InvalidRequest"
	KeyTooLong              Code = "KeyTooLongError"
	MetadataTooLarge        Code = "MetadataTooLarge"
	EntityTooLarge          Code = "EntityTooLarge"
	PreconditionFailed      Code = "PreconditionFailed"
	AccessDenied            Code = "AccessDenied"
	SlowDown                Code = "SlowDown"
	InternalError           Code = "InternalError" // also: a chunk or record failed authentication
	InsufficientStorage     Code = "InsufficientStorage"
)

// The codes of the mount's capabilities, for which S3 has no word.
const (
	NoSuchNode     Code = "NoSuchNode"     // ENOENT, or ESTALE for an inode that is gone
	NodeExists     Code = "NodeExists"     // EEXIST
	NotDirectory   Code = "NotDirectory"   // ENOTDIR
	IsDirectory    Code = "IsDirectory"    // EISDIR
	NotEmpty       Code = "NotEmpty"       // ENOTEMPTY
	NameTooLong    Code = "NameTooLong"    // ENAMETOOLONG
	TooManyLinks   Code = "TooManyLinks"   // EMLINK
	InvalidMove    Code = "InvalidMove"    // EINVAL: a directory into itself
	CrossBucket    Code = "CrossBucket"    // EXDEV
	NoSuchXattr    Code = "NoSuchXattr"    // ENODATA
	XattrExists    Code = "XattrExists"    // EEXIST
	XattrTooLarge  Code = "XattrTooLarge"  // E2BIG
	NotPermitted   Code = "NotPermitted"   // EPERM
	ReadOnly       Code = "ReadOnly"       // EROFS
	NoData         Code = "NoData"         // ENXIO: SEEK_DATA or SEEK_HOLE past the end
	IntegrityError Code = "IntegrityError" // EIO: authentication failed or bytes are missing
)

// Codes lists every code, so that a test of each door's table can find a hole.
var Codes = []Code{
	NoSuchBucket, NoSuchKey, NoSuchVersion, MethodNotAllowed, BucketNotEmpty, BucketAlreadyOwnedByYou,
	InvalidBucketName, InvalidArgument, InvalidRange, InvalidRequest, KeyTooLong, MetadataTooLarge,
	EntityTooLarge, PreconditionFailed, AccessDenied, SlowDown, InternalError, InsufficientStorage,
	NoSuchNode, NodeExists, NotDirectory, IsDirectory, NotEmpty, NameTooLong, TooManyLinks, InvalidMove,
	CrossBucket, NoSuchXattr, XattrExists, XattrTooLarge, NotPermitted, ReadOnly, NoData, IntegrityError,
}

// Error implements error, so that a bare code is a matching target:
// errors.Is(err, objstore.NoSuchKey).
func (c Code) Error() string { return string(c) }

// Error is the failure of one operation.
type Error struct {
	Code    Code
	Op      string // the operation, as S3 or POSIX names it
	Bucket  string // where known
	Key     string // where known
	Message string // what happened, in words; may be empty
	Err     error  // the cause; may be nil
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Message != "" {
		s = e.Message
	} else if e.Err != nil {
		s = e.Err.Error()
	}
	if e.Bucket != "" || e.Key != "" {
		s = fmt.Sprintf("%s/%s: %s", e.Bucket, e.Key, s)
	}
	if e.Op != "" {
		s = e.Op + " " + s
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

// CodeOf is the code of err: "" for nil, [InternalError] when err has none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return InternalError
}
