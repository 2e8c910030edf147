package policy

import (
	"strconv"
	"strings"
)

// quantifier is the set operator before an operator's name.
type quantifier int

const (
	single quantifier = iota
	forAllValues
	forAnyValue
)

// condition is one operator on one key: the key's values against the operator's.
type condition struct {
	key        conditionKey
	match      func(want, got string) bool
	want       []string
	negated    bool
	null       bool // the operator is Null
	ifExists   bool
	quantifier quantifier
}

// holds reports whether the condition is met.
func (c *condition) holds(r *Request, effect Effect) bool {
	switch {
	case c.key.pair != "":
		return c.holdsForPair(r, effect)
	case c.key.many != nil:
		return c.holdsForMany(c.key.many(r))
	}
	v := c.key.one(r)
	switch {
	case c.null:
		return (v == "") == (c.want[0] == "true")
	case v == "":
		return c.holdsWithout()
	}
	return c.one(v)
}

// holdsForPair compares the value of a pair of the encryption context. There may be several, because names that differ
// in case only are the same to a condition, but not to the context. Then a statement that allows needs all of them
// to match, one that denies any.
func (c *condition) holdsForPair(r *Request, effect Effect) bool {
	if v, ok := r.Context[c.key.pair]; ok && !c.null && !r.hasTwins() {
		return c.one(v) // the usual case
	}
	all := effect == Allow
	found := false
	for name, v := range r.Context {
		if name != c.key.pair && !strings.EqualFold(name, c.key.pair) {
			continue
		}
		found = true
		if !c.null && c.one(v) != all {
			return !all
		}
	}
	switch {
	case c.null:
		return !found == (c.want[0] == "true")
	case !found:
		return c.holdsWithout()
	}
	return all
}

func (c *condition) holdsForMany(got []string) bool {
	if c.null {
		return (len(got) == 0) == (c.want[0] == "true")
	}
	all := c.quantifier == forAllValues
	for _, v := range got {
		if c.one(v) != all {
			return !all
		}
	}
	return all
}

// holdsWithout is the answer for a request that does not have the key.
func (c *condition) holdsWithout() bool {
	return c.quantifier != forAnyValue && (c.ifExists || c.negated)
}

// one compares one value: with any of those wanted, or with a negated operator with none.
func (c *condition) one(got string) bool {
	for _, want := range c.want {
		if c.match(want, got) {
			return !c.negated
		}
	}
	return c.negated
}

// operator is what an operator's name stands for. values checks what is wanted.
type operator struct {
	match   func(want, got string) bool
	valid   func(want string) bool
	wants   string
	negated bool
}

func findOperator(name string) (operator, bool) {
	anything := func(string) bool { return true }
	equal := func(a, b string) bool { return a == b }
	str := operator{match: equal, valid: anything}
	arn := operator{match: globARN, valid: isARN, wants: "an ARN"}
	num := func(cmp func(got, want float64) bool) operator {
		return operator{valid: isNumber, wants: "a number", match: func(want, got string) bool {
			w, _ := strconv.ParseFloat(want, 64) // valid has looked
			g, err := strconv.ParseFloat(got, 64)
			return err == nil && cmp(g, w)
		}}
	}
	not := func(o operator) operator { o.negated = true; return o }
	with := func(o operator, match func(want, got string) bool) operator { o.match = match; return o }
	switch name {
	case "StringEquals":
		return str, true
	case "StringNotEquals":
		return not(str), true
	case "StringEqualsIgnoreCase":
		return with(str, strings.EqualFold), true
	case "StringNotEqualsIgnoreCase":
		return not(with(str, strings.EqualFold)), true
	case "StringLike":
		return with(str, glob), true
	case "StringNotLike":
		return not(with(str, glob)), true
	case "ArnEquals", "ArnLike":
		return arn, true
	case "ArnNotEquals", "ArnNotLike":
		return not(arn), true
	case "Bool":
		return operator{match: strings.EqualFold, valid: isBool, wants: "true or false"}, true
	case "NumericEquals":
		return num(func(g, w float64) bool { return g == w }), true
	case "NumericNotEquals":
		return not(num(func(g, w float64) bool { return g == w })), true
	case "NumericLessThan":
		return num(func(g, w float64) bool { return g < w }), true
	case "NumericLessThanEquals":
		return num(func(g, w float64) bool { return g <= w }), true
	case "NumericGreaterThan":
		return num(func(g, w float64) bool { return g > w }), true
	case "NumericGreaterThanEquals":
		return num(func(g, w float64) bool { return g >= w }), true
	}
	return operator{}, false
}

