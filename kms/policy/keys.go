package policy

import (
	"strconv"
	"strings"
)

// contextPrefix begins the condition keys of the encryption context, in lower case.
const contextPrefix = "kms:encryptioncontext:"

// conditionKey is a condition key: how many values it has, and how a request's are found.
type conditionKey struct {
	many   bool
	values func(r *Request, buf []string) []string // appends to buf
}

// findKey is the condition key of a name, whose case does not count.
func findKey(name string) (conditionKey, bool) {
	folded := strings.ToLower(name)
	if pair, ok := cutPrefixFold(name, contextPrefix); ok {
		return conditionKey{values: func(r *Request, buf []string) []string { return r.pairs(pair, buf) }}, pair != ""
	}
	one := func(get func(r *Request) string) (conditionKey, bool) {
		return conditionKey{values: func(r *Request, buf []string) []string { return appendSet(buf, get(r)) }}, true
	}
	switch folded {
	case "kms:encryptioncontextkeys":
		return conditionKey{many: true, values: (*Request).contextKeys}, true
	case "kms:grantoperations":
		return conditionKey{many: true, values: func(r *Request, buf []string) []string { return append(buf, r.GrantOperations...) }}, true
	case "kms:resourcealiases":
		return conditionKey{many: true, values: func(r *Request, buf []string) []string {
			if r.Aliases == nil {
				return buf
			}
			return append(buf, r.Aliases()...)
		}}, true
	case "kms:viaservice":
		return one(func(r *Request) string { return r.ViaService })
	case "kms:calleraccount", "aws:principalaccount":
		return one(func(r *Request) string { return accountOf(r.Principal) })
	case "aws:principalarn":
		return one(func(r *Request) string { return r.Principal })
	case "aws:userid":
		return one(func(r *Request) string { return userID(r.Principal) })
	case "aws:username":
		return one(func(r *Request) string { return userName(r.Principal) })
	case "aws:principaltype":
		return one(func(r *Request) string { return principalType(r.Principal) })
	case "aws:viaawsservice":
		return one(func(r *Request) string { return strconv.FormatBool(r.ViaService != "") })
	case "aws:principalisawsservice":
		return one(func(*Request) string { return "false" })
	case "kms:keyspec", "kms:customermasterkeyspec":
		return one(func(r *Request) string { return r.KeySpec })
	case "kms:keyusage", "kms:customermasterkeyusage":
		return one(func(r *Request) string { return r.KeyUsage })
	case "kms:keyorigin":
		return one(func(r *Request) string { return r.KeyOrigin })
	case "kms:multiregion":
		return one(func(r *Request) string { return strconv.FormatBool(r.MultiRegion) })
	case "kms:requestalias":
		return one(func(r *Request) string { return r.RequestAlias })
	case "kms:multiregionkeytype", "kms:granteeprincipal", "kms:grantisforawsresource", "kms:grantconstrainttype", "kms:retiringprincipal",
		"kms:reencryptonsamekey", "kms:bypasspolicylockoutsafetycheck", "kms:schedulekeydeletionpendingwindowindays", "kms:rotationperiodindays",
		"kms:encryptionalgorithm", "kms:signingalgorithm", "kms:macalgorithm", "kms:messagetype", "kms:expirationmodel", "kms:wrappingalgorithm",
		"kms:wrappingkeyspec", "kms:datakeypairspec", "kms:primaryregion", "kms:replicaregion":
		return one(func(r *Request) string { return r.Extra[folded] })
	}
	return conditionKey{}, false
}

// appendSet appends v unless it is empty, which is a key that the request does not have.
func appendSet(buf []string, v string) []string {
	if v == "" {
		return buf
	}
	return append(buf, v)
}

// pairs are the values of the pairs named so. There may be several, because names that differ in case only are the same
// to a condition, but not to the encryption context.
func (r *Request) pairs(name string, buf []string) []string {
	for k, v := range r.Context {
		if k == name || strings.EqualFold(k, name) {
			buf = append(buf, v)
		}
	}
	return buf
}

func (r *Request) contextKeys(buf []string) []string {
	for k := range r.Context {
		buf = append(buf, k)
	}
	return buf
}

// userName is the last part of a user's ARN.
func userName(arn string) string {
	if principalType(arn) != "User" {
		return ""
	}
	return arn[strings.LastIndexByte(arn, '/')+1:]
}

// userID is the account for its root, else the user's name: there are no unique ids here.
func userID(arn string) string {
	if name := userName(arn); name != "" {
		return name
	}
	return accountOf(arn)
}

func principalType(arn string) string {
	_, resource, _ := strings.Cut(arn, "::")
	_, resource, _ = strings.Cut(resource, ":")
	switch {
	case resource == "root":
		return "Account"
	case strings.HasPrefix(resource, "user/"):
		return "User"
	}
	return "AssumedRole"
}
