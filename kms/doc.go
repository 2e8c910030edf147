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
//	caller → Service.NewDataKey → (bucket key cached? no provider call) → Backend.GenerateDataKey → Auditor.Record
//
// The package imports nothing of this module. FORMAT.md beside this file has every byte that it writes.
package kms
