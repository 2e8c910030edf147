// Package xattr is the contract of the four encryption attributes: their names, what values they take, how they
// inherit, and what they come to. Pure functions over values; who stores them and who asks is not its business.
//
// An attribute selects; it says nothing about what is stored. Unset means inherit, for each attribute on its own:
// the file, then the nearest directory that has it, then the bucket's root (whose attributes are the bucket's
// default encryption), then AES256.
//
// Where this differs from S3: a request that says aws:kms without a key id means the managed key alias/aws/s3
// there, whatever the bucket's default is. Here it means the nearest key id on the way to the root, and the
// managed key only when there is none.
package xattr
