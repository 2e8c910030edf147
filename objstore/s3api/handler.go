package s3api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore"
)

// Via is the door's name in audit records.
const Via = "s3"

// DefaultPatience is how long a client may take to send or take the next 64 KiB.
const DefaultPatience = 30 * time.Second

// Recorder records a use of an object; an error of it is one of the use. *kms.Service is one.
type Recorder interface {
	RecordObject(ctx context.Context, u kms.ObjectUse) error
}

// Options sets a Handler up.
type Options struct {
	Store           objstore.Store
	Keys            sigv4.Keys
	Region, Account string // "": kms.DefaultRegion, kms.DefaultAccount
	// Watch is called before a change of a key by its name, and what it returns after it, for those who have files open or cache
	// them; nil: there is nobody.
	Watch func(ctx context.Context, bucket, key string) (done func())
	// BucketChanged is called after a bucket was made, removed or set; nil: nobody wants to know.
	BucketChanged func(name string)
	Reads, Writes Recorder // of uses of objects; nil: those are not recorded
	Patience      time.Duration
	Logger        *slog.Logger     // nil: nothing is logged
	Now           func() time.Time // nil: time.Now
}

// Handler is the protocol. It may be used concurrently.
type Handler struct {
	Options
	verifier sigv4.Verifier
	routes   []route
}

// NewHandler serves o.Store to whoever has a key of o.Keys.
func NewHandler(o Options) *Handler {
	names := kms.NewNamer(o.Region, o.Account)
	o.Region, o.Account = names.Region, names.Account
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Watch == nil {
		o.Watch = func(context.Context, string, string) func() { return func() {} }
	}
	if o.BucketChanged == nil {
		o.BucketChanged = func(string) {}
	}
	if o.Patience == 0 {
		o.Patience = DefaultPatience
	}
	scheme := sigv4.Scheme{Service: "s3", Region: names.Region, PlainPath: true}
	return &Handler{Options: o, verifier: sigv4.Verifier{Scheme: scheme, Keys: o.Keys, Now: o.Now}, routes: routes()}
}

// request is a request whose signature was verified.
type request struct {
	*http.Request
	bucket, key string // "" where the path has none
	query       url.Values
	payload     string           // x-amz-content-sha256
	signature   *sigv4.Signature // of a body in signed chunks; else nil
	patient     *patience
}

// response is the answer of an operation that was done.
type response struct {
	status int // 0: 200
	header http.Header
	xml    any     // marshalled as the body; nil: none
	object *stream // the body, where it is an object's
}

// operation does what a route asks for. r carries the caller in its context.
type operation func(h *Handler, r *request) (*response, error)

// ServeHTTP answers one request. It is the only place that writes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, host := requestID()
	header := w.Header()
	header.Set("x-amz-request-id", id)
	header.Set("x-amz-id-2", host)
	p := newPatience(w, r, h.Patience)
	name, out, err := h.serve(w, r, p)
	if out != nil && out.object != nil {
		defer out.object.close()
	}
	if err == nil {
		if err = out.prepare(); err != nil {
			out.header = nil // they announce what is not sent
		}
	}
	if out != nil { // also of an error: x-amz-delete-marker
		for name, values := range out.header {
			header[name] = values
		}
	}
	p.renew()
	if err != nil {
		a := answerFor(err)
		h.note(r, id, name, a, err)
		fail(w, r, id, host, a)
		return
	}
	if err := out.write(w, r.Method, p); err != nil {
		h.Logger.Error("an object could not be sent to its end", "request", id, "operation", name, "error", err)
	}
}

// fail answers an error.
func fail(w http.ResponseWriter, r *http.Request, id, host string, a answer) {
	for _, e := range a.extra {
		if e.name == "ActualObjectSize" {
			w.Header().Set("Content-Range", "bytes */"+e.value)
		}
	}
	if a.code == notModified || r.Method == http.MethodHead {
		w.WriteHeader(a.status)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body(r.URL.Path, id, host)) // an error here is the client's, who is gone
}

// note logs what no other record has: trouble, and strangers.
func (h *Handler) note(r *http.Request, id, operation string, a answer, err error) {
	_, stranger := sigv4.CodeOf(err)
	switch {
	case a.status >= http.StatusInternalServerError && a.code != notImplemented:
		h.Logger.Error("S3 request failed", "request", id, "operation", operation, "error", err)
	case stranger:
		h.Logger.Warn("S3 request refused", "request", id, "from", r.RemoteAddr, "reason", err)
	}
}

// body is S3's XML of an error. Characters that XML does not have are replaced: an error has to be readable, and is no list of keys.
func (a answer) body(resource, id, host string) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header + "<Error>")
	for _, e := range append([]pair{{"Code", string(a.code)}, {"Message", a.text}}, append(a.extra,
		pair{"Resource", resource}, pair{"RequestId", id}, pair{"HostId", host})...) {
		b.WriteString("<" + e.name + ">")
		_ = xml.EscapeText(&b, []byte(e.value)) // a bytes.Buffer does not fail
		b.WriteString("</" + e.name + ">")
	}
	b.WriteString("</Error>")
	return b.Bytes()
}

