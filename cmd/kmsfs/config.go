package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"kmsfs/kms"
)

// exampleConfig is a configuration file with every key at its default.
//
//go:embed example.toml
var exampleConfig []byte

// Config is every setting of the program. The TOML key of a field names its flag and its variable too: see
// settings.go. Fields hold what was asked for; paths that are empty have the defaults that methods give.
type Config struct {
	Store    string `toml:"store"`     // the store's directory; empty: see [Config.StorePath]
	RootKey  string `toml:"root-key"`  // file of the root key; empty: STORE.key
	AuditDir string `toml:"audit-dir"` // the audit records; empty: STORE.audit
	TLSDir   string `toml:"tls-dir"`   // certificates of the doors; empty: STORE.tls
	LogFile  string `toml:"log-file"`  // the daemon's log; empty: STORE.log
	LogLevel string `toml:"log-level"` // debug, info, warn, error
	JSON     bool   `toml:"json"`

	Mount       MountConfig       `toml:"mount"`
	Bucket      BucketConfig      `toml:"bucket"`
	KMS         KMSConfig         `toml:"kms"`
	Users       Users             `toml:"users"` // names of uids, as key policies know them
	Key         KeyConfig         `toml:"key"`
	KeyPolicy   KeyPolicyConfig   `toml:"key-policy"`
	KeyTag      KeyTagConfig      `toml:"key-tag"`
	Certificate CertificateConfig `toml:"key-certificate"`
	KeyRotation KeyRotationConfig `toml:"key-rotation"`
	Grant       GrantConfig       `toml:"grant"`
	Reencrypt   TreeConfig        `toml:"reencrypt"`
	Rewrap      RewrapConfig      `toml:"rewrap"`
	Check       CheckConfig       `toml:"check"`
	Audit       AuditConfig       `toml:"audit"`
	Root        RootConfig        `toml:"root"`
	Serve       ServeConfig       `toml:"serve"`
	Env         EnvConfig         `toml:"env"`
	Status      StatusConfig      `toml:"status"`
	Backup      BackupConfig      `toml:"backup"`

	RestoreBackup RestoreBackupConfig `toml:"restore-backup"`

	now func() time.Time // of tests; nil: time.Now
}

// MountConfig is how `kmsfs mount` mounts.
type MountConfig struct {
	Foreground bool     `toml:"foreground"`
	Options    []string `toml:"options"` // as mount(8) takes them after -o
	KMS        string   `toml:"kms"`     // address of the KMS door; empty: none
	S3         string   `toml:"s3"`      // address of the S3 door; empty: none
}

// BucketConfig is what new buckets start with.
type BucketConfig struct {
	Versioning       string   `toml:"versioning"` // enabled or suspended
	ExpireNoncurrent Duration `toml:"expire-noncurrent"`
	SSE              string   `toml:"sse"` // empty: AES256, or aws:kms when a key is given
	KeyID            string   `toml:"sse-kms-key-id"`
	BucketKey        string   `toml:"bucket-key"` // true, false or empty
}

// KMSConfig is about the key service.
type KMSConfig struct {
	Provider          string   `toml:"provider"`            // where the keys are: local or aws
	Endpoint          string   `toml:"endpoint"`            // of the provider aws; empty: AWS's own
	Profile           string   `toml:"profile"`             // of AWS's configuration files; empty: as AWS's tools choose it
	ProviderMoved     bool     `toml:"provider-moved"`      // another provider than the store was last used with is what is wanted
	DefaultKey        string   `toml:"default-key"`         // for aws:kms without a key id; empty: alias/aws/s3, or alias/kmsfs-s3 elsewhere
	Region            string   `toml:"region"`              // in key ARNs
	Account           string   `toml:"account"`             // in key ARNs: 12 digits
	BucketKeyLifetime Duration `toml:"bucket-key-lifetime"` // how long a bucket key is used after it was unwrapped
	Quotas            string   `toml:"quotas"`              // requests per second of a caller, as kms.ParseQuotas reads them
}

// KeyConfig is what the key commands start with.
type KeyConfig struct {
	Alias       string `toml:"alias"`
	Description string `toml:"description"`
	Days        int    `toml:"days"`        // waiting time of a deletion
	WillLose    int    `toml:"i-will-lose"` // versions that a deletion makes unreadable
}

