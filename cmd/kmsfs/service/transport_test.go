package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/objstore"
)

// fake answers calls with what a test wants.
type fake struct {
	API
	status    func(context.Context, StatusRequest) (Status, error)
	reencrypt func(context.Context, TreeRequest, Progress) (TreeAnswer, error)
}

func (f fake) Status(ctx context.Context, r StatusRequest) (Status, error) { return f.status(ctx, r) }

func (f fake) Reencrypt(ctx context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
	return f.reencrypt(ctx, r, p)
}

// listen serves a and answers a client of it.
func listen(t *testing.T, a API) (*Server, *Client) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	s, err := Listen(path, a, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	go s.Serve()
	t.Cleanup(func() { s.Close() })
	c, err := Dial(path)
	require.NoError(t, err)
	return s, c
}

// every is an API of which every method would panic; handlers only takes its methods.
func every() API { return fake{API: (*Service)(nil)} }

func TestEveryVerbHasAHandler(t *testing.T) {
	table := handlers(every())
	api := reflect.TypeFor[API]()
	require.Equal(t, api.NumMethod(), len(table))
	for i := range api.NumMethod() {
		require.Contains(t, table, api.Method(i).Name)
	}
}

// Each method of the client must ask for the verb of its own name.
func TestClientAsksForItsVerb(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer l.Close()
	s := &Server{handlers: map[string]handler{}, log: slog.New(slog.DiscardHandler)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.answer(conn.(*net.UnixConn))
			conn.Close()
		}
	}()
	client := reflect.ValueOf(&Client{path})
	for i := range reflect.TypeFor[API]().NumMethod() {
		method := reflect.TypeFor[API]().Method(i)
		in := []reflect.Value{reflect.ValueOf(context.Background())}
		for n := 1; n < method.Type.NumIn(); n++ {
			in = append(in, reflect.Zero(method.Type.In(n)))
		}
		out := client.MethodByName(method.Name).Call(in)
		err, _ := out[1].Interface().(error)
		require.Error(t, err)
		require.Contains(t, err.Error(), fmt.Sprintf("does not know %q", method.Name))
	}
}

func TestRoundTrip(t *testing.T) {
	want := Status{PID: 7, Store: "/s", KMSCalls: 3, Started: time.Unix(5, 0).UTC(),
		Mounts: []Mount{{Dir: "/m", Bucket: "b", Since: time.Unix(6, 0).UTC(), Options: MountOptions{ReadOnly: true}}}}
	_, c := listen(t, fake{API: every(), status: func(ctx context.Context, r StatusRequest) (Status, error) {
		if !r.Usage {
			return Status{}, errors.New("the request was lost")
		}
		caller := Peer(ctx)
		if caller.PID != os.Getpid() || caller.UID != uint32(os.Getuid()) || caller.Via != "cli" {
			return Status{}, fmt.Errorf("the caller is %+v", caller)
		}
		return want, nil
	}})
	got, err := c.Status(context.Background(), StatusRequest{Usage: true})
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestErrorsKeepTheirCodes(t *testing.T) {
	var fail error
	_, c := listen(t, fake{API: every(), status: func(context.Context, StatusRequest) (Status, error) { return Status{}, fail }})
	for _, err := range []error{
		errors.New("plain"),
		&Error{Code: Busy, Message: "in use"},
		&objstore.Error{Code: objstore.NoSuchBucket, Bucket: "b"},
		&kms.Error{Code: kms.KMSInvalidStateException, State: kms.StatePendingDeletion, Message: "pending"},
		&objstore.Error{Code: objstore.InternalError, Err: &kms.Error{Code: kms.DisabledException}},
	} {
		fail = fmt.Errorf("op: %w", err)
		_, got := c.Status(context.Background(), StatusRequest{})
		require.Error(t, got)
		require.Equal(t, fail.Error(), got.Error())
		for _, code := range codes() {
			require.Equal(t, errors.Is(fail, code), errors.Is(got, code), "%v: %v", err, code)
		}
	}
	var k *kms.Error
	fail = &kms.Error{Code: kms.KMSInvalidStateException, State: kms.StatePendingImport}
	_, got := c.Status(context.Background(), StatusRequest{})
	require.ErrorAs(t, got, &k)
	require.Equal(t, kms.StatePendingImport, k.State)
}

func codes() []error {
	var all []error
	for _, c := range Codes() {
		all = append(all, c)
	}
	for _, c := range objstore.Codes {
		all = append(all, c)
	}
	for _, c := range kms.Codes {
		all = append(all, c)
	}
	return all
}

func TestProgressArrivesInOrder(t *testing.T) {
	_, c := listen(t, fake{API: every(), reencrypt: func(_ context.Context, r TreeRequest, p Progress) (TreeAnswer, error) {
		for n := range 100 {
			p(Event{Done: int64(n), Total: 100})
		}
		p(Event{Path: r.Objects[0].String(), Error: "bad"})
		return TreeAnswer{Files: 100, Failed: 1}, nil
	}})
	var got []Event
	a, err := c.Reencrypt(context.Background(), TreeRequest{Objects: []Object{{"b", "k"}}}, func(e Event) { got = append(got, e) })
	require.NoError(t, err)
	require.Equal(t, int64(1), a.Failed)
	require.Len(t, got, 101)
	require.Equal(t, int64(99), got[99].Done)
	require.Equal(t, Event{Path: "b/k", Error: "bad"}, got[100])
}

func TestHangingUpCancelsTheCall(t *testing.T) {
	started, cancelled := make(chan struct{}), make(chan struct{})
	_, c := listen(t, fake{API: every(), status: func(ctx context.Context, _ StatusRequest) (Status, error) {
		close(started)
		<-ctx.Done()
		close(cancelled)
		return Status{}, ctx.Err()
	}})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-started; cancel() }()
	_, err := c.Status(ctx, StatusRequest{})
	require.ErrorIs(t, err, context.Canceled)
	<-cancelled
}

