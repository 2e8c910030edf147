package storetest

import (
	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

func versions() []Case {
	return []Case{
		{"Enabled", versionsEnabled}, {"Suspended", versionsSuspended}, {"Off", versionsOff}, {"DeleteMarker", deleteMarker},
		{"Undelete", undelete}, {"UndeleteBelowGoneDirectory", undeleteDeep}, {"NullBeforeEnabled", nullBefore},
		{"DeleteMissing", deleteMissing}, {"OldVersionsKeepBytes", oldBytes}, {"DirectoryObject", directoryObject},
	}
}

func versionsEnabled(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	a, b := f.put("k", "one"), f.put("k", "two")
	require.NotEqual(f, a.VersionID, b.VersionID)
	require.NotEqual(f, objstore.NullVersion, a.VersionID)
	require.Equal(f, "two", f.get("k", ""))
	require.Equal(f, "one", f.get("k", a.VersionID))
	o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "k", a.VersionID)
	require.NoError(f, err)
	require.False(f, o.IsLatest)
	f.delete("k", b.VersionID)
	require.Equal(f, "one", f.get("k", ""), "the older one is current again")
	o, err = f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	require.NoError(f, err)
	require.Equal(f, a.VersionID, o.VersionID)
	require.True(f, o.IsLatest)
	_, err = f.Store.HeadObject(f.Ctx, f.Bucket, "k", b.VersionID)
	f.requireCode(objstore.NoSuchVersion, err)
}

func versionsSuspended(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	a := f.put("k", "one")
	f.versioning(objstore.VersioningSuspended)
	require.Equal(f, objstore.NullVersion, f.put("k", "two").VersionID)
	f.put("k", "three")
	got := listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1)
	require.Len(f, got, 2, "the null version replaces the null version")
	m := f.delete("k", "")
	require.True(f, m.DeleteMarker)
	require.Equal(f, objstore.NullVersion, m.VersionID)
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1), 2, "a null marker replaces the null version")
	require.Equal(f, "one", f.get("k", a.VersionID))
	f.put("k", "four")
	got = listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1)
	require.Len(f, got, 2, "the null version replaces the null marker")
	require.Equal(f, "four", f.get("k", objstore.NullVersion))
}

func versionsOff(f *Fixture) {
	require.Equal(f, objstore.NullVersion, f.put("k", "one").VersionID)
	f.put("k", "two")
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1), 1)
	require.Equal(f, "two", f.get("k", objstore.NullVersion))
	f.delete("k", "")
	require.Empty(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1))
}

func deleteMarker(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	f.put("k", "one")
	m := f.delete("k", "")
	require.True(f, m.DeleteMarker)
	_, err := f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	f.requireCode(objstore.NoSuchKey, err)
	o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "k", m.VersionID)
	f.requireCode(objstore.MethodNotAllowed, err)
	require.True(f, o.DeleteMarker)
	_, _, err = f.Store.GetObject(f.Ctx, f.Bucket, "k", m.VersionID)
	f.requireCode(objstore.MethodNotAllowed, err)
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Empty(f, keys)
	got := listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1)
	require.Len(f, got, 2)
	require.True(f, got[0].DeleteMarker && got[0].IsLatest && !got[1].IsLatest)
}

func undelete(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	v := f.put("k", "one")
	m := f.delete("k", "")
	f.delete("k", m.VersionID)
	require.Equal(f, "one", f.get("k", ""))
	o, err := f.Store.HeadObject(f.Ctx, f.Bucket, "k", "")
	require.NoError(f, err)
	require.Equal(f, v.VersionID, o.VersionID)
}

func undeleteDeep(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	v := f.put("d/e/k", "one")
	m := f.delete("d/e/k", "")
	require.Equal(f, "one", f.get("d/e/k", v.VersionID), "the directories are gone, the version is not")
	f.delete("d/e/k", m.VersionID)
	require.Equal(f, "one", f.get("d/e/k", ""))
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Equal(f, []string{"d/e/k"}, keys)
}

func nullBefore(f *Fixture) {
	f.put("k", "null")
	f.versioning(objstore.VersioningEnabled)
	b := f.put("k", "new")
	require.Equal(f, "null", f.get("k", objstore.NullVersion))
	f.delete("k", b.VersionID)
	require.Equal(f, "null", f.get("k", ""))
	f.versioning(objstore.VersioningSuspended)
	f.put("k", "null again")
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1), 1)
}

// deleteMissing: S3 puts a delete marker also where there is no object. S3 User Guide, "Working with delete markers".
func deleteMissing(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	m := f.delete("d/none", "")
	require.True(f, m.DeleteMarker)
	again := f.delete("d/none", "")
	require.NotEqual(f, m.VersionID, again.VersionID)
	require.Len(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1), 2)
	_, err := f.Store.DeleteObject(f.Ctx, f.Bucket, "d/none", "nope", objstore.Condition{})
	f.requireCode(objstore.NoSuchVersion, err)
	f.delete("d/none", m.VersionID)
	f.delete("d/none", again.VersionID)
	require.Empty(f, listVersions(f, f.Store, f.Bucket, objstore.ListInput{}, 1))
}

func oldBytes(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	ids := map[objstore.VersionID]string{}
	for i := range 6 {
		body := string(block(uint64(i), 1+i*40<<10))
		ids[f.put("d/k", body).VersionID] = body
		if i == 3 {
			f.delete("d/k", "")
		}
	}
	f.gc()
	f.reopen()
	for id, body := range ids {
		require.True(f, body == f.get("d/k", id))
	}
}

func directoryObject(f *Fixture) {
	f.versioning(objstore.VersioningEnabled)
	a := f.put("d/", "")
	f.put("d/x", "x")
	keys, _ := listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Equal(f, []string{"d/", "d/x"}, keys)
	f.delete("d/", "")
	keys, _ = listAll(f, f.Store, f.Bucket, objstore.ListInput{}, 10)
	require.Equal(f, []string{"d/x"}, keys)
	require.Equal(f, "", f.get("d/", a.VersionID))
}
