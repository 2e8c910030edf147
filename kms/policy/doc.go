// Package policy is the AWS policy language, as far as key policies of KMS use it: text in, decisions out, no I/O.
//
//	p, err := policy.Parse(text)          err says where the mistake is
//	p.Decide(&policy.Request{...})        Allow, Deny (explicit), or None
//
// [Parse] compiles: names are folded, actions expanded, and what cannot be decided here is refused, never ignored. An
// element, an operator, a condition key or a policy variable that is unknown is a mistake, because a Deny that silently
// never matches is worse than an error.
//
// There is no IAM here. An account principal (its number, or arn:aws:iam::ACCOUNT:root) therefore stands for every user of
// that account, where AWS would ask the user's own policies as well.
//
// Sources: AWS KMS Developer Guide, "Key policies" and "Condition keys for AWS KMS"; IAM User Guide, "JSON policy
// element reference".
package policy
