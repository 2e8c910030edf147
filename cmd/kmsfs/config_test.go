package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestExampleIsTheDefault(t *testing.T) {
	var c Config // empty: so that a key that the example lacks shows
	keys, err := c.parse(exampleConfig, "example.toml")
	require.NoError(t, err)
	require.Equal(t, Default(), c)
	require.ElementsMatch(t, settingKeys(), keys, "example.toml must have every setting")
	require.NoError(t, c.Validate())
}

func TestUnknownKeysAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"stor = \"/x\"":                        "stor",
		"[mount]\noption = [\"ro\"]":           "option",
		"[bucket]\nversioning = 3":             "versioning",
		"json = \"maybe\"":                     "json",
		"[bucket]\nexpire-noncurrent=\"soon\"": "soon",
		"store = ":                             "store",
	} {
		t.Run(text, func(t *testing.T) {
			c := Default()
			_, err := c.parse([]byte(text), "test.toml")
			require.Error(t, err)
			require.Contains(t, err.Error(), want)
			require.Contains(t, err.Error(), "test.toml")
			require.Equal(t, exitConfig, exitCode(err))
		})
	}
}

func TestValidateNamesAllProblems(t *testing.T) {
	c := Default()
	c.LogLevel, c.Bucket.Versioning, c.Bucket.SSE, c.Bucket.BucketKey = "loud", "maybe", "rot13", "perhaps"
	c.KMS.Account, c.KMS.Region, c.KMS.BucketKeyLifetime, c.Key.Days = "1", "", 0, 3
	c.KeyRotation.Every, c.Users = 3, Users{"x": "alice"}
	c.Bucket.ExpireNoncurrent, c.Mount.Options = -1, []string{"bogus"}
	err := c.Validate()
	require.Error(t, err)
	for _, key := range []string{"log-level", "bucket.versioning", "bucket.sse", "bucket.bucket-key", "kms.account", "kms.region",
		"kms.bucket-key-lifetime", "key.days", "bucket.expire-noncurrent", "mount.options", "key-rotation.every", "users"} {
		require.Contains(t, err.Error(), key+": ")
	}
}

func TestEveryFlagIsASetting(t *testing.T) {
	a := &app{flags: Default()}
	known := map[string]bool{}
	for _, k := range settingKeys() {
		known[k] = true
	}
	flags := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Name == "config" {
				return
			}
			flags++
			require.Len(t, f.Annotations[settingAnnotation], 1, "%s --%s", cmd.CommandPath(), f.Name)
			require.True(t, known[f.Annotations[settingAnnotation][0]], "%s --%s", cmd.CommandPath(), f.Name)
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
	require.Greater(t, flags, 20)
}

// resolved runs the resolution of settings for a command line, without running the command.
func resolved(t *testing.T, args ...string) *app {
	t.Helper()
	a := &app{flags: Default(), stdout: io.Discard, stderr: io.Discard}
	root := a.root()
	for _, cmd := range []string{"mount", "umount", "reencrypt", "status"} {
		sub, _, err := root.Find([]string{cmd})
		require.NoError(t, err)
		sub.RunE = func(*cobra.Command, []string) error { return nil }
	}
	root.SetArgs(args)
	require.NoError(t, root.Execute())
	return a
}

func TestPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.toml")
	require.NoError(t, os.WriteFile(file, []byte("store = \"/from-file\"\n[mount]\noptions = [\"ro\"]\n[reencrypt]\ndry-run = true\n"), 0o600))
	t.Setenv("KMSFS_CONFIG", file)
	t.Setenv("KMSFS_STORE", "") // puts back what the caller had
	require.NoError(t, os.Unsetenv("KMSFS_STORE"))

	a := resolved(t, "reencrypt", "x")
	require.Equal(t, "/from-file", a.cfg.Store)
	require.True(t, a.cfg.Reencrypt.DryRun)
	require.Equal(t, fromFile, a.originOf("store"))
	require.Equal(t, fromDefault, a.originOf("log-level"))

	t.Setenv("KMSFS_STORE", "/from-env")
	t.Setenv("KMSFS_REENCRYPT_DRY_RUN", "false")
	a = resolved(t, "reencrypt", "x")
	require.Equal(t, "/from-env", a.cfg.Store)
	require.False(t, a.cfg.Reencrypt.DryRun)
	require.Equal(t, fromEnv, a.originOf("store"))

	a = resolved(t, "reencrypt", "x", "--store", "/from-flag", "--dry-run")
	require.Equal(t, "/from-flag", a.cfg.Store)
	require.True(t, a.cfg.Reencrypt.DryRun)
	require.Equal(t, fromFlag, a.originOf("store"))
}

