package kmstest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func createKey(f *fixture) {
	before := time.Now().Add(-time.Minute)
	m, err := f.b.CreateKey(f.ctx, kms.CreateKeyInput{Description: "payroll ü"})
	require.NoError(f, err)
	require.Equal(f, "payroll ü", m.Description)
	require.Equal(f, kms.StateEnabled, m.State)
	require.True(f, m.Enabled())
	require.Equal(f, kms.UsageEncryptDecrypt, m.Usage)
	require.Equal(f, kms.SpecSymmetricDefault, m.Spec)
	require.Equal(f, kms.OriginAWSKMS, m.Origin)
	require.Equal(f, kms.ManagerCustomer, m.Manager)
	require.Regexp(f, `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`, m.ID)
	require.Regexp(f, `^arn:aws:kms:[a-z0-9-]+:[0-9]{12}:key/`+m.ID+`$`, m.ARN)
	require.Regexp(f, `^[0-9a-f]{64}$`, m.MaterialID)
	require.True(f, m.Created.After(before) && m.Created.Before(time.Now().Add(time.Minute)), "%s", m.Created)
	require.True(f, m.DeletionDate.IsZero())
	again, err := f.b.DescribeKey(f.ctx, m.ARN)
	require.NoError(f, err)
	require.Equal(f, m, again)
}

func managedKey(f *fixture) {
	m, err := f.b.DescribeKey(f.ctx, kms.ManagedAlias)
	require.NoError(f, err)
	require.Equal(f, kms.ManagerAWS, m.Manager)
	require.Equal(f, "Default key that protects my S3 objects when no other key is defined", m.Description)
	require.Equal(f, kms.StateEnabled, m.State)
	if !f.remote {
		d, err := f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: kms.ManagedAlias, Bytes: 32})
		require.NoError(f, err)
		require.Equal(f, m.ARN, d.KeyARN)
	}
	page, err := f.b.ListAliases(f.ctx, m.ID, "", 100)
	require.NoError(f, err)
	require.Len(f, page.Aliases, 1)
	require.Equal(f, kms.ManagedAlias, page.Aliases[0].Name)
}

func managedOnce(f *fixture) {
	var wg sync.WaitGroup
	arns := make([]string, 16)
	errs := make([]error, len(arns))
	for i := range arns {
		wg.Go(func() {
			if f.remote {
				m, err := f.b.DescribeKey(f.ctx, kms.ManagedAlias)
				arns[i], errs[i] = m.ARN, err
				return
			}
			d, err := f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: kms.ManagedAlias, Bytes: 32})
			arns[i], errs[i] = d.KeyARN, err
		})
	}
	wg.Wait()
	require.NoError(f, errors.Join(errs...))
	require.Len(f, slices.Compact(arns), 1)
}

func managedUnchangeable(f *fixture) {
	m, err := f.b.DescribeKey(f.ctx, kms.ManagedAlias)
	require.NoError(f, err)
	ctx := kms.WithCaller(f.ctx, kms.Caller{Principal: "arn:aws:iam::000000000000:user/eve"})
	for op, change := range f.changes(m.ID) {
		switch op {
		case kms.OpDescribeKey, kms.OpListKeyRotations, kms.OpGetKeyRotationStatus, kms.OpGetKeyPolicy, kms.OpListResourceTags, kms.OpListGrants:
			continue
		}
		err := change(ctx)
		require.Error(f, err, op)
		require.ErrorIs(f, err, kms.AccessDeniedException, op)
	}
	after, err := f.b.DescribeKey(f.ctx, kms.ManagedAlias)
	require.NoError(f, err)
	require.Equal(f, m, after)
}

func listKeys(f *fixture) {
	want := map[string]string{}
	for range 7 {
		k := f.key()
		want[k.ID] = k.ARN
	}
	got, after, pages := map[string]string{}, "", 0
	for {
		page, err := f.b.ListKeys(f.ctx, after, 3)
		require.NoError(f, err)
		require.LessOrEqual(f, len(page.Keys), 3)
		require.True(f, slices.IsSortedFunc(page.Keys, func(a, b kms.KeyEntry) int { return strings.Compare(a.ID, b.ID) }))
		for _, k := range page.Keys {
			require.Greater(f, k.ID, after)
			got[k.ID] = k.ARN
		}
		pages++
		if page.Next == "" {
			break
		}
		after = page.Next
	}
	require.Equal(f, want, got)
	require.Equal(f, 3, pages)
}

func updateDescription(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "x")
	require.NoError(f, f.b.UpdateKeyDescription(f.ctx, k.ID, "new"))
	m, err := f.b.DescribeKey(f.ctx, k.ID)
	require.NoError(f, err)
	k.Description = "new"
	require.Equal(f, k, m, "nothing else changes")
	require.Equal(f, "x", f.decrypt(nil, blob))
}

func disable(f *fixture) {
	k, other := f.key(), f.key()
	blob := f.encrypt(k.ID, nil, "x")
	require.NoError(f, f.b.DisableKey(f.ctx, k.ID))
	require.NoError(f, f.b.DisableKey(f.ctx, k.ID), "twice is no error")
	for op, use := range f.uses(k.ID, blob) {
		f.Log(op)
		f.refused(use(f.ctx), kms.DisabledException, k.ARN+" is disabled.")
	}
	f.encrypt(other.ID, nil, "other keys go on")
	require.NoError(f, f.b.EnableKey(f.ctx, k.ID))
	require.Equal(f, "x", f.decrypt(nil, blob))
}

