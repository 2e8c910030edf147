// Package fusefs is the FUSE door: it turns the kernel's requests into calls of package fs and its errors into errnos.
// It is the only importer of go-fuse.
//
// A node id is the store's inode number, but for the root, which the kernel calls 1. Nothing is kept per node.
//
// What the kernel is told to cache, it caches for long: all changes come through the daemon, which tells the kernel of
// those that it did not make itself (see notify.go). A round trip costs more than most operations, so each one that
// can be spared is: no FLUSH for files open for reading, no lookup of security.capability before each write
// (CAP_HANDLE_KILLPRIV_V2), names that do not exist are cached too. FOPEN_CACHE_DIR is not used: offsets in a cached
// listing would belong to another handle.
//
// Mounting, reading requests and sending answers are done here (device.go, workers.go), and go-fuse's ProtocolServer makes
// calls of requests: its own loop keeps several threads waiting for requests, and what waking them costs is more than what
// most requests cost.
package fusefs
