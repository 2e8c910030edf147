// Package kms is the key service: it makes, wraps and unwraps data keys under KMS keys, and says who did.
//
// Words, as AWS uses them. A KMS key never leaves its provider. A data key encrypts one content; it is
// stored wrapped, as a ciphertext blob. The encryption context is a set of pairs that is authenticated
// with the blob: unwrapping needs the same pairs. Key material is the secret of a KMS key; rotation adds
// material and keeps the old.
//
// Two interfaces, because two kinds of people read them. Providers implement [Backend], which is dumb.
// Everyone else calls [Service], which validates, adds aws:s3:arn, caches bucket-level keys, counts and
// audits. A use that cannot be recorded is refused.
//
//	caller → Service.NewDataKey → quota, policy, grants → (bucket key cached? no provider call) → Backend.GenerateDataKey → Auditor.Record
//
// Who may use a key, its policy says (package policy), and grants beside it. There is no IAM: what AWS leaves to a user's
// own policies (making keys, lists) every user of the account may do, and a policy's account principal is every user of it.
// The caller comes with ctx ([WithCaller]); a process of this machine is the user of its login name, and the account's root
// user when it is root or owns this process. Uses by NewDataKey, OpenDataKey and RewrapDataKey are S3's, for the caller: they
// carry kms:ViaService. A grant is in force at once, so grant tokens are checked for their form only.
//
// The package imports of this module only policy. FORMAT.md beside this file has every byte that it writes.
package kms
