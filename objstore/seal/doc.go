// Package seal is the ciphertext format: key in, bytes out. It knows no key service and no database.
//
// A [Cipher] seals the chunks of one content under its data key and authenticates the version records that
// refer to them. A [RecordCipher] seals records of the database under a secret of the store. Both use
// XAES-256-GCM (https://c2sp.org/XAES-256-GCM) over crypto/aes and crypto/cipher. FORMAT.md beside this file
// states every byte; testdata/seal holds its vectors.
//
// What it does not do: it does not compress, does not hide lengths, and does not commit to the key.
package seal

// FormatVersion is the version of FORMAT.md that this package writes and the only one it reads.
const FormatVersion = 1
