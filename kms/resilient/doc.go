// Package resilient puts a kms.Backend that may be away behind bounded retries and a circuit breaker.
//
// A call that fails because the key service is throttling, out of order or not to be reached is made again, after a pause that
// doubles and is random in part, until it has been tried often enough or its time is over. Operations that would do something else
// the second time are repeated only where the first certainly did nothing, which is after a throttling answer.
//
// After so many failures in a row the breaker opens: calls fail at once, with the reason, so that files whose keys are in use already
// go on undisturbed and others are refused quickly. After a while one call is let through to probe; when it gets any answer the
// breaker closes. Nobody has to do anything.
package resilient