// serve verifies the signature and does the operation that r asks for, whose name it answers.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, p *patience) (string, *response, error) {
	q, user, err := h.authenticate(r)
	if err != nil {
		w.Header().Set("Connection", "close") // strangers hold no connections
		return "", nil, err
	}
	defer q.wipe()
	q.patient = p
	for _, name := range []string{"x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"} {
		if owner := r.Header.Get(name); owner != "" && owner != h.Account {
			return "", nil, refuse(accessDenied, "")
		}
	}
	to, err := h.route(q)
	if err != nil {
		return "", nil, err
	}
	q.Request = r.WithContext(kms.WithCaller(r.Context(), httpdoor.Caller(r, h.Account, user, Via)))
	out, err := to.do(h, q)
	return to.name, out, q.locate(err)
}

// authenticate reads what r is about and who sent it.
func (h *Handler) authenticate(r *http.Request) (*request, string, error) {
	pending, err := h.verifier.Begin(r)
	if err != nil {
		return nil, "", notSigV4(r, err)
	}
	q, err := newRequest(r)
	if err != nil {
		pending.Wipe()
		return nil, "", err
	}
	signature, err := pending.Finish(q.payload)
	if err != nil {
		return nil, "", err
	}
	if q.payload == sigv4.StreamingPayload || q.payload == sigv4.StreamingPayloadTrailer {
		q.signature = signature
	} else {
		signature.Wipe()
	}
	return q, signature.User, nil
}

func (q *request) wipe() {
	if q.signature != nil {
		q.signature.Wipe()
	}
}

// notSigV4 is S3's word for a request about KMS keys that has no signature of version 4; SDKs look for it.
func notSigV4(r *http.Request, err error) error {
	given := r.Header.Get("Authorization")
	v4 := strings.HasPrefix(given, "AWS4-") || r.URL.Query().Has("X-Amz-Algorithm")
	if v4 {
		return err
	}
	if strings.HasPrefix(r.Header.Get(headerSSE), string(objstore.KMS)) {
		return &refusal{code: invalidArgument, text: "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
			extra: []pair{{"ArgumentName", "Authorization"}, {"ArgumentValue", "null"}}, err: err}
	}
	if given != "" {
		return &refusal{code: invalidRequest, text: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.", err: err}
	}
	return err
}

// newRequest splits the path. The key is what follows the bucket's slash, whatever it looks like.
func newRequest(r *http.Request) (*request, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(invalidRequest, "The query is malformed.")
	}
	q := &request{Request: r, query: query}
	q.bucket, q.key, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if q.payload, err = payloadOf(r, query); err != nil {
		return nil, err
	}
	return q, nil
}

// payloadOf is what the signature covers of the body.
func payloadOf(r *http.Request, query url.Values) (string, error) {
	v := r.Header.Get("x-amz-content-sha256")
	switch v {
	case "":
		if query.Has("X-Amz-Signature") {
			return sigv4.UnsignedPayload, nil
		}
		return "", refuse(invalidRequest, "Missing required header for this request: x-amz-content-sha256")
	case sigv4.UnsignedPayload, sigv4.StreamingPayload, sigv4.StreamingPayloadTrailer, sigv4.StreamingTrailer:
		return v, nil
	}
	if sum, err := hex.DecodeString(v); err != nil || len(sum) != 32 {
		return "", argument("x-amz-content-sha256", v, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.")
	}
	return v, nil
}

// locate says in an error what it is about, as S3 does.
func (q *request) locate(err error) error {
	if err == nil {
		return nil
	}
	a := answerFor(err)
	if len(a.extra) > 0 {
		return err
	}
	about := map[code][]pair{
		"NoSuchBucket": {{"BucketName", q.bucket}}, "BucketNotEmpty": {{"BucketName", q.bucket}},
		"BucketAlreadyOwnedByYou": {{"BucketName", q.bucket}}, "InvalidBucketName": {{"BucketName", q.bucket}},
		"NoSuchKey":      {{"Key", q.key}},
		"NoSuchVersion":  {{"Key", q.key}, {"VersionId", q.query.Get("versionId")}},
		methodNotAllowed: {{"Method", q.Method}, {"ResourceType", "DeleteMarker"}},
	}[a.code]
	if about == nil {
		return err
	}
	return &refusal{code: a.code, text: a.text, extra: about, err: err}
}

// requestID is what AWS's support asks for: who answers knows it from the log.
func requestID() (id, host string) {
	var raw [8 + 48]byte
	rand.Read(raw[:]) // never fails: crypto/rand aborts the program instead
	return strings.ToUpper(hex.EncodeToString(raw[:8])), base64.StdEncoding.EncodeToString(raw[8:])
}
