package journal

import (
	"fmt"
	"testing"

	"intactfs/journal/disk"
)

// BenchmarkAppend adds 200 bytes to files of three sizes: what it takes must
// not depend on them.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int64{1 << 10, 1 << 20, 1 << 30} {
		b.Run(fmt.Sprint("size=", size), func(b *testing.B) { benchmarkAppend(b, size) })
	}
}

func benchmarkAppend(b *testing.B, size int64) {
	d, err := disk.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	f, err := d.Create("bench:create", "log.jsonl", 0o600)
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Truncate("bench:size", size); err != nil { // a hole will do: nobody reads it
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	j := mustOpen(b, d, Options{Manual: true})
	p := AppendPut{Path: "log.jsonl", Bytes: make([]byte, 200), BaseSize: size}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := j.Append(background0, p); err != nil {
			b.Fatal(err)
		}
		p.BaseSize += 200
	}
	b.StopTimer()
	j.closeFiles() // publishing a gigabyte is not what is measured
}