// KeyPolicyConfig is what `kmsfs key policy` puts.
type KeyPolicyConfig struct {
	Set    string `toml:"set"`    // file, or - for standard input
	Here   bool   `toml:"here"`   // that of this store, for a key that is elsewhere
	Remove bool   `toml:"remove"` // with Here
}

// KeyTagConfig is what `kmsfs key tag` removes.
type KeyTagConfig struct {
	Remove []string `toml:"remove"`
}

// KeyRotationConfig is what `kmsfs key rotation` changes.
type KeyRotationConfig struct {
	Every int  `toml:"every"` // days; 0: nothing is changed
	Off   bool `toml:"off"`
}

// GrantConfig is what `kmsfs key grant create` grants.
type GrantConfig struct {
	Grantee    string `toml:"grantee"`
	Retiring   string `toml:"retiring"`
	Operations string `toml:"operations"` // separated by commas
	Name       string `toml:"name"`
	Context    string `toml:"context"`
}

// TreeConfig is how `kmsfs reencrypt` works.
type TreeConfig struct {
	Recursive bool `toml:"recursive"`
	DryRun    bool `toml:"dry-run"`
	All       bool `toml:"all"`
}

// RewrapConfig is how `kmsfs rewrap` works.
type RewrapConfig struct {
	Recursive bool `toml:"recursive"`
	DryRun    bool `toml:"dry-run"`
}

// CheckConfig is how `kmsfs check` works.
type CheckConfig struct {
	Repair bool `toml:"repair"`
}

// ServeConfig is what `kmsfs serve` opens.
type ServeConfig struct {
	KMS        string `toml:"kms"` // address of the KMS door
	S3         string `toml:"s3"`  // address of the S3 door
	Foreground bool   `toml:"foreground"`
	Stop       bool   `toml:"stop"`
}

// EnvConfig is whose access key `kmsfs env` prints.
type EnvConfig struct {
	User string `toml:"user"` // empty: the only one
}

// BackupConfig is how `kmsfs backup` works.
type BackupConfig struct {
	Keep int  `toml:"keep"` // backups of a directory that stay; 0: all
	File bool `toml:"file"` // one file, whatever its name
}

// RestoreBackupConfig is what `kmsfs restore-backup` does.
type RestoreBackupConfig struct {
	Point  string `toml:"point"`  // name of a backup of a directory; empty: the newest
	Verify bool   `toml:"verify"` // read all, and write nothing
	Kit    string `toml:"kit"`    // recovery kit with the root key; empty: its file
}

// StatusConfig is how `kmsfs status` answers.
type StatusConfig struct {
	Brief bool `toml:"brief"`
}

// Default is the configuration without file, variables and flags.
func Default() Config {
	return Config{
		LogLevel: "info",
		Audit:    AuditConfig{Required: true, Data: dataNone, Lines: 10},
		Root:     RootConfig{Protection: protectNone},
		Mount:    MountConfig{Options: []string{}},
		Bucket:   BucketConfig{Versioning: "enabled", ExpireNoncurrent: Duration(7 * 24 * time.Hour)},
		KMS: KMSConfig{Provider: providerLocal, Region: "us-east-1", Account: "000000000000",
			BucketKeyLifetime: Duration(5 * time.Minute), Quotas: "none"},
		Key:    KeyConfig{Days: 30},
		KeyTag: KeyTagConfig{Remove: []string{}},
		Grant:  GrantConfig{Operations: "Encrypt,Decrypt,GenerateDataKey,ReEncryptFrom,ReEncryptTo,DescribeKey"},
	}
}

// configError is a problem of the configuration: exit code 10.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// Load reads a file over c and answers the keys that it sets. An unknown key is an error with its line.
func (c *Config) Load(path string) (keys []string, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, &configError{err}
	}
	return c.parse(data, path)
}

func (c *Config) parse(data []byte, path string) ([]string, error) {
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	if err := dec.Decode(c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return nil, &configError{fmt.Errorf("%s: unknown key\n%s", path, strict.String())}
		}
		var bad *toml.DecodeError
		if errors.As(err, &bad) {
			return nil, &configError{fmt.Errorf("%s:\n%s", path, bad.String())}
		}
		return nil, &configError{fmt.Errorf("%s: %w", path, err)}
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, &configError{fmt.Errorf("%s: %w", path, err)}
	}
	return leaves("", tree), nil
}

