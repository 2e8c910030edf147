package policy

import "strings"

// MaxSize is the size of a key policy at most, in bytes. Source: AWS KMS Developer Guide, "Resource quotas".
const MaxSize = 32 << 10

// Effect is what a policy says about a request.
type Effect int

// Deny outweighs Allow; None is a refusal too, unless a grant allows.
const (
	None Effect = iota
	Allow
	Deny
)

// Request is what is asked; it is for one goroutine at a time, and its Context stays as it is. Fields that are empty are condition keys that the request does not have.
type Request struct {
	Principal  string // IAM ARN of the caller
	Action     string // without "kms:", such as Decrypt
	Resource   string // key ARN
	ViaService string // such as s3.us-east-1.amazonaws.com
	Context    map[string]string

	KeySpec, KeyUsage, KeyOrigin string
	MultiRegion                  bool
	RequestAlias                 string // the alias that the request named
	GrantOperations              []string
	Aliases                      func() []string // of the key; asked only by policies that want to know

	Extra map[string]string // further condition keys by their name in lower case, such as kms:granteeprincipal

	looked, twins bool // of hasTwins
}

// Policy is a key policy, ready to decide. It is immutable.
type Policy struct{ statements []statement }

type statement struct {
	effect     Effect
	principals principals
	actions    actions
	resources  []string // empty: every resource
	conditions []condition
}

// Decide says what the policy has to say about r.
func (p *Policy) Decide(r *Request) Effect {
	decision := None
	for i := range p.statements {
		s := &p.statements[i]
		if (s.effect == Allow && decision == Allow) || !s.match(r) {
			continue
		}
		if s.effect == Deny {
			return Deny
		}
		decision = Allow
	}
	return decision
}

func (s *statement) match(r *Request) bool {
	if !s.actions.match(r.Action) || !s.principals.match(r) || !s.about(r.Resource) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r, s.effect) {
			return false
		}
	}
	return true
}

func (s *statement) about(resource string) bool {
	if len(s.resources) == 0 {
		return true
	}
	for _, p := range s.resources {
		if globARN(p, resource) {
			return true
		}
	}
	return false
}

// Parse reads a policy. The error is a [*SyntaxError].
func Parse(document string) (*Policy, error) {
	if len(document) > MaxSize {
		return nil, (&source{}).errorAt(0, "", "the policy has %d bytes; the limit is %d", len(document), MaxSize)
	}
	s, root, err := readTree([]byte(document))
	if err != nil {
		return nil, err
	}
	if root.kind != object {
		return nil, s.errorIn(root, "this is %s; a policy is an object", root.kind)
	}
	return parseDocument(s, root)
}

func parseDocument(s *source, root *node) (*Policy, error) {
	p := &Policy{}
	for _, m := range root.names {
		switch m.name {
		case "Version":
			if m.value.kind != text || (m.value.text != "2012-10-17" && m.value.text != "2008-10-17") {
				return nil, s.errorIn(m.value, "the version is 2012-10-17 or 2008-10-17")
			}
		case "Id":
			if m.value.kind != text {
				return nil, s.errorIn(m.value, "this is %s; a string is wanted", m.value.kind)
			}
		case "Statement":
			for _, n := range m.value.oneOrMany() {
				st, err := parseStatement(s, n)
				if err != nil {
					return nil, err
				}
				p.statements = append(p.statements, st)
			}
		default:
			return nil, s.errorIn(m.value, "a policy has no element %q", m.name)
		}
	}
	if len(p.statements) == 0 {
		return nil, s.errorIn(root, "the policy has no statement")
	}
	return p, nil
}

func parseStatement(s *source, n *node) (st statement, err error) {
	if n.kind != object {
		return st, s.errorIn(n, "this is %s; a statement is an object", n.kind)
	}
	seen := map[string]bool{}
	for _, m := range n.names {
		seen[m.name] = true
		if err := st.element(s, m); err != nil {
			return st, err
		}
	}
	for _, name := range []string{"Effect", "Principal", "Resource"} {
		if !seen[name] {
			return st, s.errorIn(n, "the statement has no %s", name)
		}
	}
	if seen["Action"] == seen["NotAction"] {
		return st, s.errorIn(n, "the statement needs either Action or NotAction")
	}
	return st, nil
}

func (st *statement) element(s *source, m member) (err error) {
	switch m.name {
	case "Sid":
		if m.value.kind != text {
			err = s.errorIn(m.value, "this is %s; a string is wanted", m.value.kind)
		}
	case "Effect":
		st.effect, err = parseEffect(s, m.value)
	case "Principal":
		st.principals, err = parsePrincipals(s, m.value)
	case "Action", "NotAction":
		st.actions, err = parseActions(s, m.value, m.name == "NotAction")
	case "Resource":
		st.resources, err = parseResources(s, m.value)
	case "Condition":
		st.conditions, err = parseConditions(s, m.value)
	case "NotPrincipal", "NotResource":
		err = s.errorIn(m.value, "%s is not supported in a key policy; use a Deny with a condition on aws:PrincipalArn", m.name)
	default:
		err = s.errorIn(m.value, "a statement has no element %q", m.name)
	}
	return err
}

func parseEffect(s *source, n *node) (Effect, error) {
	switch {
	case n.kind == text && n.text == "Allow":
		return Allow, nil
	case n.kind == text && n.text == "Deny":
		return Deny, nil
	}
	return None, s.errorIn(n, "the effect is Allow or Deny")
}

// parseResources reads "*" or patterns of key ARNs. A statement about other keys than the policy's own has no effect.
func parseResources(s *source, n *node) ([]string, error) {
	values, err := s.strings(n)
	if err != nil {
		return nil, err
	}
	var out []string
	every := false
	for _, v := range values {
		switch {
		case v.text == "*":
			every = true
			continue
		case strings.Contains(v.text, "${"):
			return nil, s.errorIn(v, "policy variables (${...}) are not known here")
		case !isARN(v.text):
			return nil, s.errorIn(v, `%q is no resource: use "*" or a key ARN`, v.text)
		}
		out = append(out, v.text)
	}
	if every {
		return nil, nil
	}
	return out, nil
}
