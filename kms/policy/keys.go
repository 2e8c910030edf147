package policy

import (
	"strconv"
	"strings"
)

// contextPrefix begins the condition keys of the encryption context, in lower case.
const contextPrefix = "kms:encryptioncontext:"

// conditionKey says where a request has the values of a condition key. One field is set.
type conditionKey struct {
	one  func(r *Request) string // "": the request does not have the key
	pair string                  // a name of the encryption context
	many func(r *Request) []string
}

// findKey is the condition key of a name, whose case does not count.
func findKey(name string) (conditionKey, bool) {
	folded := strings.ToLower(name)
	if pair, ok := cutPrefixFold(name, contextPrefix); ok {
		return conditionKey{pair: pair}, pair != ""
	}
	one := func(get func(r *Request) string) (conditionKey, bool) { return conditionKey{one: get}, true }
	switch folded {
	case "kms:encryptioncontextkeys":
		return conditionKey{many: (*Request).contextKeys}, true
	case "kms:grantoperations":
		return conditionKey{many: func(r *Request) []string { return r.GrantOperations }}, true
	case "kms:resourcealiases":
		return conditionKey{many: (*Request).aliases}, true
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

// hasTwins reports whether two names of the encryption context differ in case only. It looks once for each request.
func (r *Request) hasTwins() bool {
	if !r.looked {
		r.looked, r.twins = true, len(r.Context) > 1 && findTwins(r.Context)
	}
	return r.twins
}

// findTwins compares every two names, unless they are so many that this would take long.
func findTwins(c map[string]string) bool {
	if len(c) > 16 {
		return true
	}
	var few [16]string
	names := few[:0]
	for name := range c {
		for _, other := range names {
			if strings.EqualFold(name, other) {
				return true
			}
		}
		names = append(names, name)
	}
	return false
}

func (r *Request) aliases() []string {
	if r.Aliases == nil {
		return nil
	}
	return r.Aliases()
}

func (r *Request) contextKeys() []string {
	names := make([]string, 0, len(r.Context))
	for k := range r.Context {
		names = append(names, k)
	}
	return names
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
