package kms

import (
	"os"
	"os/user"
	"strconv"
	"sync"
)

// principals gives every caller a name that policies know. A caller that comes with one keeps it.
//
// Others are processes of this machine: uid 0 and the owner of this process are the account's root user, any other uid
// is the user of its login name, or user/uid-1234 where it has none. A caller that came through a network door without
// a name has none, and no policy of this package allows him anything.
type principals struct {
	account string
	ofUID   func(uid uint32) string // nil, or an answer of "": the rule above

	names sync.Map // uid → ARN. Login names are looked up once: one that changes is noticed by the next process
}

func newPrincipals(account string, ofUID func(uint32) string) *principals {
	return &principals{account: account, ofUID: ofUID}
}

// RootPrincipal is the ARN of an account's root user.
func RootPrincipal(account string) string { return "arn:aws:iam::" + account + ":root" }

// UserPrincipal is the ARN of a user.
func UserPrincipal(account, name string) string { return "arn:aws:iam::" + account + ":user/" + name }

func (p *principals) of(c Caller) string {
	if c.Principal != "" || c.Via == "s3" || c.Via == "kms" {
		return c.Principal
	}
	if name, ok := p.names.Load(c.UID); ok {
		return name.(string)
	}
	name := p.lookup(c.UID)
	p.names.Store(c.UID, name)
	return name
}

func (p *principals) lookup(uid uint32) string {
	if p.ofUID != nil {
		if name := p.ofUID(uid); name != "" {
			return name
		}
	}
	if uid == 0 || int(uid) == os.Geteuid() {
		return RootPrincipal(p.account)
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return UserPrincipal(p.account, u.Username)
	}
	return UserPrincipal(p.account, "uid-"+id)
}
