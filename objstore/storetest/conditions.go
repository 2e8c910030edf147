package storetest

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func conditions() []Case {
	return []Case{
		{"IfNotExist", ifNotExist}, {"IfMatch", ifMatch}, {"IfNotExistRace", ifNotExistRace}, {"DeleteIfMatch", deleteIfMatch},
		{"BehindDeleteMarker", conditionBehindMarker},
	}
}

func (f *Fixture) putIf(key, body string, c objstore.Condition) (objstore.Object, error) {
	return f.Store.PutObject(f.Ctx, objstore.PutInput{Bucket: f.Bucket, Key: key, Body: strings.NewReader(body), Condition: c})
}

func ifNotExist(f *Fixture) {
	_, err := f.putIf("d/k", "one", objstore.Condition{IfNoneMatch: "*"})
	require.NoError(f, err)
	_, err = f.putIf("d/k", "two", objstore.Condition{IfNoneMatch: "*"})
	f.requireCode(objstore.PreconditionFailed, err)
	require.Equal(f, "one", f.get("d/k", ""))
}

func ifMatch(f *Fixture) {
	_, err := f.putIf("new/k", "x", objstore.Condition{IfMatch: "abc"})
	f.requireCode(objstore.NoSuchKey, err)
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Empty(f, keys)
	o := f.put("k", "one")
	_, err = f.putIf("k", "two", objstore.Condition{IfMatch: "abc"})
	f.requireCode(objstore.PreconditionFailed, err)
	_, err = f.putIf("k", "two", objstore.Condition{IfMatch: `"` + o.ETag + `"`})
	require.NoError(f, err)
	require.Equal(f, "two", f.get("k", ""))
}

func ifNotExistRace(f *Fixture) {
	for i := range 5 {
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := f.putIf(strings.Repeat("k", i+1), "x", objstore.Condition{IfNoneMatch: "*"}); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		require.EqualValues(f, 1, won.Load())
	}
}

func deleteIfMatch(f *Fixture) {
	o := f.put("k", "one")
	_, err := f.Store.DeleteObject(f.Ctx, f.Bucket, "k", "", objstore.Condition{IfMatch: "abc"})
	f.requireCode(objstore.PreconditionFailed, err)
	_, err = f.Store.DeleteObject(f.Ctx, f.Bucket, "k", "", objstore.Condition{IfMatch: o.ETag})
	require.NoError(f, err)
}

func conditionBehindMarker(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	f.put("k", "one")
	f.delete("k", "")
	_, err := f.putIf("k", "two", objstore.Condition{IfNoneMatch: "*"})
	require.NoError(f, err, "a delete marker is no object")
}