// disableUnderLoad: no use that starts after DisableKey returned succeeds.
func disableUnderLoad(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "x")
	var disabled atomic.Bool
	var wg sync.WaitGroup
	var late, refusals atomic.Int64
	for range 4 {
		wg.Go(func() {
			for range 400 {
				after := disabled.Load()
				_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: blob})
				if err != nil {
					refusals.Add(1)
				} else if after {
					late.Add(1)
				}
			}
		})
	}
	require.NoError(f, f.b.DisableKey(f.ctx, k.ID))
	disabled.Store(true)
	wg.Wait()
	require.Zero(f, late.Load())
	_, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: blob})
	require.ErrorIs(f, err, kms.DisabledException)
}

func deletion(f *fixture) {
	k := f.key()
	blob := f.encrypt(k.ID, nil, "x")
	_, err := f.b.CancelKeyDeletion(f.ctx, k.ID)
	f.refused(err, kms.KMSInvalidStateException, k.ARN+" is not pending deletion.")

	m, err := f.b.ScheduleKeyDeletion(f.ctx, k.ID, 7)
	require.NoError(f, err)
	require.Equal(f, kms.StatePendingDeletion, m.State)
	require.Equal(f, 7, m.PendingWindowDays)
	require.InDelta(f, 7*24*3600, time.Until(m.DeletionDate).Seconds(), 2*3600)
	for op, use := range f.uses(k.ID, blob) {
		f.Log(op)
		err := use(f.ctx)
		f.refused(err, kms.KMSInvalidStateException, k.ARN+" is pending deletion.")
		var e *kms.Error
		require.True(f, errors.As(err, &e))
		require.Equal(f, kms.StatePendingDeletion, e.State)
	}
	m, err = f.b.CancelKeyDeletion(f.ctx, k.ID)
	require.NoError(f, err)
	require.Equal(f, kms.StateDisabled, m.State)
	require.True(f, m.DeletionDate.IsZero())
	require.NoError(f, f.b.EnableKey(f.ctx, k.ID))
	require.Equal(f, "x", f.decrypt(nil, blob))
}

// stateTable tries every operation in every state that a key can be brought into, against kms.CheckState.
func stateTable(f *fixture) {
	states := map[kms.KeyState]func(id string) error{
		kms.StateEnabled:  func(string) error { return nil },
		kms.StateDisabled: func(id string) error { return f.b.DisableKey(f.ctx, id) },
		kms.StatePendingDeletion: func(id string) error {
			_, err := f.b.ScheduleKeyDeletion(f.ctx, id, 30)
			return err
		},
		kms.StatePendingImport: func(string) error { return nil },
	}
	for state, reach := range states {
		for op := range f.changes("") {
			origin := kms.OriginAWSKMS
			if state == kms.StatePendingImport {
				origin = kms.OriginExternal
			}
			k := f.keyOf(kms.CreateKeyInput{Origin: origin})
			require.NoError(f, reach(k.ID))
			m, err := f.b.DescribeKey(f.ctx, k.ID)
			require.NoError(f, err)
			require.Equal(f, state, m.State)
			want := kms.CheckState(op, m)
			got := f.changes(k.ID)[op](f.ctx)
			if want == nil {
				require.NoError(f, got, "%s %s", op, state)
			} else {
				require.EqualError(f, got, want.Error(), "%s %s", op, state)
			}
			if op == kms.OpCreateAlias && got == nil {
				require.NoError(f, f.b.DeleteAlias(f.ctx, "alias/new"))
			}
		}
	}
}

func rotation(f *fixture) {
	k := f.key()
	blobs := [][]byte{f.encrypt(k.ID, nil, "0")}
	for i := range 3 {
		m, err := f.b.RotateKeyOnDemand(f.ctx, k.ID)
		require.NoError(f, err)
		require.Equal(f, k.ARN, m.ARN)
		require.NotEqual(f, k.MaterialID, m.MaterialID)
		blobs = append(blobs, f.encrypt(k.ID, nil, string(rune('1'+i))))
		d, err := f.b.GenerateDataKey(f.ctx, kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32})
		require.NoError(f, err)
		require.Equal(f, m.MaterialID, d.MaterialID, "new material encrypts")
	}
	for i, blob := range blobs {
		require.Equal(f, string(rune('0'+i)), f.decrypt(nil, blob), "old material decrypts")
	}
	list, err := f.b.ListKeyRotations(f.ctx, k.ID)
	require.NoError(f, err)
	require.Len(f, list, 4)
	require.Equal(f, k.MaterialID, list[0].MaterialID)
	require.True(f, list[0].Date.IsZero())
	for i, r := range list {
		require.Equal(f, i == 3, r.Current)
		require.Equal(f, i == 0, r.Date.IsZero())
		p, err := f.b.Decrypt(f.ctx, kms.DecryptInput{Blob: blobs[i]})
		require.NoError(f, err)
		require.Equal(f, r.MaterialID, p.MaterialID)
	}
}

func rotationLimit(f *fixture) {
	k := f.key()
	for range 25 {
		_, err := f.b.RotateKeyOnDemand(f.ctx, k.ID)
		require.NoError(f, err)
	}
	_, err := f.b.RotateKeyOnDemand(f.ctx, k.ID)
	f.refused(err, kms.LimitExceededException, "The on-demand rotations limit has been reached for the given keyId. "+
		"No more on-demand rotations can be performed for this key: "+k.ARN)
}
