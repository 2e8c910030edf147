package sigv4

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const textMismatch = "The request signature we calculated does not match the signature you provided. " +
	"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."

// Verifier verifies the signatures of requests to one service. It may be used concurrently.
type Verifier struct {
	Scheme
	Keys Keys
	Now  func() time.Time // nil: time.Now
}

// Pending is a request whose signature has been read but not compared yet: that takes the hash of its body. It proves
// nothing; only what [Pending.Finish] returns does.
type Pending struct {
	verifier *Verifier
	request  *http.Request
	claim    claim
	creds    Credentials // without the secret
	key      []byte
}

// Signature is a signature that was verified. Wipe it after use.
type Signature struct {
	AccessKeyID, User string
	Time              time.Time // of signing, UTC
	Presigned         bool
	scheme            Scheme
	key, sum          []byte
}

// Begin checks all of r's signature but the signature itself, before the body is read: that it is complete, for this
// service and this day, by a known access key, that its date is within [MaxSkew], and that everything that has to be signed
// is. The error wraps a [Code]; any other one is trouble with looking the key up. Finish or Wipe what it returns.
func (v *Verifier) Begin(r *http.Request) (*Pending, error) {
	c, err := parseClaim(r)
	if err != nil {
		return nil, err
	}
	creds, err := v.Keys.Lookup(r.Context(), c.accessKeyID)
	if errors.Is(err, ErrNoKey) {
		return nil, refuse(UnknownAccessKey, textToken)
	}
	if err != nil {
		return nil, fmt.Errorf("look up access key %s: %w", c.accessKeyID, err)
	}
	defer clear(creds.Secret)
	if err := v.check(r, &c); err != nil {
		return nil, err
	}
	key := v.signingKey(creds.Secret, c.day)
	creds.Secret = nil
	return &Pending{verifier: v, request: r, claim: c, creds: creds, key: key}, nil
}

func (v *Verifier) check(r *http.Request, c *claim) error {
	if err := c.checkSigned(r); err != nil {
		return err
	}
	if err := v.checkScope(c); err != nil {
		return err
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	return c.checkTime(now().UTC())
}

func (v *Verifier) checkScope(c *claim) error {
	switch {
	case c.region != v.Region:
		return refuse(WrongScope, "Credential should be scoped to a valid region. ")
	case c.service != v.Service:
		return refuse(WrongScope, "Credential should be scoped to correct service: '"+v.Service+"'. ")
	case c.end != terminator:
		return refuse(WrongScope, "Credential should be scoped with a valid terminator: '"+terminator+"'. ")
	case c.day != c.time.Format(dayFormat):
		return refuse(WrongScope, fmt.Sprintf("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "+
			"'%s' != '%s', from '%s'.", c.day, c.time.Format(dayFormat), c.time.Format(timeFormat)))
	}
	return nil
}

func (c *claim) checkTime(now time.Time) error {
	early, late := now.Add(-MaxSkew), now.Add(MaxSkew)
	at := c.time.Format(timeFormat)
	switch {
	case c.time.After(late):
		return refuse(TimeSkewed, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)", at, late.Format(timeFormat), now.Format(timeFormat)))
	case c.presigned && now.After(c.time.Add(c.expires)):
		return refuse(Expired, "Request has expired")
	case !c.presigned && c.time.Before(early):
		return refuse(TimeSkewed, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)", at, early.Format(timeFormat), now.Format(timeFormat)))
	}
	return nil
}

// Finish compares the signature. payloadHash is the [PayloadHash] of the body that was read; where the protocol of the
// service allows another value of x-amz-content-sha256 (such as [UnsignedPayload]), it is that value. A header
// x-amz-content-sha256 that says something else is [BodyMismatch]. The Pending is of no use afterwards.
func (p *Pending) Finish(payloadHash string) (*Signature, error) {
	if said := p.request.Header.Values(headerPayload); len(said) > 1 || len(said) == 1 && said[0] != payloadHash {
		p.Wipe()
		return nil, refuse(BodyMismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	s := p.verifier.Scheme
	canonical, err := s.canonicalRequest(p.request, p.claim.signed, payloadHash)
	if err != nil {
		p.Wipe()
		return nil, err
	}
	sum := mac(p.key, s.stringToSign(p.claim.time, canonical))
	if !hmac.Equal(sum, p.claim.signature) { // in constant time
		p.Wipe()
		return nil, refuse(SignatureMismatch, textMismatch)
	}
	return &Signature{AccessKeyID: p.creds.AccessKeyID, User: p.creds.User, Time: p.claim.time, Presigned: p.claim.presigned,
		scheme: s, key: p.key, sum: sum}, nil
}

// Wipe gives up.
func (p *Pending) Wipe() { clear(p.key) }

// Verify is Begin and Finish for a body that is in memory, or whose hash is known.
func (v *Verifier) Verify(r *http.Request, payloadHash string) (*Signature, error) {
	p, err := v.Begin(r)
	if err != nil {
		return nil, err
	}
	return p.Finish(payloadHash)
}

// Wipe forgets the key, which [Signature.Chunks] needs.
func (s *Signature) Wipe() { clear(s.key) }
