// Package local is a provider of KMS keys whose material lies in the store, sealed by a key of its keyring.
//
// Material is in memory only while its key is enabled; disabling, scheduling deletion and closing wipe it.
// FORMAT.md beside this file has every byte of records and ciphertext blobs.
package local
