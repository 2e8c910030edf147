// Package httpdoor is the HTTP server of the network doors: listeners with TLS by a certificate of its own, limits of sizes, times
// and connections, and who it is that calls. What a door answers is its handler's business.
package httpdoor
