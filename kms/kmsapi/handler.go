package kmsapi

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/sigv4"
)

// MaxBody is the longest request body, in bytes: more than the longest key policy in JSON.
const MaxBody = 256 << 10

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "TrentService."
	// Via is the door's name in audit records.
	Via = "kms"
)

// Options sets a Handler up.
type Options struct {
	Service         *kms.Service
	Keys            sigv4.Keys
	Region, Account string           // "": kms.DefaultRegion, kms.DefaultAccount
	Logger          *slog.Logger     // nil: nothing is logged
	Now             func() time.Time // nil: time.Now
}

// Handler is the protocol. It may be used concurrently.
type Handler struct {
	service    *kms.Service
	verifier   sigv4.Verifier
	account    string
	operations map[string]operation
	log        *slog.Logger
}

// NewHandler serves o.Service to whoever has a key of o.Keys.
func NewHandler(o Options) *Handler {
	names := kms.NewNamer(o.Region, o.Account)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		service:    o.Service,
		verifier:   sigv4.Verifier{Scheme: sigv4.Scheme{Service: "kms", Region: names.Region}, Keys: o.Keys, Now: o.Now},
		account:    names.Account,
		operations: operations(),
		log:        o.Logger,
	}
}

// ServeHTTP answers one request. It is the only place that writes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	out, err := h.serve(w, r)
	header, status, body := w.Header(), http.StatusOK, []byte(nil)
	if err == nil && out != nil {
		body, err = json.Marshal(out)
	}
	if err != nil {
		a := answerFor(err)
		status = a.status
		body, _ = json.Marshal(a.body()) // strings only: cannot fail
		h.note(r, id, a, err)
	}
	defer kms.Wipe(body) // may hold a data key
	header.Set("Content-Type", contentType)
	header.Set("X-Amzn-RequestId", id)
	header.Set("Cache-Control", "no-cache, no-store, must-revalidate, private")
	w.WriteHeader(status)
	w.Write(body) // an error here is the client's, who is gone
}

// note logs what the audit records of the service do not have: trouble, and strangers.
func (h *Handler) note(r *http.Request, id string, a answer, err error) {
	_, stranger := sigv4.CodeOf(err)
	switch {
	case a.status >= http.StatusInternalServerError:
		h.log.Error("KMS request failed", "request", id, "target", r.Header.Get("X-Amz-Target"), "error", err)
	case stranger:
		h.log.Warn("KMS request refused", "request", id, "from", r.RemoteAddr, "reason", err)
	}
}

// serve runs the operation that r asks for. What it returns is marshalled; nil is an empty answer.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	pending, err := h.verifier.Begin(r)
	if err != nil {
		w.Header().Set("Connection", "close") // strangers hold no connections
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		pending.Wipe()
		return nil, err
	}
	defer kms.Wipe(body) // may hold a plaintext
	signature, err := pending.Finish(sigv4.PayloadHash(body))
	if err != nil {
		return nil, err
	}
	signature.Wipe()
	op, err := h.operation(r)
	if err != nil {
		return nil, err
	}
	return op(kms.WithCaller(r.Context(), httpdoor.Caller(r, h.account, signature.User, Via)), h.service, body)
}

func (h *Handler) operation(r *http.Request) (operation, error) {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	op := h.operations[name]
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !ok || op == nil || r.Method != http.MethodPost || r.URL.Path != "/" || !strings.EqualFold(strings.TrimSpace(media), contentType) {
		return nil, &kms.Error{Code: unknownOperation}
	}
	return op, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLarge := kms.Errorf(bodyTooLarge, "The request body has more than %d bytes.", MaxBody)
	if r.ContentLength > MaxBody {
		w.Header().Set("Connection", "close") // rather than read it
		return nil, tooLarge
	}
	body := make([]byte, max(r.ContentLength, 0))
	var err error
	if r.ContentLength >= 0 {
		_, err = io.ReadFull(r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	}
	var long *http.MaxBytesError
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &long):
		return nil, tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &kms.Error{Code: requestTimeout, Message: "The request body came too slowly.", Err: err}
	}
	return nil, &kms.Error{Code: serialization, Message: "The request body ended early.", Err: err}
}

// requestID is a random UUID, version 4.
func requestID() string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	var b [36]byte
	for i, part := range [][]byte{raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]} {
		at := []int{0, 9, 14, 19, 24}[i]
		hex.Encode(b[at:], part)
		if at > 0 {
			b[at-1] = '-'
		}
	}
	return string(b[:])
}

// operation decodes a body, does one operation and returns what is to be marshalled.
type operation func(ctx context.Context, s *kms.Service, body []byte) (any, error)

// request is what an operation reads. check notes what is missing or malformed; it changes nothing.
type request interface{ check(v *violations) }

// nothing is the answer of an operation that answers with an empty body. It is always nil.
type nothing struct{}

// serveJSON makes an operation of a function. *Req is a request.
func serveJSON[Req, Resp any](fn func(context.Context, *kms.Service, *Req) (*Resp, error)) operation {
	return func(ctx context.Context, s *kms.Service, body []byte) (any, error) {
		req := new(Req)
		if err := decode(body, req); err != nil {
			return nil, err
		}
		var v violations
		any(req).(request).check(&v)
		if err := v.err(); err != nil {
			return nil, err
		}
		resp, err := fn(ctx, s, req)
		if err != nil || resp == nil {
			return nil, err
		}
		return resp, nil
	}
}
