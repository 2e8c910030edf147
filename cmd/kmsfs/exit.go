package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/objstore"
)

// exit is an exit code: a promise to scripts.
type exit int

// The exit codes. Codes from 64 on are reserved for 64 + the signal that ended the program.
const (
	exitOK          exit = 0
	exitFailed      exit = 1
	exitUsage       exit = 2
	exitPartial     exit = 3
	exitNotFound    exit = 4
	exitPermission  exit = 5
	exitKeyUnusable exit = 6
	exitKMSAway     exit = 7
	exitIntegrity   exit = 8
	exitBusy        exit = 9
	exitConfig      exit = 10
	exitSignal      exit = 64
)

// exitMeanings are the codes in the words of the help text.
func exitMeanings() []string {
	return []string{
		exitOK:          "all done",
		exitFailed:      "failed",
		exitUsage:       "wrong usage",
		exitPartial:     "partly done: some files failed, each is named",
		exitNotFound:    "no such store, bucket, object, version, key or mount point",
		exitPermission:  "not allowed",
		exitKeyUnusable: "the KMS key is disabled, pending deletion or pending import",
		exitKMSAway:     "the KMS cannot be reached, or throttles",
		exitIntegrity:   "damaged data, or the wrong root key",
		exitBusy:        "in use, or the mount of a dead daemon",
		exitConfig:      "the configuration is wrong",
	}
}

// exitHelp is the part of the help text that lists the codes.
func exitHelp() string {
	var b strings.Builder
	b.WriteString("Exit codes:\n")
	for code, meaning := range exitMeanings() {
		fmt.Fprintf(&b, "  %2d  %s\n", code, meaning)
	}
	fmt.Fprintf(&b, "  %d + N  ended by signal N\n", exitSignal)
	return b.String()
}

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// partialError says that some of the work failed.
type partialError struct{ message string }

func (e *partialError) Error() string { return e.message }

// allFailedError says that all of the work failed; what it exits with is told by the last failure.
type allFailedError struct {
	message string
	last    error
}

func (e *allFailedError) Error() string { return e.message }
func (e *allFailedError) Unwrap() error { return e.last }

// damageError says that a check found damage.
type damageError struct{ message string }

func (e *damageError) Error() string { return e.message }

// exitCode is the one table from errors to exit codes. More specific kinds come first.
func exitCode(err error) exit {
	var usage *usageError
	var partial *partialError
	var config *configError
	var damage *damageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage), isAny(err, service.BadRequest, service.BadDoor, service.WouldLose, service.Unsupported, service.NotDaemon):
		return exitUsage
	case errors.As(err, &partial):
		return exitPartial
	case errors.As(err, &config), isAny(err, service.OtherKMS):
		return exitConfig
	case errors.As(err, &damage), isAny(err, service.WrongRootKey, service.NoKeyring, service.DamagedBackup, objstore.IntegrityError,
		kms.InvalidCiphertextException, kms.IncorrectKeyException):
		return exitIntegrity
	case isAny(err, kms.DisabledException, kms.KMSInvalidStateException):
		return exitKeyUnusable
	case isAny(err, kms.ThrottlingException, kms.KMSInternalException, kms.DependencyTimeoutException,
		kms.KeyUnavailableException):
		return exitKMSAway
	case isAny(err, kms.AccessDeniedException, kms.NotAuthorizedException, objstore.AccessDenied, objstore.NotPermitted,
		service.NotPermitted, service.OpenRootKey, fs.ErrPermission):
		return exitPermission
	case isAny(err, service.Busy, service.Stale, service.Closing):
		return exitBusy
	case isAny(err, service.NoStore, service.Unfinished, service.NoRootKey, service.NotMounted, service.NoDoor, service.NoUser, service.NoBackup,
		kms.NotFoundException, objstore.NoSuchBucket,
		objstore.NoSuchKey, objstore.NoSuchVersion, objstore.NoSuchNode, fs.ErrNotExist):
		return exitNotFound
	case isAny(err, kms.InvalidAliasNameException, kms.ValidationException, kms.InvalidArnException,
		kms.MalformedPolicyException, kms.TagException,
		objstore.InvalidBucketName, objstore.InvalidArgument):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitSignal + 2
	}
	return exitFailed
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
