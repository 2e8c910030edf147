package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"kmsfs/kms"
)

// maxRequest bounds a request's size in bytes.
const maxRequest = 16 << 20

// handler runs one verb on a request that is still JSON.
type handler func(ctx context.Context, raw json.RawMessage, progress Progress) (any, error)

func plain[Req, Resp any](fn func(context.Context, Req) (Resp, error)) handler {
	return streaming(func(ctx context.Context, r Req, _ Progress) (Resp, error) { return fn(ctx, r) })
}

func streaming[Req, Resp any](fn func(context.Context, Req, Progress) (Resp, error)) handler {
	return func(ctx context.Context, raw json.RawMessage, p Progress) (any, error) {
		var req Req
		if err := json.Unmarshal(raw, &req); err != nil {
			return nil, &Error{Code: BadRequest, Message: "the request cannot be read", Err: err}
		}
		return fn(ctx, req, p)
	}
}

// handlers has one row for each method of [API].
func handlers(a API) map[string]handler {
	return map[string]handler{
		"Status":              plain(a.Status),
		"Mount":               plain(a.Mount),
		"Umount":              plain(a.Umount),
		"Serve":               plain(a.Serve),
		"ServeStop":           plain(a.ServeStop),
		"UserCreate":          plain(a.UserCreate),
		"UserList":            plain(a.UserList),
		"UserRemove":          plain(a.UserRemove),
		"UserCredentials":     plain(a.UserCredentials),
		"BucketCreate":        plain(a.BucketCreate),
		"BucketSet":           plain(a.BucketSet),
		"BucketList":          plain(a.BucketList),
		"BucketShow":          plain(a.BucketShow),
		"BucketRemove":        plain(a.BucketRemove),
		"KeyCreate":           plain(a.KeyCreate),
		"KeyList":             plain(a.KeyList),
		"KeyDescribe":         plain(a.KeyDescribe),
		"KeyEnable":           plain(a.KeyEnable),
		"KeyDisable":          plain(a.KeyDisable),
		"KeyRotate":           plain(a.KeyRotate),
		"KeyUse":              plain(a.KeyUse),
		"KeyCertificate":      plain(a.KeyCertificate),
		"KeyScheduleDeletion": plain(a.KeyScheduleDeletion),
		"KeyCancelDeletion":   plain(a.KeyCancelDeletion),
		"KeyPolicy":           plain(a.KeyPolicy),
		"KeyPolicySet":        plain(a.KeyPolicySet),
		"KeyTags":             plain(a.KeyTags),
		"KeyRotation":         plain(a.KeyRotation),
		"GrantCreate":         plain(a.GrantCreate),
		"GrantList":           plain(a.GrantList),
		"GrantRevoke":         plain(a.GrantRevoke),
		"GrantRetire":         plain(a.GrantRetire),
		"AliasList":           plain(a.AliasList),
		"AliasSet":            plain(a.AliasSet),
		"AliasRemove":         plain(a.AliasRemove),
		"Versions":            plain(a.Versions),
		"Restore":             plain(a.Restore),
		"Explain":             plain(a.Explain),
		"Reencrypt":           streaming(a.Reencrypt),
		"Rewrap":              streaming(a.Rewrap),
		"Check":               streaming(a.Check),
		"GC":                  plain(a.GC),
		"Backup":              streaming(a.Backup),
	}
}

// Server answers calls on a Unix socket. Only the owner of this process and root are heard.
type Server struct {
	handlers map[string]handler
	listener *net.UnixListener
	log      *slog.Logger
	ctx      context.Context // of all calls
	cancel   context.CancelFunc

	mu      sync.Mutex
	running int           // calls in progress
	idle    chan struct{} // non-nil while draining: closed when running is 0
}

// Listen makes the socket, with mode 0600; one that a dead daemon left is replaced. The caller holds the
// store's lock, so no other daemon can own the path.
func Listen(path string, a API, log *slog.Logger) (*Server, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace the daemon's socket: %w", err)
	}
	old := unix.Umask(0o177)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	unix.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("listen on the daemon's socket: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Server{handlers: handlers(a), listener: l, log: log, ctx: ctx, cancel: cancel}, nil
}

// Serve answers calls until Close.
func (s *Server) Serve() {
	for {
		conn, err := s.listener.AcceptUnix()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				s.log.Error("the daemon's socket failed", "err", err)
			}
			return
		}
		go func() {
			defer conn.Close()
			s.answer(conn)
		}()
	}
}

// Close removes the socket. Calls in progress go on: see [Server.Drain].
func (s *Server) Close() error { return s.listener.Close() }

// Drain refuses further calls and returns when none runs any more. Those that take longer than patience are
// cancelled.
func (s *Server) Drain(patience time.Duration) {
	s.mu.Lock()
	s.idle = make(chan struct{})
	if s.running == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	defer time.AfterFunc(patience, s.cancel).Stop()
	<-s.idle
}

// begin answers false when the server drains.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle != nil {
		return false
	}
	s.running++
	return true
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running--; s.running == 0 && s.idle != nil {
		close(s.idle)
	}
}

func (s *Server) answer(conn *net.UnixConn) {
	caller, err := peer(conn)
	enc := json.NewEncoder(conn)
	if err != nil {
		_ = enc.Encode(frame{Error: ToWire(err)})
		return
	}
	var req struct {
		Verb    string
		Request json.RawMessage
	}
	if err := json.NewDecoder(io.LimitReader(conn, maxRequest)).Decode(&req); err != nil {
		return // a probe: it connects and hangs up
	}
	if !s.begin() {
		_ = enc.Encode(frame{Error: ToWire(&Error{Code: Closing, Message: "the daemon is about to end"})})
		return
	}
	defer s.end()
	ctx, cancel := context.WithCancel(kms.WithCaller(s.ctx, caller))
	defer cancel()
	go func() { // the client sends nothing more: reading ends when it hangs up
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	_ = enc.Encode(s.call(ctx, req.Verb, req.Request, func(e Event) { _ = enc.Encode(frame{Event: &e}) }))
}

// call never panics: one bad request must not take the mounts down.
func (s *Server) call(ctx context.Context, verb string, raw json.RawMessage, p Progress) (f frame) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("a call failed in an unexpected way", "verb", verb, "panic", r, "stack", string(debug.Stack()))
			f = frame{Error: &WireError{Message: fmt.Sprintf("internal error in %s (see the daemon's log)", verb)}}
		}
	}()
	h, ok := s.handlers[verb]
	if !ok {
		return frame{Error: ToWire(&Error{Code: BadRequest, Message: fmt.Sprintf("the running daemon does not know %q", verb)})}
	}
	resp, err := h(ctx, raw, p)
	if err != nil {
		return frame{Error: ToWire(err)}
	}
	answer, err := json.Marshal(resp)
	if err != nil {
		return frame{Error: ToWire(err)}
	}
	return frame{Answer: answer}
}

// peer says who is on the other end. Others than this process's user and root are refused.
func peer(conn *net.UnixConn) (kms.Caller, error) {
	cred, err := credentials(conn)
	if err != nil {
		return kms.Caller{}, err
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return kms.Caller{}, &Error{Code: NotPermitted, Message: fmt.Sprintf("uid %d may not use this store", cred.Uid)}
	}
	return Caller(cred.Uid, int(cred.Pid)), nil
}

// Caller is a command line user as the key service sees him; it knows the principal of his uid.
func Caller(uid uint32, pid int) kms.Caller {
	return kms.Caller{UID: uid, PID: pid, Via: "cli"}
}
