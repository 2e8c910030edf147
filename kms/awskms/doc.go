// Package awskms is a kms.Backend over AWS KMS, or over any endpoint that speaks its protocol, such as the KMS door of another
// store.
//
// Who may use a key is decided there, by the credentials that this program has: [Provider.Access] answers nil, so key policies
// do not tell the users of this machine apart. A grant token stands for nothing but itself in AWS's protocol, so a grant cannot
// be looked up by it ([Provider.FindGrant]).
//
// Each call is one request, without retries: package resilient adds them.
package awskms
