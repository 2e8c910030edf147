// Package kmstest has the suite that every kms.Backend passes, a Backend that fails on demand, and a key service in
// memory for the tests of other packages.
package kmstest
