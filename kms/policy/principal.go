package policy

import "strings"

// principals is whom a statement is about.
type principals struct {
	any      bool
	accounts map[string]struct{} // every user of these
	arns     map[string]struct{}
}

func (p *principals) match(r *Request) bool {
	if p.any {
		return true
	}
	if len(p.accounts) > 0 {
		if _, ok := p.accounts[accountOf(r.Principal)]; ok {
			return true
		}
	}
	_, ok := p.arns[r.Principal]
	return ok
}

// accountOf is the account in an IAM or STS ARN, "" where there is none.
func accountOf(arn string) string {
	for range 4 {
		i := strings.IndexByte(arn, ':')
		if i < 0 {
			return ""
		}
		arn = arn[i+1:]
	}
	account, _, _ := strings.Cut(arn, ":")
	return account
}

// parsePrincipals reads "*" or {"AWS": ...}. Other kinds of principal (Service, Federated) are accepted and match nobody:
// only users call here.
func parsePrincipals(s *source, n *node) (principals, error) {
	p := principals{accounts: map[string]struct{}{}, arns: map[string]struct{}{}}
	if n.kind == text && n.text == "*" {
		p.any = true
		return p, nil
	}
	if n.kind != object || len(n.names) == 0 {
		return p, s.errorIn(n, `a principal is "*" or {"AWS": ...}`)
	}
	for _, m := range n.names {
		values, err := s.strings(m.value)
		if err != nil {
			return p, err
		}
		switch m.name {
		case "AWS":
			err = p.addAll(s, values)
		case "Service", "Federated", "CanonicalUser":
		default:
			err = s.errorIn(m.value, "there is no principal of kind %q; use AWS", m.name)
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *principals) addAll(s *source, values []*node) error {
	for _, v := range values {
		if !p.add(v.text) {
			return s.errorIn(v, "%q is no principal: use an account (12 digits), arn:aws:iam::ACCOUNT:root, "+
				"or arn:aws:iam::ACCOUNT:user/NAME without wildcards", v.text)
		}
	}
	return nil
}

func (p *principals) add(name string) bool {
	if name == "*" {
		p.any = true
		return true
	}
	if isAccount(name) {
		p.accounts[name] = struct{}{}
		return true
	}
	if !IsPrincipal(name) {
		return false
	}
	if account := accountOf(name); name == "arn:aws:iam::"+account+":root" {
		p.accounts[account] = struct{}{}
		return true
	}
	p.arns[name] = struct{}{}
	return true
}

// IsPrincipal reports whether s is the ARN of a user, a role or an account: IAM's or STS's, without wildcards.
func IsPrincipal(s string) bool {
	f := strings.SplitN(s, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[1] != "aws" || (f[2] != "iam" && f[2] != "sts") || f[3] != "" || !isAccount(f[4]) {
		return false
	}
	if f[5] == "root" {
		return f[2] == "iam"
	}
	kind, name, ok := strings.Cut(f[5], "/")
	return ok && kind != "" && name != "" && !strings.ContainsAny(s, "*?")
}

func isAccount(s string) bool {
	if len(s) != 12 {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
