package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"kmsfs/kms"
)

// usersKey is the table of the configuration that names uids.
const usersKey = "users"

// Users are the names of uids: uid in decimal → name of a user. Uids that are not there have their login name.
type Users map[string]string

// Set reads UID=NAME pairs with commas between them.
func (u *Users) Set(text string) error {
	out := Users{}
	for pair := range strings.SplitSeq(text, ",") {
		uid, name, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok {
			return fmt.Errorf("%q is not UID=NAME", pair)
		}
		out[uid] = name
	}
	*u = out
	return nil
}

func (u Users) validate() error {
	var bad []error
	for uid, name := range u {
		if n, err := strconv.ParseUint(uid, 10, 32); err != nil || strconv.FormatUint(n, 10) != uid {
			bad = append(bad, fmt.Errorf("%q is no uid", uid))
		}
		if !isUserName(name) {
			bad = append(bad, fmt.Errorf("%s: %q is no user name: it has 1 to 64 letters, digits and _+=,.@-", uid, name))
		}
	}
	return errors.Join(bad...)
}

// isUserName holds IAM's rule.
func isUserName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-"
	return name != "" && len(name) <= 64 && strings.Trim(name, allowed) == ""
}

// principalOf is the ARN of a uid that the configuration names, "" for others.
func (c *Config) principalOf(uid uint32) string {
	name, ok := c.Users[strconv.FormatUint(uint64(uid), 10)]
	if !ok {
		return ""
	}
	return kms.UserPrincipal(c.KMS.Account, name)
}
