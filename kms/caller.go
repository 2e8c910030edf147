package kms

import "context"

// Caller is who uses a key, for the audit record and for the bucket-key cache, which never shares between principals.
type Caller struct {
	Principal string // IAM ARN, such as arn:aws:iam::000000000000:user/root
	UID       uint32 // of the process, where there is one
	PID       int
	Via       string // the door: "mount", "cli", "s3", "kms"
	Path      string // the file, in the words of the door; may be empty
	Command   string // name of the process; empty: the audit record looks it up by PID
	SourceIP  string // of a network door
	UserAgent string // of a network door
}

type callerKey struct{}

// WithCaller returns a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom is the caller that ctx carries, the zero Caller when it carries none.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
