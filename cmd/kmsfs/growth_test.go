package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// BenchmarkGrowth is the growth table: what operations on a mount cost at 10,000 objects and at more
// (KMSFS_BENCH_OBJECTS), how long mounting takes, and what the daemon holds in memory. Run it with -benchtime 1x.
func BenchmarkGrowth(b *testing.B) {
	sizes := os.Getenv("KMSFS_BENCH_OBJECTS")
	if sizes == "" {
		sizes = "10000 100000"
	}
	for _, text := range strings.Fields(sizes) {
		n, err := strconv.Atoi(text)
		require.NoError(b, err, "KMSFS_BENCH_OBJECTS")
		b.Run("objects="+text, func(b *testing.B) {
			g := newGrown(b, n)
			for range b.N {
				g.measure(b)
			}
		})
	}
}

// grown is a store with many objects: up to 100,000 in one directory, the others in directories of 1,000.
type grown struct {
	*bench
	objects int
}

const oneDirectory = 100_000

// name is the key of object i.
func (g *grown) name(i int) string {
	if i < min(g.objects/2, oneDirectory) {
		return fmt.Sprintf("large/f%07d", i)
	}
	return fmt.Sprintf("d%04d/f%07d", i/1000, i)
}

// newGrown fills a store without the kernel, which would take hours.
func newGrown(b *testing.B, objects int) *grown {
	g := &grown{newBench(b), objects}
	g.run("init")
	g.run("key", "create", "--alias", "alias/bench")
	g.run("bucket", "create", "demo", "--sse", "aws:kms", "--sse-kms-key-id", "alias/bench", "--bucket-key", "true")
	var c Config
	o, err := openStore(g.store, &c, false, slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	body := bytes.Repeat([]byte("x"), 100)
	for i := range objects {
		_, err := o.store.PutObject(b.Context(), objstore.PutInput{Bucket: "demo", Key: g.name(i), Body: bytes.NewReader(body)})
		require.NoError(b, err)
	}
	require.NoError(b, o.Close())
	g.run("bucket", "set", "demo", "--bucket-key", "false")
	return g
}

// measure mounts, works on the mount and takes it away.
func (g *grown) measure(b *testing.B) {
	start := time.Now()
	g.mount()
	b.ReportMetric(float64(time.Since(start).Milliseconds()), "mount-ms")
	pid := g.pid()
	b.ReportMetric(g.resident(pid), "rest-MiB")
	b.ReportMetric(g.longList(), "ls-l-ms")
	const files = 2000
	r := rand.New(rand.NewPCG(1, 2))
	stat := func(int) error { _, err := os.Lstat(g.path(g.name(r.IntN(g.objects)))); return err }
	for _, op := range []struct {
		name  string
		ready func()
		do    func(i int) error
	}{
		{"cold-stat/s", g.dropCaches, stat},
		{"create/s", g.dropNames, func(i int) error { return os.WriteFile(g.path("new", fmt.Sprint(i)), []byte("x"), 0o644) }},
		{"stat/s", g.dropNames, stat},
		{"list/s", g.dropNames, func(i int) error { return g.listSome(i) }},
		{"unlink/s", g.dropNames, func(i int) error { return os.Remove(g.path("new", fmt.Sprint(i))) }},
	} {
		require.NoError(b, os.MkdirAll(g.path("new"), 0o755))
		op.ready()
		start := time.Now()
		for i := range files {
			require.NoError(b, op.do(i), op.name)
		}
		b.ReportMetric(files/time.Since(start).Seconds(), op.name)
	}
	b.ReportMetric(g.resident(pid), "busy-MiB")
	g.umount()
}

// listSome lists the directory of new files once for each 100 calls.
func (g *grown) listSome(i int) error {
	if i%100 != 0 {
		return nil
	}
	_, err := os.ReadDir(g.path("new"))
	return err
}

// longList is how long `ls -l` of the large directory takes, in milliseconds.
func (g *grown) longList() float64 {
	g.dropCaches()
	cmd := exec.Command("ls", "-l", g.path("large"))
	cmd.Stdout = io.Discard
	start := time.Now()
	require.NoError(g.t, cmd.Run())
	return float64(time.Since(start).Milliseconds())
}

func (g *grown) dropCaches() {
	require.NoError(g.t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0), "only root can")
}

// dropNames leaves the kernel nothing that it knows about the mount's names, and the store's database in the page cache:
// what is measured then is the daemon, not the disk.
func (g *grown) dropNames() {
	require.NoError(g.t, os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0), "only root can")
	files, err := filepath.Glob(filepath.Join(g.store, "meta", "*.sst"))
	require.NoError(g.t, err)
	require.NotEmpty(g.t, files)
	for _, path := range files {
		if f, err := os.Open(path); err == nil { // badger may have removed it
			_, err = io.Copy(io.Discard, f)
			require.NoError(g.t, errors.Join(err, f.Close()))
		}
	}
}

// resident is what a process holds in memory, in MiB.
func (g *grown) resident(pid int) float64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	require.NoError(g.t, err)
	n, err := statusBytes(status, "VmRSS:")
	require.NoError(g.t, err)
	return float64(n) / mib
}