func TestAPanicDoesNotEndTheDaemon(t *testing.T) {
	calls := 0
	_, c := listen(t, fake{API: every(), status: func(context.Context, StatusRequest) (Status, error) {
		if calls++; calls == 1 {
			panic("boom")
		}
		return Status{PID: 1}, nil
	}})
	_, err := c.Status(context.Background(), StatusRequest{})
	require.Error(t, err)
	require.Contains(t, err.Error(), "internal error in Status")
	st, err := c.Status(context.Background(), StatusRequest{})
	require.NoError(t, err)
	require.Equal(t, 1, st.PID)
}

func TestDrainRefusesAndCancels(t *testing.T) {
	started := make(chan struct{})
	s, c := listen(t, fake{API: every(), status: func(ctx context.Context, r StatusRequest) (Status, error) {
		close(started)
		<-ctx.Done()
		return Status{}, ctx.Err()
	}})
	done := make(chan error, 1)
	go func() {
		_, err := c.Status(context.Background(), StatusRequest{})
		done <- err
	}()
	<-started
	s.Drain(10 * time.Millisecond)
	require.Error(t, <-done)
	_, err := c.Status(context.Background(), StatusRequest{})
	require.ErrorIs(t, err, Closing)
}

func TestNobodyListens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	_, err := Dial(path)
	require.ErrorIs(t, err, NoDaemon)
	_, err = (&Client{path}).Status(context.Background(), StatusRequest{})
	require.ErrorIs(t, err, NoDaemon)
}

func TestSocketIsPrivateAndReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	require.NoError(t, os.WriteFile(path, nil, 0o666))
	s, err := Listen(path, every(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	st, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), st.Mode().Perm())
	require.NoError(t, s.Close())
	_, err = os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestSocketPathIsShort(t *testing.T) {
	store := filepath.Join(t.TempDir(), "a-store-with-a-rather-long-name-that-no-socket-path-could-hold-"+
		"because-the-kernel-takes-108-bytes-only-and-not-more-than-these")
	path, err := SocketPath(store)
	require.NoError(t, err)
	require.Less(t, len(path), 108)
	other, err := SocketPath(store + "2")
	require.NoError(t, err)
	require.NotEqual(t, path, other)
}

func TestUsersOfADirectoryThatIsNoMount(t *testing.T) {
	users, err := Users(t.TempDir())
	require.NoError(t, err)
	require.Empty(t, users)
}
