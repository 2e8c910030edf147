package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/cmd/kmsfs/service"
	"kmsfs/kms"
	"kmsfs/objstore"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want exit
	}{
		{nil, exitOK},
		{errors.New("anything"), exitFailed},
		{usagef("x"), exitUsage},
		{&service.Error{Code: service.Unsupported}, exitUsage},
		{&partialError{"x"}, exitPartial},
		{&objstore.Error{Code: objstore.NoSuchBucket}, exitNotFound},
		{&objstore.Error{Code: objstore.NoSuchNode}, exitNotFound},
		{&kms.Error{Code: kms.NotFoundException}, exitNotFound},
		{&service.Error{Code: service.NoStore}, exitNotFound},
		{fs.ErrNotExist, exitNotFound},
		{&kms.Error{Code: kms.AccessDeniedException}, exitPermission},
		{&service.Error{Code: service.OpenRootKey}, exitPermission},
		{&kms.Error{Code: kms.DisabledException}, exitKeyUnusable},
		{&kms.Error{Code: kms.KMSInvalidStateException, State: kms.StatePendingDeletion}, exitKeyUnusable},
		{&kms.Error{Code: kms.ThrottlingException}, exitKMSAway},
		{&kms.Error{Code: kms.DependencyTimeoutException}, exitKMSAway},
		{&objstore.Error{Code: objstore.IntegrityError}, exitIntegrity},
		{&service.Error{Code: service.WrongRootKey}, exitIntegrity},
		{&service.Error{Code: service.NoKeyring}, exitIntegrity},
		{&service.Error{Code: service.OtherKMS}, exitConfig},
		{&damageError{"x"}, exitIntegrity},
		{&service.Error{Code: service.Busy}, exitBusy},
		{&mountPointError{code: service.Stale}, exitBusy},
		{&configError{errors.New("x")}, exitConfig},
		{context.Canceled, exitSignal + 2},
	} {
		require.Equal(t, c.want, exitCode(c.err), "%v", c.err)
		if c.err != nil {
			require.Equal(t, c.want, exitCode(fmt.Errorf("wrapped: %w", c.err)), "%v, wrapped", c.err)
		}
	}
}

// A command must exit alike whether it opened the store itself or asked the daemon.
func TestExitCodesCrossTheSocket(t *testing.T) {
	var all []error
	for _, c := range kms.Codes {
		all = append(all, &kms.Error{Code: c, State: kms.StatePendingDeletion, Message: "m"})
	}
	for _, c := range objstore.Codes {
		all = append(all, &objstore.Error{Code: c, Message: "m"})
	}
	for _, c := range service.Codes() {
		all = append(all, &service.Error{Code: c, Message: "m"})
	}
	for _, err := range all {
		wrapped := fmt.Errorf("op: %w", err)
		wire := service.ToWire(wrapped)
		require.Equal(t, exitCode(wrapped), exitCode(wire), "%v", err)
		require.Equal(t, hint(wrapped, "/s"), hint(wire, "/s"), "%v", err)
		require.Equal(t, wrapped.Error(), wire.Error())
	}
}

func TestEveryExitCodeIsInTheHelp(t *testing.T) {
	help := exitHelp()
	for code := exitOK; code <= exitConfig; code++ {
		require.Contains(t, help, fmt.Sprintf("%2d  %s", code, exitMeanings()[code]))
		require.NotEmpty(t, exitMeanings()[code])
	}
}

func TestTreeErrors(t *testing.T) {
	disabled := service.ToWire(&kms.Error{Code: kms.DisabledException})
	require.NoError(t, treeError(service.TreeAnswer{Files: 3}, nil))
	require.Equal(t, exitPartial, exitCode(treeError(service.TreeAnswer{Files: 1, Failed: 1}, disabled)))
	require.Equal(t, exitPartial, exitCode(treeError(service.TreeAnswer{Skipped: 1, Failed: 1}, disabled)))
	all := treeError(service.TreeAnswer{Failed: 2}, disabled)
	require.Error(t, all)
	require.Equal(t, exitKeyUnusable, exitCode(all))
	require.Equal(t, "2 of 2 files failed", all.Error())
}

func TestHints(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&kms.Error{Code: kms.DisabledException}, "kmsfs key enable"},
		{&kms.Error{Code: kms.NotFoundException}, "kmsfs key ls"},
		{&kms.Error{Code: kms.KMSInvalidStateException, State: kms.StatePendingDeletion}, "kmsfs key cancel-deletion"},
		{&kms.Error{Code: kms.AlreadyExistsException}, "kmsfs key alias set"},
		{&service.Error{Code: service.OpenRootKey}, "chmod 600 /s.key"},
		{&service.Error{Code: service.WrongRootKey}, "KMSFS_ROOT_KEY"},
		{&service.Error{Code: service.NoStore}, "kmsfs init"},
		{&service.Error{Code: service.Busy, Message: "/m is in use by pid 1 (sh: working directory)"}, "close the files"},
		{&service.Error{Code: service.Busy, Message: "the store is in use"}, "wait for the other process"},
		{&objstore.Error{Code: objstore.NoSuchBucket}, "kmsfs bucket create"},
		{&objstore.Error{Code: objstore.IntegrityError}, "kmsfs check"},
	} {
		require.Contains(t, hint(c.err, "/s"), c.want, "%v", c.err)
	}
	const arn = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	require.Equal(t, "enable it: kmsfs key enable "+arn, hint(kms.Errorf(kms.DisabledException, "%s is disabled.", arn), "/s"))
	require.Empty(t, keyARN("arn:aws:kms:us-east-1:000000000000:alias/x"))
	require.Empty(t, hint(errors.New("anything"), "/s"))
	require.Empty(t, hint(usagef("x"), "/s"))
	require.Equal(t, "do this", mountHint(fmt.Errorf("x: %w", &mountPointError{advice: "do this"})))
}
