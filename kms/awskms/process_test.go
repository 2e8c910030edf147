package awskms_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
	"kmsfs/kms/kmsapi"
	"kmsfs/kms/local"
	"kmsfs/kms/resilient"
	"kmsfs/kms/sigv4"
	"kmsfs/objstore/badgerstore"
)

const (
	doorStore   = "KMSFS_TEST_DOOR_STORE" // set in the process that is the door
	doorAddress = "KMSFS_TEST_DOOR_ADDRESS"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(doorStore); dir != "" {
		if err := beDoor(dir, os.Getenv(doorAddress)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// oneKey is a sigv4.Keys of one user.
type oneKey struct{ sigv4.Credentials }

func (k oneKey) Lookup(_ context.Context, id string) (sigv4.Credentials, error) {
	if id != k.AccessKeyID {
		return sigv4.Credentials{}, sigv4.ErrNoKey
	}
	c := k.Credentials
	c.Secret = bytes.Clone(c.Secret)
	return c, nil
}

// beDoor serves a store's keys at addr until it is killed. It prints its URL when it listens.
func beDoor(dir, addr string) error {
	st, err := badgerstore.Open(dir, badgerstore.Options{Secret: bytes.Repeat([]byte{1}, kms.KeySize)})
	if err != nil {
		return err
	}
	keys, err := local.Open(st.Records(), bytes.Repeat([]byte{2}, kms.KeySize), local.Options{})
	if err != nil {
		return err
	}
	user := someone()
	user.User = "alice"
	s := httpdoor.New(httpdoor.Options{Handler: kmsapi.NewHandler(kmsapi.Options{Service: kms.NewService(keys, kms.Options{}), Keys: oneKey{user}})})
	url, err := s.Listen(addr)
	if err != nil {
		return err
	}
	fmt.Println(url)
	return s.Serve()
}

// startDoor runs beDoor in a process of its own and waits until it listens.
func startDoor(t *testing.T, dir, addr string) (url string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), doorStore+"="+dir, doorAddress+"="+addr)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	dead := false
	kill = func() {
		if !dead {
			dead = true
			cmd.Process.Kill()
			cmd.Wait() // "signal: killed"
		}
	}
	t.Cleanup(kill)
	url, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the door did not start")
	return strings.TrimSpace(url), kill
}

// TestDoorIsKilledAndRestarted: the client is made once and outlives the door.
func TestDoorIsKilledAndRestarted(t *testing.T) {
	dir := t.TempDir()
	url, kill := startDoor(t, dir, "127.0.0.1:0")
	p := client(t, url, someone())
	r := resilient.New(p, resilient.Options{Name: p.Where(), Attempts: 3, Failures: 3, Base: time.Millisecond, Open: 50 * time.Millisecond})
	k, err := r.CreateKey(t.Context(), kms.CreateKeyInput{})
	require.NoError(t, err)
	d, err := r.GenerateDataKey(t.Context(), kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32, Context: kms.Context{"a": "1"}})
	require.NoError(t, err)
	open := kms.DecryptInput{Blob: d.Blob, Context: kms.Context{"a": "1"}}

	for range 2 {
		kill()
		_, err = p.Decrypt(t.Context(), open)
		require.ErrorIs(t, err, kms.KeyUnavailableException)
		require.ErrorContains(t, err, url+" cannot be reached")
		_, err = r.Decrypt(t.Context(), open)
		require.ErrorIs(t, err, kms.KeyUnavailableException)
		require.Equal(t, resilient.Open, r.State().Breaker)
		begin := time.Now()
		for range 100 {
			_, err = r.GenerateDataKey(t.Context(), kms.GenerateDataKeyInput{KeyID: k.ID, Bytes: 32})
			require.ErrorIs(t, err, kms.KeyUnavailableException)
		}
		require.Less(t, time.Since(begin), 2*time.Second, "fast")

		_, kill = startDoor(t, dir, strings.TrimPrefix(url, "http://"))
		got, err := p.Decrypt(t.Context(), open)
		require.NoError(t, err, "without retries, on the first call")
		require.Equal(t, d.Plaintext, got.Bytes)
		require.Eventually(t, func() bool {
			got, err := r.Decrypt(t.Context(), open)
			return err == nil && bytes.Equal(d.Plaintext, got.Bytes)
		}, 5*time.Second, 10*time.Millisecond, "by itself")
		require.Equal(t, resilient.Closed, r.State().Breaker)
	}
	_, err = p.DescribeKey(t.Context(), "alias/none")
	require.True(t, errors.Is(err, kms.NotFoundException), "%v", err)
}
