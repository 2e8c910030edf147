package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/cmd/kmsfs/service"
)

func TestMountOptions(t *testing.T) {
	n := func(v uint32) *uint32 { return &v }
	for _, c := range []struct {
		name string
		in   []string
		want service.MountOptions
	}{
		{"none", nil, service.MountOptions{}},
		{"empty", []string{""}, service.MountOptions{}},
		{"ro", []string{"ro"}, service.MountOptions{ReadOnly: true}},
		{"the last of ro and rw counts", []string{"ro,rw"}, service.MountOptions{}},
		{"several lists", []string{"ro,allow_other", "nonempty"}, service.MountOptions{ReadOnly: true, AllowOther: true, NonEmpty: true}},
		{"spaces", []string{"ro, allow_other"}, service.MountOptions{ReadOnly: true, AllowOther: true}},
		{"owner", []string{"uid=1000,gid=0"}, service.MountOptions{UID: n(1000), GID: n(0)}},
		{"devices and programs", []string{"dev,suid,noexec"}, service.MountOptions{Dev: true, Suid: true, NoExec: true}},
		{"umask is octal", []string{"umask=027"}, service.MountOptions{Umask: n(0o27)}},
		{"reencrypt", []string{"reencrypt=on-set"}, service.MountOptions{ReencryptOnSet: true}},
		{"what mount(8) passes", []string{"rw,nodev,nosuid,exec,noatime,default_permissions,_netdev,nofail,x-systemd.automount,comment=x"}, service.MountOptions{Permissions: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseMountOptions(c.in)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestMountOptionsThatAreWrong(t *testing.T) {
	for in, want := range map[string]string{
		"uid=me":           "uid=me is no number in base 10",
		"uid=":             "uid= is no number in base 10",
		"umask=9":          "umask=9 is no number in base 8",
		"umask=1000":       "umask=1000 is more than 0777",
		"reencrypt=always": "reencrypt=always is neither on-set nor on-write",
		"allow_others":     "allow_others is no mount option",
		"ro=yes":           "ro=yes is no mount option",
		"gid=-1":           "gid=-1 is no number in base 10",
	} {
		t.Run(in, func(t *testing.T) {
			_, err := parseMountOptions([]string{in})
			require.Error(t, err)
			require.Equal(t, want, err.Error())
		})
	}
}

func TestOptionsText(t *testing.T) {
	o, err := parseMountOptions([]string{"ro,allow_other,default_permissions,reencrypt=on-set,uid=7,gid=8,umask=022"})
	require.NoError(t, err)
	require.Equal(t, "ro,allow_other,default_permissions,reencrypt=on-set,uid=7,gid=8,umask=022", optionsText(o))
	require.Equal(t, "rw", optionsText(service.MountOptions{}))
}

func TestMountSource(t *testing.T) {
	dir := t.TempDir()
	require.Equal(t, dir, storeOfSource(mountSource(dir, "")))
	require.Equal(t, dir, storeOfSource(mountSource(dir, "demo")))
	require.Equal(t, dir+"/a:b", storeOfSource(mountSource(dir+"/a:b", "demo")))
}
