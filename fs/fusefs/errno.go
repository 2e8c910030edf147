package fusefs

import (
	"context"
	"errors"
	"syscall"

	"kmsfs/fs"
	"kmsfs/kms"
	"kmsfs/objstore"
	"kmsfs/xattr"
)

// errnos is the only table of errors and errnos, a row for each code of each package below.
type errnos struct {
	kms   map[kms.Code]syscall.Errno
	store map[objstore.Code]syscall.Errno
	fs    map[fs.Code]syscall.Errno
}

func newErrnos() errnos { return errnos{kmsErrnos(), storeErrnos(), fsErrnos()} }

// of is the errno of err. The key service is asked first: its refusals come wrapped in a code of the store's. What no
// row knows is EIO, never ENOSYS, which the kernel would remember.
func (t errnos) of(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if code, ok := errors.AsType[kms.Code](err); ok {
		return t.ofKMS(code, err)
	}
	if code, ok := errors.AsType[fs.Code](err); ok {
		return rowOr(t.fs, code)
	}
	switch {
	case errors.Is(err, xattr.ErrReadOnly):
		return syscall.EPERM
	case errors.Is(err, xattr.ErrSyntax):
		return syscall.EINVAL
	}
	if errno := passing(err); errno != 0 {
		return errno
	}
	if code, ok := errors.AsType[objstore.Code](err); ok {
		return rowOr(t.store, code)
	}
	if errors.Is(err, context.Canceled) {
		return syscall.EINTR
	}
	return syscall.EIO
}

func rowOr[C comparable](table map[C]syscall.Errno, code C) syscall.Errno {
	if errno, ok := table[code]; ok {
		return errno
	}
	return syscall.EIO
}

// passing is the errno in err's chain if it is one that tells the caller about the disk or quota. Others come from the
// inside of the store and would say something else about the file: a content file that is missing is not ENOENT.
func passing(err error) syscall.Errno {
	errno, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return 0
	}
	switch errno {
	case syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EROFS, syscall.ENOMEM:
		return errno
	}
	return 0
}

// ofKMS is the row of a refusal of the key service. An invalid state has a row per state, and a key of another region
// is not an unknown one.
func (t errnos) ofKMS(code kms.Code, err error) syscall.Errno {
	e, ok := errors.AsType[*kms.Error](err)
	switch {
	case ok && code == kms.KMSInvalidStateException && e.State == kms.StatePendingImport:
		return syscall.ENOKEY
	case ok && code == kms.NotFoundException && e.Region != "":
		return syscall.EKEYREJECTED
	}
	return rowOr(t.kms, code)
}

func kmsErrnos() map[kms.Code]syscall.Errno {
	return map[kms.Code]syscall.Errno{
		kms.NotFoundException:             syscall.ENOKEY,
		kms.DisabledException:             syscall.EKEYREVOKED,
		kms.KMSInvalidStateException:      syscall.EKEYEXPIRED,
		kms.InvalidKeyUsageException:      syscall.EKEYREJECTED,
		kms.InvalidCiphertextException:    syscall.EKEYREJECTED, // the context is not the one it was wrapped with
		kms.IncorrectKeyException:         syscall.EKEYREJECTED,
		kms.AccessDeniedException:         syscall.EACCES,
		kms.NotAuthorizedException:        syscall.EACCES,
		kms.AlreadyExistsException:        syscall.EEXIST,
		kms.ThrottlingException:           syscall.EIO,
		kms.KMSInternalException:          syscall.EIO,
		kms.DependencyTimeoutException:    syscall.EIO,
		kms.KeyUnavailableException:       syscall.EIO,
		kms.ValidationException:           syscall.EKEYREJECTED,
		kms.LimitExceededException:        syscall.EIO,
		kms.InvalidAliasNameException:     syscall.EINVAL,
		kms.InvalidArnException:           syscall.EINVAL,
		kms.InvalidMarkerException:        syscall.EINVAL,
		kms.InvalidGrantTokenException:    syscall.EACCES,
		kms.InvalidGrantIDException:       syscall.EACCES,
		kms.UnsupportedOperationException: syscall.EKEYREJECTED,
		kms.DryRunOperationException:      syscall.EIO,
		kms.MalformedPolicyException:      syscall.EINVAL,
		kms.ConflictException:             syscall.EIO,
		kms.TagException:                  syscall.EINVAL,
		kms.KMSInvalidSignatureException:  syscall.EKEYREJECTED, // this and what follows no mount ever asks for
		kms.KMSInvalidMacException:        syscall.EKEYREJECTED,
		kms.IncorrectKeyMaterialException: syscall.EKEYREJECTED,
		kms.InvalidImportTokenException:   syscall.EINVAL,
		kms.ExpiredImportTokenException:   syscall.EINVAL,
	}
}

func storeErrnos() map[objstore.Code]syscall.Errno {
	return map[objstore.Code]syscall.Errno{
		objstore.NoSuchBucket:            syscall.ENOENT,
		objstore.NoSuchKey:               syscall.ENOENT,
		objstore.NoSuchVersion:           syscall.ENOENT,
		objstore.MethodNotAllowed:        syscall.ENOENT, // a delete marker: the name is gone
		objstore.BucketNotEmpty:          syscall.ENOTEMPTY,
		objstore.BucketAlreadyOwnedByYou: syscall.EEXIST,
		objstore.InvalidBucketName:       syscall.EINVAL,
		objstore.InvalidArgument:         syscall.EINVAL,
		objstore.InvalidRange:            syscall.EINVAL,
		objstore.InvalidRequest:          syscall.EINVAL,
		objstore.KeyTooLong:              syscall.ENAMETOOLONG,
		objstore.MetadataTooLarge:        syscall.E2BIG,
		objstore.EntityTooLarge:          syscall.EFBIG,
		objstore.PreconditionFailed:      syscall.ESTALE,
		objstore.AccessDenied:            syscall.EACCES,
		objstore.SlowDown:                syscall.EIO,
		objstore.InternalError:           syscall.EIO,
		objstore.InsufficientStorage:     syscall.ENOSPC,
		objstore.NoSuchNode:              syscall.ENOENT,
		objstore.NodeExists:              syscall.EEXIST,
		objstore.NotDirectory:            syscall.ENOTDIR,
		objstore.IsDirectory:             syscall.EISDIR,
		objstore.NotEmpty:                syscall.ENOTEMPTY,
		objstore.NameTooLong:             syscall.ENAMETOOLONG,
		objstore.TooManyLinks:            syscall.EMLINK,
		objstore.InvalidMove:             syscall.EINVAL,
		objstore.CrossBucket:             syscall.EXDEV,
		objstore.NoSuchXattr:             syscall.ENODATA,
		objstore.XattrExists:             syscall.EEXIST,
		objstore.XattrTooLarge:           syscall.E2BIG,
		objstore.NotPermitted:            syscall.EPERM,
		objstore.ReadOnly:                syscall.EROFS,
		objstore.NoData:                  syscall.ENXIO,
		objstore.IntegrityError:          syscall.EIO,
	}
}

func fsErrnos() map[fs.Code]syscall.Errno {
	return map[fs.Code]syscall.Errno{
		fs.Unsupported:  syscall.EOPNOTSUPP,
		fs.BadHandle:    syscall.EBADF,
		fs.FileTooLarge: syscall.EFBIG,
		fs.Stale:        syscall.ESTALE,
	}
}