func isNumber(s string) bool {
	f, err := strconv.ParseFloat(s, 64)
	return err == nil && f-f == 0 // neither NaN nor infinite
}

func isBool(s string) bool { return strings.EqualFold(s, "true") || strings.EqualFold(s, "false") }

// parseConditions reads {OPERATOR: {KEY: VALUES}}. All have to hold.
func parseConditions(s *source, n *node) ([]condition, error) {
	if n.kind != object {
		return nil, s.errorIn(n, "a condition is an object of operators, such as StringEquals")
	}
	var all []condition
	for _, op := range n.names {
		if op.value.kind != object || len(op.value.names) == 0 {
			return nil, s.errorIn(op.value, "%s needs an object of condition keys", op.name)
		}
		for _, k := range op.value.names {
			c, err := parseCondition(s, op.name, k)
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
	}
	return all, nil
}

func parseCondition(s *source, opName string, k member) (condition, error) {
	var c condition
	rest := opName
	for prefix, q := range map[string]quantifier{"ForAllValues:": forAllValues, "ForAnyValue:": forAnyValue} {
		if cut, ok := strings.CutPrefix(opName, prefix); ok {
			rest, c.quantifier = cut, q
		}
	}
	var err error
	if rest == "Null" {
		c.null = true
		c.match = strings.EqualFold
	} else {
		rest, c.ifExists = strings.CutSuffix(rest, "IfExists")
	}
	o, ok := findOperator(rest)
	if c.null {
		o, ok = operator{valid: isBool, wants: "true or false"}, c.quantifier == single
	}
	if !ok {
		return c, s.errorAt(k.value.offset, parent(k.value.path), "there is no operator %q here", opName)
	}
	c.negated = o.negated
	if o.match != nil {
		c.match = o.match
	}
	if c.key, err = parseKey(s, k, c.quantifier, c.null); err != nil {
		return c, err
	}
	c.want, err = parseValues(s, k.value, o)
	return c, err
}

func parseKey(s *source, k member, q quantifier, null bool) (conditionKey, error) {
	key, ok := findKey(k.name)
	switch {
	case !ok:
		return key, s.errorIn(k.value, "the condition key %q is not known here", k.name)
	case key.many != nil && q == single && !null:
		return key, s.errorIn(k.value, "%s has many values: write ForAllValues: or ForAnyValue: before the operator", k.name)
	case key.many == nil && q == forAllValues:
		return key, s.errorIn(k.value, "OverlyPermissiveCondition: %s has one value, and ForAllValues also holds when it is missing. Leave ForAllValues: out", k.name)
	}
	return key, nil
}

func parseValues(s *source, n *node, o operator) ([]string, error) {
	var out []string
	for _, v := range n.oneOrMany() {
		if v.kind != text && v.kind != boolean && v.kind != number {
			return nil, s.errorIn(v, "this is %s; a string is wanted", v.kind)
		}
		if strings.Contains(v.text, "${") {
			return nil, s.errorIn(v, "policy variables (${...}) are not known here")
		}
		if !o.valid(v.text) {
			return nil, s.errorIn(v, "%q is not %s", v.text, o.wants)
		}
		out = append(out, v.text)
	}
	if len(out) == 0 {
		return nil, s.errorIn(n, "the list is empty")
	}
	if o.match == nil { // Null
		out[0] = strings.ToLower(out[0])
		if len(out) > 1 {
			return nil, s.errorIn(n, "Null needs one value")
		}
	}
	return out, nil
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}
