package xattr

// The encryption attributes. They can be set, are listed, and are inherited.
const (
	SSE               = "user.sse"                // AES256, aws:kms or aws:kms:dsse
	KeyID             = "user.sse-kms-key-id"     // key id, key ARN, alias name or alias ARN
	EncryptionContext = "user.encryption-context" // JSON object of strings, or its base64
	BucketKey         = "user.bucket-key"         // true or false
)

// The virtual attributes. They can only be read, and are not listed.
const (
	Pending   = "user.sse.pending"   // true while selection and stored settings differ
	VersionID = "user.s3.version-id" // of the current version
	ETag      = "user.s3.etag"       // of the current version
	LastError = "user.kmsfs.error"   // why the last operation on the file failed, in words
)

// EncryptionNames are the names for which [IsEncryption] holds, in the order in which they are listed.
func EncryptionNames() []string { return []string{SSE, KeyID, EncryptionContext, BucketKey} }

// VirtualNames are the names for which [IsVirtual] holds.
func VirtualNames() []string { return []string{Pending, VersionID, ETag, LastError} }

// IsEncryption reports whether name is one of the four encryption attributes.
func IsEncryption(name string) bool {
	switch name {
	case SSE, KeyID, EncryptionContext, BucketKey:
		return true
	}
	return false
}

// IsVirtual reports whether name is read-only and not listed.
func IsVirtual(name string) bool {
	switch name {
	case Pending, VersionID, ETag, LastError:
		return true
	}
	return false
}
