package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kmsfs/cmd/kmsfs/service"
)

// ignoredOptions are options that mount(8) and /etc/fstab pass to every file system. They are accepted and
// have no effect here, because the kernel, mount(8) or systemd act on them.
func ignoredOptions() []string {
	return []string{"atime", "noatime", "relatime",
		"norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime", "nolazytime", "sync", "async",
		"dirsync", "auto", "noauto", "user", "nouser", "users", "nousers", "owner", "group", "defaults", "nofail", "_netdev",
		"remount", "silent", "loud"}
}

// parseMountOptions reads what stands after -o, each with options separated by commas. Names are those of
// mount(8) and fuse(8). Unknown names are an error, but for x-* (which are for mount(8) and systemd).
func parseMountOptions(lists []string) (service.MountOptions, error) {
	var o service.MountOptions
	for _, list := range lists {
		for opt := range strings.SplitSeq(list, ",") {
			if err := parseMountOption(&o, strings.TrimSpace(opt)); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

func parseMountOption(o *service.MountOptions, opt string) (err error) {
	name, value, hasValue := strings.Cut(opt, "=")
	switch name {
	case "uid":
		o.UID, err = optionNumber(name, value, 10)
		return err
	case "gid":
		o.GID, err = optionNumber(name, value, 10)
		return err
	case "umask":
		if o.Umask, err = optionNumber(name, value, 8); err == nil && *o.Umask > 0o777 {
			err = fmt.Errorf("umask=%s is more than 0777", value)
		}
		return err
	case "reencrypt":
		if value != "on-set" && value != "on-write" {
			return fmt.Errorf("reencrypt=%s is neither on-set nor on-write", value)
		}
		o.ReencryptOnSet = value == "on-set"
		return nil
	}
	if strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "comment") {
		return nil
	}
	if hasValue {
		return fmt.Errorf("%s is no mount option", opt)
	}
	return parseSwitch(o, name)
}

func parseSwitch(o *service.MountOptions, name string) error {
	switches := map[string]struct {
		field *bool
		value bool
	}{
		"ro": {&o.ReadOnly, true}, "rw": {&o.ReadOnly, false},
		"suid": {&o.Suid, true}, "nosuid": {&o.Suid, false},
		"dev": {&o.Dev, true}, "nodev": {&o.Dev, false},
		"noexec": {&o.NoExec, true}, "exec": {&o.NoExec, false},
		"allow_other": {&o.AllowOther, true}, "nonempty": {&o.NonEmpty, true}, "default_permissions": {&o.Permissions, true},
	}
	if s, ok := switches[name]; ok {
		*s.field = s.value
		return nil
	}
	if name != "" && !slices.Contains(ignoredOptions(), name) {
		return fmt.Errorf("%s is no mount option", name)
	}
	return nil
}

func optionNumber(name, value string, base int) (*uint32, error) {
	n, err := strconv.ParseUint(value, base, 32)
	if err != nil {
		return nil, fmt.Errorf("%s=%s is no number in base %d", name, value, base)
	}
	u := uint32(n)
	return &u, nil
}
