package local

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms"
)

func inMemory(p *Provider, id string) bool {
	for _, m := range p.keys[id].materials {
		if m.secret != [32]byte{} {
			return true
		}
	}
	return false
}

// TestSecretsAreInMemoryOnlyWhileEnabled looks at the secrets themselves.
func TestSecretsAreInMemoryOnlyWhileEnabled(t *testing.T) {
	ctx, rec := context.Background(), memory{}
	p, err := Open(rec, make([]byte, 32), Options{})
	require.NoError(t, err)
	m, err := p.CreateKey(ctx, kms.CreateKeyInput{})
	require.NoError(t, err)
	first := p.keys[m.ID]
	require.True(t, inMemory(p, m.ID))

	require.NoError(t, p.DisableKey(ctx, m.ID))
	require.False(t, inMemory(p, m.ID))
	require.Zero(t, first.materials[0].secret, "the copy in force before is wiped too")

	require.NoError(t, p.EnableKey(ctx, m.ID))
	require.True(t, inMemory(p, m.ID))
	_, err = p.ScheduleKeyDeletion(ctx, m.ID, 7)
	require.NoError(t, err)
	require.False(t, inMemory(p, m.ID))

	reopened, err := Open(rec, make([]byte, 32), Options{})
	require.NoError(t, err)
	require.False(t, inMemory(reopened, m.ID), "not loaded while pending")

	_, err = p.CancelKeyDeletion(ctx, m.ID)
	require.NoError(t, err)
	require.False(t, inMemory(p, m.ID))
	require.NoError(t, p.EnableKey(ctx, m.ID))
	require.NoError(t, p.Close())
	require.False(t, inMemory(p, m.ID))
	require.Zero(t, p.seals[0][0]|p.seals[0][31])
}
