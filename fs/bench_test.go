package fs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/objstore"
)

// The benchmarks here do what the kernel asks for each of a program's operations, without the kernel, on the engine.

func makeFile(b *testing.B, v *View, name string, data []byte) objstore.Ino {
	h := create(b, v, name)
	finish(b, h, data)
	return h.Ino()
}

func finish(b *testing.B, h *Handle, data []byte) {
	_, err := h.Write(b.Context(), 0, data, false)
	require.NoError(b, err)
	require.NoError(b, h.Flush(b.Context()))
	h.Release(b.Context())
}

var block4k = bytes.Repeat([]byte("x"), 4096)

func BenchmarkCreate(b *testing.B) {
	_, _, v := engine(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		makeFile(b, v, fmt.Sprintf("f%07d", n), block4k)
	}
}

func BenchmarkOverwrite(b *testing.B) {
	_, _, v := engine(b)
	ino := makeFile(b, v, "f", block4k)
	b.ReportAllocs()
	for b.Loop() {
		finish(b, open(b, v, ino, OpenFlags{Write: true, Truncate: true}), block4k)
	}
}

// BenchmarkRewriteBlock changes 4 KiB of a closed file: the size of the file must not matter.
func BenchmarkRewriteBlock(b *testing.B) {
	for _, mib := range []int64{1, 64, 1024} {
		b.Run(fmt.Sprintf("file=%dMiB", mib), func(b *testing.B) {
			_, _, v := engine(b)
			ino := makeFile(b, v, "f", block4k)
			h := open(b, v, ino, OpenFlags{Write: true})
			for off := int64(0); off < mib<<20; off += 1 << 20 {
				_, err := h.Write(b.Context(), off, make([]byte, 1<<20), false)
				require.NoError(b, err)
			}
			finish(b, h, block4k)
			b.ReportAllocs()
			for b.Loop() {
				finish(b, open(b, v, ino, OpenFlags{Write: true}), block4k)
			}
		})
	}
}

func BenchmarkRename(b *testing.B) {
	_, _, v := engine(b)
	makeFile(b, v, "f0", block4k)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		require.NoError(b, v.Rename(b.Context(), v.Root(), fmt.Sprint("f", n), v.Root(), fmt.Sprint("f", n+1), objstore.RenamePlain))
	}
}

func BenchmarkUnlink(b *testing.B) {
	_, _, v := engine(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		name := fmt.Sprint("f", n)
		makeFile(b, v, name, block4k)
		b.StartTimer()
		require.NoError(b, v.Unlink(b.Context(), v.Root(), name))
	}
}

func BenchmarkRead(b *testing.B) {
	_, _, v := engine(b)
	ino := makeFile(b, v, "f", block4k)
	p := make([]byte, len(block4k))
	b.ReportAllocs()
	for b.Loop() {
		h := open(b, v, ino, OpenFlags{})
		_, err := h.Read(p, 0)
		require.NoError(b, err)
		h.Release(b.Context())
	}
}

func BenchmarkLookup(b *testing.B) {
	_, _, v := engine(b)
	makeFile(b, v, "f", block4k)
	b.ReportAllocs()
	for b.Loop() {
		lookup(b, v, v.Root(), "f")
	}
}

// BenchmarkRewrap wraps data keys under the KMS key that they are under already, as after its rotation.
func BenchmarkRewrap(b *testing.B) {
	_, f, v := engine(b)
	ino := makeFile(b, v, "f", block4k)
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, f.Rewrap(b.Context(), ino))
	}
}

// BenchmarkReencrypt makes a new version of a file of 16 MiB.
func BenchmarkReencrypt(b *testing.B) {
	_, f, v := engine(b)
	ino := makeFile(b, v, "f", make([]byte, 16<<20))
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		changed, err := f.Reencrypt(b.Context(), ino, true)
		require.NoError(b, err)
		require.True(b, changed)
	}
}

// BenchmarkRenameDirectory moves a directory of 100,000 files under a bucket key.
func BenchmarkRenameDirectory(b *testing.B) {
	_, _, v := engine(b)
	require.NoError(b, v.SetXattr(b.Context(), v.Root(), "user.bucket-key", []byte("true"), objstore.XattrSet))
	dir, err := v.Mknod(b.Context(), v.Root(), "d0", NodeInit{Mode: 0o040755})
	require.NoError(b, err)
	for n := range 100_000 {
		_, h, err := v.Create(b.Context(), dir.Ino, fmt.Sprint("f", n), NodeInit{Mode: 0o644}, OpenFlags{Write: true}, true)
		require.NoError(b, err)
		finish(b, h, block4k)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		require.NoError(b, v.Rename(b.Context(), v.Root(), fmt.Sprint("d", n), v.Root(), fmt.Sprint("d", n+1), objstore.RenamePlain))
	}
}
