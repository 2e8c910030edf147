package service

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// testDoors opens every address but "taken".
type testDoors struct{ open []string }

func (d *testDoors) Open(protocol, addr string) (Door, error) {
	if addr == "taken" {
		return Door{}, errors.New("address already in use")
	}
	d.open = append(d.open, protocol+" "+addr)
	return Door{Protocol: protocol, Address: addr, URL: protocol + " " + addr}, nil
}

func (d *testDoors) Close(_ context.Context, urls ...string) {
	d.open = slices.DeleteFunc(d.open, func(u string) bool { return len(urls) == 0 || slices.Contains(urls, u) })
}

// TestDoorsOpenTogether: all doors that are asked for, or none; one that is open already is the same one.
func TestDoorsOpenTogether(t *testing.T) {
	ctx, s := open(t)
	_, err := s.Serve(ctx, ServeRequest{KMS: "a"})
	require.ErrorIs(t, err, NotDaemon)
	d := &testDoors{}
	s.Doors = d
	_, err = s.Serve(ctx, ServeRequest{KMS: "a", S3: "taken", Stay: true})
	require.ErrorIs(t, err, BadDoor)
	require.ErrorContains(t, err, "already in use")
	require.Empty(t, d.open)
	require.Empty(t, s.doorList())
	require.False(t, s.stay)

	both, err := s.Serve(ctx, ServeRequest{KMS: "a", S3: "a"})
	require.NoError(t, err)
	require.Equal(t, []string{"kms a", "s3 a"}, d.open)
	require.Len(t, both, 2)
	again, err := s.Serve(ctx, ServeRequest{S3: "a"})
	require.NoError(t, err)
	require.Equal(t, both[1:], again)
	require.Len(t, d.open, 2)
	_, err = s.Serve(ctx, ServeRequest{KMS: "a", S3: "taken"})
	require.ErrorIs(t, err, BadDoor)
	require.Len(t, d.open, 2, "what was open before stays")

	stopped, err := s.ServeStop(ctx, Nothing{})
	require.NoError(t, err)
	require.True(t, stopped.Last)
	require.Empty(t, d.open)
}
