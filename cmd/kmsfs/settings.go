package main

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every setting has one name, its TOML path, in three spellings: `reencrypt.dry-run` in the file,
// --dry-run of `kmsfs reencrypt`, $KMSFS_REENCRYPT_DRY_RUN. A flag wins over a variable, a variable over the
// file, the file over the default.

// origin says where the value of a setting comes from.
type origin string

const (
	fromDefault origin = "default"
	fromFile    origin = "file"
	fromEnv     origin = "environment"
	fromFlag    origin = "flag"
)

// settingAnnotation marks a flag with the name of its setting.
const settingAnnotation = "kmsfs_setting"

// variable is the environment's spelling of a setting.
func variable(key string) string {
	return "KMSFS_" + strings.NewReplacer(".", "_", "-", "_").Replace(strings.ToUpper(key))
}

// settingKeys lists all settings in the order of the struct.
func settingKeys() []string {
	var keys []string
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			if f.Type.Kind() == reflect.Struct {
				walk(prefix+f.Tag.Get("toml")+".", f.Type)
				continue
			}
			keys = append(keys, prefix+f.Tag.Get("toml"))
		}
	}
	walk("", reflect.TypeFor[Config]())
	return keys
}

// field is the field of a setting. It panics on an unknown name: names are written in this package only.
func (c *Config) field(key string) reflect.Value {
	v := reflect.ValueOf(c).Elem()
	for part := range strings.SplitSeq(key, ".") {
		i := slices.IndexFunc(reflect.VisibleFields(v.Type()), func(f reflect.StructField) bool {
			return f.Tag.Get("toml") == part
		})
		if i < 0 {
			panic("kmsfs: no setting " + key)
		}
		v = v.Field(i)
	}
	return v
}

// set reads the text of a variable into a setting.
func (c *Config) set(key, text string) error {
	switch p := c.field(key).Addr().Interface().(type) {
	case *string:
		*p = text
	case *bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("%q is no number", text)
		}
		*p = n
	case *[]string:
		*p = []string{text}
	case *Duration:
		return p.Set(text)
	case *Users:
		return p.Set(text)
	default:
		panic("kmsfs: setting " + key + " has a type without a text form")
	}
	return nil
}

// flag makes a flag for a setting. The flag's default is the setting's.
func (a *app) flag(cmd *cobra.Command, key, short, usage string) {
	name := flagName(key)
	fs := cmd.Flags()
	if !strings.Contains(key, ".") {
		fs = cmd.PersistentFlags()
	}
	switch p := a.flags.field(key).Addr().Interface().(type) {
	case *string:
		fs.StringVarP(p, name, short, *p, usage)
	case *bool:
		fs.BoolVarP(p, name, short, *p, usage)
	case *int:
		fs.IntVarP(p, name, short, *p, usage)
	case *[]string:
		fs.StringArrayVarP(p, name, short, *p, usage)
	case *Duration:
		fs.VarP(p, name, short, usage)
	}
	mustAnnotate(fs, name, key)
}

func mustAnnotate(fs *pflag.FlagSet, name, key string) {
	if err := fs.SetAnnotation(name, settingAnnotation, []string{key}); err != nil {
		panic(err)
	}
}

// resolve fills a.cfg and a.origin for the command that runs.
func (a *app) resolve(cmd *cobra.Command) error {
	a.cfg, a.origin = Default(), map[string]origin{}
	a.cfg.now = a.now
	if err := a.loadFile(cmd); err != nil {
		return err
	}
	for _, key := range settingKeys() {
		text, ok := os.LookupEnv(variable(key))
		if !ok || text == "" {
			continue
		}
		if err := a.cfg.set(key, text); err != nil {
			return &configError{fmt.Errorf("$%s: %w", variable(key), err)}
		}
		a.origin[key] = fromEnv
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, key := range f.Annotations[settingAnnotation] {
			a.cfg.field(key).Set(a.flags.field(key))
			a.origin[key] = fromFlag
		}
	})
	return a.valid()
}

// valid is [Config.Validate], but what stands on the command line is a [usageError].
func (a *app) valid() error {
	for _, p := range a.cfg.problems() {
		if a.given(p.key) {
			return usagef("--%s: %w", flagName(p.key), p.err)
		}
	}
	return a.cfg.Validate()
}

// flagName is the flag's spelling of a setting.
func flagName(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// loadFile reads the file that --config or $KMSFS_CONFIG names, or the first default that exists.
func (a *app) loadFile(cmd *cobra.Command) error {
	path := a.configFile
	if path == "" {
		path = os.Getenv("KMSFS_CONFIG")
	}
	if path == "" {
		path = firstExisting(defaultConfigs(os.Geteuid(), os.Getenv))
	}
	if path == "" {
		return nil
	}
	a.configFile = path
	keys, err := a.cfg.Load(path)
	for _, k := range keys {
		a.origin[k] = fromFile
	}
	return err
}

// defaultConfigs is where a configuration file is looked for.
func defaultConfigs(uid int, getenv func(string) string) []string {
	var paths []string
	if uid != 0 {
		if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
			paths = append(paths, dir+"/kmsfs/config.toml")
		} else if home := getenv("HOME"); home != "" {
			paths = append(paths, home+"/.config/kmsfs/config.toml")
		}
	}
	return append(paths, "/etc/kmsfs/config.toml")
}

func firstExisting(paths []string) string {
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return ""
}

// given reports whether the flag of a setting stands on the command line.
func (a *app) given(key string) bool { return a.origin[key] == fromFlag }
