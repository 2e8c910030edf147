package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// layer is what a package may import: packages of this module, and modules of others.
type layer struct{ ours, theirs []string }

const (
	badgerModule = "github.com/dgraph-io/badger/v4"
	fuseModule   = "github.com/hanwen/go-fuse/v2"
	tomlModule   = "github.com/pelletier/go-toml/v2"
	xsys         = "golang.org/x/sys"
)

// layers is the table of allowed imports of code that is shipped. Dependencies point down only.
func layers() map[string]layer {
	program := []string{"cmd/kmsfs/service", "fs", "fs/fusefs", "kms", "kms/awskms", "kms/guarded", "kms/httpdoor", "kms/kmsapi", "kms/keyring", "kms/local", "kms/policy", "kms/resilient", "kms/users",
		"objstore", "objstore/badgerstore", "objstore/badgerstore/backup", "objstore/s3api", "xattr"}
	return map[string]layer{
		"kms":                           {ours: []string{"kms/policy"}},
		"kms/local":                     {ours: []string{"kms", "kms/policy"}, theirs: []string{"golang.org/x/crypto"}},
		"kms/keyring":                   {ours: []string{"kms", "kms/local"}},
		"kms/policy":                    {},
		"kms/sigv4":                     {},
		"kms/users":                     {ours: []string{"kms", "kms/sigv4"}},
		"kms/httpdoor":                  {ours: []string{"kms"}},
		"kms/kmsapi":                    {ours: []string{"kms", "kms/httpdoor", "kms/policy", "kms/sigv4", "kms/users"}},
		"kms/awskms":                    {ours: []string{"kms"}, theirs: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}},
		"kms/guarded":                   {ours: []string{"kms", "kms/policy"}},
		"kms/resilient":                 {ours: []string{"kms"}},
		"kms/kmstest":                   {ours: []string{"kms", "kms/local", "kms/policy"}, theirs: []string{"github.com/stretchr/testify"}},
		"xattr":                         {},
		"objstore":                      {},
		"objstore/s3api":                {ours: []string{"kms", "kms/httpdoor", "kms/sigv4", "objstore"}},
		"objstore/seal":                 {},
		"objstore/storetest":            {ours: []string{"kms", "kms/kmstest", "kms/local", "objstore"}, theirs: []string{"github.com/stretchr/testify", xsys}},
		"objstore/badgerstore":          {ours: []string{"kms", "kms/local", "objstore", "objstore/badgerstore/backup", "objstore/badgerstore/content", "objstore/badgerstore/kv", "objstore/seal"}, theirs: []string{xsys, "github.com/google/btree"}},
		"objstore/badgerstore/backup":   {theirs: []string{xsys}},
		"objstore/badgerstore/content":  {ours: []string{"objstore/badgerstore/uncached"}, theirs: []string{xsys}},
		"objstore/badgerstore/uncached": {theirs: []string{xsys}},
		"objstore/badgerstore/kv":       {ours: []string{"objstore/badgerstore/uncached", "objstore/seal"}, theirs: []string{badgerModule, "github.com/dgraph-io/ristretto/v2", xsys, "github.com/google/btree"}},
		"fs":                            {ours: []string{"kms", "objstore", "xattr"}, theirs: []string{xsys}},
		"fs/fstest":                     {ours: []string{"fs", "kms", "kms/kmstest", "kms/local", "objstore", "objstore/badgerstore", "objstore/storetest", "xattr"}, theirs: []string{"github.com/stretchr/testify", xsys}},
		"fs/fusefs":                     {ours: []string{"fs", "kms", "objstore", "xattr"}, theirs: []string{fuseModule, xsys, "github.com/moby/sys"}},
		"cmd/kmsfs/service":             {ours: []string{"kms", "kms/users", "objstore", "objstore/badgerstore/backup", "xattr"}, theirs: []string{xsys, "github.com/moby/sys"}},
		"cmd/kmsfs": {ours: program, theirs: []string{tomlModule, xsys, "golang.org/x/term", "github.com/dustin/go-humanize",
			"github.com/moby/sys", "github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/vbauerster/mpb/v8"}},
	}
}

// goPackage is the part of `go list -json` that counts here.
type goPackage struct {
	ImportPath, Name string
	Imports          []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports", "kmsfs/...").Output()
	require.NoError(t, err)
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		if len(p.Imports) > 0 {
			all = append(all, p)
		}
	}
	require.Greater(t, len(all), 5, "go list found next to nothing")
	return all
}

func TestImportsPointDown(t *testing.T) {
	table := layers()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, "kmsfs/")
		allowed, ok := table[path]
		if !ok {
			t.Errorf("%s has no row in the table of layers: add one", path)
			continue
		}
		for _, imported := range p.Imports {
			if why := forbidden(allowed, imported); why != "" {
				t.Errorf("%s imports %s: %s", path, imported, why)
			}
		}
	}
}

// forbidden says why an import is not allowed; "" when it is.
func forbidden(l layer, imported string) string {
	if ours, ok := strings.CutPrefix(imported, "kmsfs/"); ok {
		if slices.Contains(l.ours, ours) {
			return ""
		}
		return "it lies above, or beside, in the table of layers"
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return "" // standard library
	}
	for _, module := range l.theirs {
		if imported == module || strings.HasPrefix(imported, module+"/") {
			return ""
		}
	}
	return "this module is not allowed here"
}

func TestForbiddenImportsAreFound(t *testing.T) {
	l := layer{ours: []string{"kms"}, theirs: []string{badgerModule}}
	require.Empty(t, forbidden(l, "kmsfs/kms"))
	require.Empty(t, forbidden(l, "crypto/aes"))
	require.Empty(t, forbidden(l, badgerModule))
	require.Empty(t, forbidden(l, badgerModule+"/options"))
	require.NotEmpty(t, forbidden(l, "kmsfs/kms/local"))
	require.NotEmpty(t, forbidden(l, badgerModule+"x"))
	require.NotEmpty(t, forbidden(l, fuseModule+"/fuse"))
}

func TestOneImporterOnly(t *testing.T) {
	for module, only := range map[string]string{badgerModule: "kmsfs/objstore/badgerstore/kv", fuseModule: "kmsfs/fs/fusefs", tomlModule: "kmsfs/cmd/kmsfs"} {
		var importers []string
		for _, p := range packages(t) {
			if slices.ContainsFunc(p.Imports, func(i string) bool { return i == module || strings.HasPrefix(i, module+"/") }) {
				importers = append(importers, p.ImportPath)
			}
		}
		require.Equal(t, []string{only}, importers, module)
	}
}