// leaves lists the keys of a TOML tree, as section.key.
func leaves(prefix string, tree map[string]any) []string {
	var keys []string
	for k, v := range tree {
		if sub, ok := v.(map[string]any); ok && k != usersKey {
			keys = append(keys, leaves(prefix+k+".", sub)...)
			continue
		}
		keys = append(keys, prefix+k)
	}
	return keys
}

// problem is a setting with a value that cannot be.
type problem struct {
	key string
	err error
}

// Validate answers all problems at once, each with the TOML path of the setting.
func (c *Config) Validate() error {
	var all []error
	for _, p := range c.problems() {
		all = append(all, fmt.Errorf("%s: %w", p.key, p.err))
	}
	if len(all) > 0 {
		return &configError{errors.Join(all...)}
	}
	return nil
}

func (c *Config) problems() []problem {
	var bad []problem
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			bad = append(bad, problem{key, fmt.Errorf(format, args...)})
		}
	}
	oneOf := func(key, value string, allowed ...string) {
		check(slices.Contains(allowed, value), key, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
	oneOf("log-level", c.LogLevel, "debug", "info", "warn", "error")
	oneOf("bucket.versioning", c.Bucket.Versioning, "enabled", "suspended")
	oneOf("bucket.sse", orAES(c.Bucket.SSE), "AES256", "aws:kms", "aws:kms:dsse")
	oneOf("bucket.bucket-key", orFalse(c.Bucket.BucketKey), "true", "false")
	check(c.Bucket.ExpireNoncurrent >= 0, "bucket.expire-noncurrent", "%s is negative", c.Bucket.ExpireNoncurrent)
	check(c.KMS.BucketKeyLifetime > 0, "kms.bucket-key-lifetime", "%s is not positive", c.KMS.BucketKeyLifetime)
	check(isAccount(c.KMS.Account), "kms.account", "%q is not 12 digits", c.KMS.Account)
	check(validProtection(c.Root.Protection), "root.protection", "%q is none of %s, %s, %sKEY", c.Root.Protection, protectNone, protectPassphrase, protectAWS)
	oneOf("audit.data-events", c.Audit.Data, dataNone, dataRead, dataWrite, dataAll)
	check(c.Audit.Lines >= 0, "audit.lines", "%d is negative", c.Audit.Lines)
	check(c.Backup.Keep >= 0, "backup.keep", "%d is negative", c.Backup.Keep)
	check(c.KMS.Region != "", "kms.region", "must not be empty")
	check(c.Key.Days >= 7 && c.Key.Days <= 30, "key.days", "%d is not in 7 to 30", c.Key.Days)
	check(c.KeyRotation.Every == 0 || c.KeyRotation.Every >= kms.MinRotationDays && c.KeyRotation.Every <= kms.MaxRotationDays,
		"key-rotation.every", "%d is not in %d to %d", c.KeyRotation.Every, kms.MinRotationDays, kms.MaxRotationDays)
	if err := c.Users.validate(); err != nil {
		bad = append(bad, problem{usersKey, err})
	}
	bad = append(bad, c.KMS.problems()...)
	if _, err := parseMountOptions(c.Mount.Options); err != nil {
		bad = append(bad, problem{"mount.options", err})
	}
	return bad
}

func orAES(s string) string {
	if s == "" {
		return "AES256"
	}
	return s
}

func orFalse(s string) string {
	if s == "" {
		return "false"
	}
	return s
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// StorePath is the store's absolute path, with symbolic links resolved as far as it exists.
func (c *Config) StorePath() (string, error) {
	dir := c.Store
	if dir == "" {
		var err error
		if dir, err = defaultStore(os.Geteuid(), os.Getenv); err != nil {
			return "", &configError{err}
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return resolveExisting(abs), nil
}

// defaultStore is where the store lies when nobody says so.
func defaultStore(uid int, getenv func(string) string) (string, error) {
	if uid == 0 {
		return "/var/lib/kmsfs", nil
	}
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "kmsfs"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "kmsfs"), nil
	}
	return "", errors.New("neither XDG_DATA_HOME nor HOME is set, so there is no default for the store")
}

// resolveExisting resolves the symbolic links of the longest part of path that exists.
func resolveExisting(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolveExisting(parent), filepath.Base(path))
}

// beside is the path of a file that lies beside the store, unless the configuration names another.
func beside(named, store, suffix string) string {
	if named != "" {
		return named
	}
	return store + suffix
}
