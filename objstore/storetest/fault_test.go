package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
	"kmsfs/objstore/storetest"
)

// answers is a store that has every object.
type answers struct{ objstore.Store }

func (answers) HeadObject(context.Context, string, string, objstore.VersionID) (objstore.Object, error) {
	return objstore.Object{Size: 1}, nil
}

func TestFaultRules(t *testing.T) {
	ctx := context.Background()
	broken := errors.New("broken")
	f := storetest.NewFault(answers{}, storetest.Rule{Op: "HeadObject", Key: "bad*", Nth: 2, Times: 1, Err: broken})
	head := func(key string) error {
		_, err := f.HeadObject(ctx, "b", key, "")
		return err
	}
	require.NoError(t, head("good"))
	require.NoError(t, head("bad1"))
	require.ErrorIs(t, head("bad2"), broken)
	require.NoError(t, head("bad3"))
	require.Equal(t, 4, f.Calls("HeadObject"))
	f.Add(storetest.Rule{Delay: time.Hour})
	late, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_, err := f.HeadObject(late, "b", "k", "")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	f.Clear()
	require.NoError(t, head("bad2"))
}
