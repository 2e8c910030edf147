package badgerstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Env { return env(open(t, filepath.Join(t.TempDir(), "store"))) })
}

func env(r *rig) storetest.Env {
	return storetest.Env{
		Store: pastsChecked{r.Store}, Keys: r.kms,
		Reopen: func(t testing.TB) storetest.Env {
			require.NoError(t, r.Close())
			return env(open(t, r.dir))
		},
		Crash: func(t testing.TB) storetest.Env { return env(open(t, copied(t, r.dir))) },
	}
}

// copied is the store's directory as the death of the process would leave it now.
func copied(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "crashed")
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
