// Package service is what a store's owner does for commands: one method per verb.
//
// A process that owns a store has a [Service]. Commands see an [API]: the Service itself when they opened
// the store, or a [Client], which carries the same calls over the daemon's Unix socket. So each verb is
// written once. On the socket a call is one connection: a line of JSON with verb and request, then lines
// with progress, then one line with the answer or the error. Errors keep their codes on the way.
package service