func TestMountOptionsAnywhere(t *testing.T) {
	a := resolved(t, "mount", "-o", "ro", "demo", "mnt", "-o", "uid=5,nonempty")
	o, err := parseMountOptions(a.cfg.Mount.Options)
	require.NoError(t, err)
	require.True(t, o.ReadOnly && o.NonEmpty)
	require.Equal(t, uint32(5), *o.UID)
}

func TestEnvironmentThatCannotBeRead(t *testing.T) {
	t.Setenv("KMSFS_JSON", "perhaps")
	a := &app{flags: Default(), stdout: io.Discard, stderr: io.Discard}
	root := a.root()
	root.SetArgs([]string{"version"})
	err := root.Execute()
	require.Error(t, err)
	require.Equal(t, "$KMSFS_JSON: \"perhaps\" is neither true nor false", err.Error())
	require.Equal(t, exitConfig, exitCode(err))
}

func TestFlagThatIsWrongIsUsage(t *testing.T) {
	a := &app{flags: Default(), stdout: io.Discard, stderr: io.Discard}
	root := a.root()
	root.SetArgs([]string{"mount", "x", "-o", "bogus"})
	err := root.Execute()
	require.Error(t, err)
	require.Equal(t, "--options: bogus is no mount option", err.Error())
	require.Equal(t, exitUsage, exitCode(err))
}

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * day, "0": 0, "never": 0, "12h": 12 * time.Hour, "90m": 90 * time.Minute,
		"1h30m": 90 * time.Minute, "5m": 5 * time.Minute, "30s": 30 * time.Second, "24h": day} {
		var d Duration
		require.NoError(t, d.Set(text), text)
		require.Equal(t, want, time.Duration(d), text)
		var again Duration
		require.NoError(t, again.Set(d.String()), d.String())
		require.Equal(t, d, again, d.String())
	}
	for _, text := range []string{"", "d", "-1d", "7", "x7d", "soon", "99999999999d"} {
		var d Duration
		require.Error(t, d.Set(text), text)
	}
	require.Equal(t, "7d", Duration(7*day).String())
	require.Equal(t, "12h", Duration(12*time.Hour).String())
	require.Equal(t, "5m", Duration(5*time.Minute).String())
	require.Equal(t, "10m", Duration(10*time.Minute).String())
	require.Equal(t, "20h10m", Duration(20*time.Hour+10*time.Minute).String())
}

func TestDefaultStore(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	dir, err := defaultStore(0, env(nil))
	require.NoError(t, err)
	require.Equal(t, "/var/lib/kmsfs", dir)
	dir, err = defaultStore(7, env(map[string]string{"XDG_DATA_HOME": "/d", "HOME": "/h"}))
	require.NoError(t, err)
	require.Equal(t, "/d/kmsfs", dir)
	dir, err = defaultStore(7, env(map[string]string{"HOME": "/h"}))
	require.NoError(t, err)
	require.Equal(t, "/h/.local/share/kmsfs", dir)
	_, err = defaultStore(7, env(nil))
	require.Error(t, err)
}

func TestStorePathResolvesLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "real"), 0o700))
	require.NoError(t, os.Symlink("real", filepath.Join(dir, "link")))
	c := Config{Store: filepath.Join(dir, "link", "not", "yet")}
	path, err := c.StorePath()
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "real", "not", "yet"), path)
	require.True(t, strings.HasSuffix(beside("", path, ".key"), "/yet.key"))
}
