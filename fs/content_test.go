package fs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// bigDoc is a document of size bytes in which no two pages are alike.
func bigDoc(size int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := 0; b.Len() < size-20; i++ {
		fmt.Fprintf(&b, "%d,\n", i*7919)
	}
	b.WriteString(strings.Repeat(" ", size-b.Len()-2) + "0]")
	return b.Bytes()
}

func TestLargeReads(t *testing.T) {
	m := mount(t, testRules{})
	content := bigDoc(5<<20 + 4097)
	m.seed(t, "f.json", string(content))
	want := fmt.Sprintf("%x", sha256.Sum256(content))
	for _, size := range []string{"4096", "65536", "100000", "1M", "3M", "16M"} {
		t.Run(size, func(t *testing.T) {
			out, err := m.shell(t, "dd if=f.json status=none bs="+size+" | sha256sum")
			if err != nil || !strings.HasPrefix(out, want) {
				t.Errorf("read in blocks of %s: %s, %v; want %s", size, out, err, want)
			}
		})
	}
}

// A reader goes on with the version that it began, and what it is answered
// from stays, whatever is committed and published meanwhile.
func TestLargeReadsOfAReplacedVersion(t *testing.T) {
	m := mount(t, testRules{})
	old := bigDoc(3 << 20)
	m.seed(t, "f.json", string(old))
	run(t, m, []step{
		do("r", "ok", "open", "f", "f.json", "r"),
		do("r", string(old[:1<<20]), "pread", "f", "0", "1048576"),
		do("w", "ok", "open", "g", "f.json", "w"),
		do("w", "8", "write", "g", oldDoc[:8]),
		do("w", "1", "write", "g", oldDoc[8:]),
		do("w", "ok", "close", "g"),
		do("r", string(old[2<<20:]), "pread", "f", "2097152", "1048577"),
		do("r", oldDoc, "pread", "f", "0", "1048576"), // rewound
		do("r", "", "pread", "f", "2097152", "1048576"),
	})
}

// What can't be read beneath is an error for who reads, and for nobody else.
func TestLargeReadOfWhatIsGone(t *testing.T) {
	m := mount(t, testRules{})
	m.seed(t, "f.json", string(bigDoc(3<<20)))
	c := m.client(t)
	defer c.end()
	c.want("ok", "open", "f", "f.json", "r")
	if err := os.Truncate(filepath.Join(m.back, "f.json"), 0); err != nil {
		t.Fatal(err)
	}
	c.want("EIO", "pread", "f", "1048576", "1048576")
	m.seed(t, "g.json", oldDoc)
	run(t, m, []step{
		do("r", "ok", "open", "g", "g.json", "r"),
		do("r", oldDoc, "read", "g"),
	})
}

// opened is a file of the test, opened as a published version is.
func opened(t *testing.T, content []byte) *backingContent {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, content, 0600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err := newBackingContent(fd)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBackingContent(t *testing.T) {
	content := bigDoc(100_000)
	c := opened(t, content)
	for _, tc := range []struct {
		name   string
		off    int64
		size   int
		want   []byte
		atEOF  bool
		mapped bool
	}{
		{"all", 0, 100_000, content, false, true},
		{"more than all", 0, 100_001, content, true, false},
		{"a part", 5000, 7000, content[5000:12_000], false, true},
		{"over the end", 99_000, 7000, content[99_000:], true, false},
		{"at the end", 100_000, 10, nil, true, false},
		{"beyond", 200_000, 10, nil, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			buf := make([]byte, tc.size)
			n, err := c.ReadAt(buf, tc.off)
			if !bytes.Equal(buf[:n], tc.want) || errors.Is(err, io.EOF) != tc.atEOF {
				t.Errorf("ReadAt = %d bytes, %v; want %d, EOF %v", n, err, len(tc.want), tc.atEOF)
			}
			if got := c.pages(tc.off, int64(tc.size)); (got != nil) != tc.mapped || got != nil && !bytes.Equal(got, tc.want) {
				t.Errorf("pages = %d bytes; want any: %v", len(got), tc.mapped)
			}
		})
	}
	if c.pages(-1, 10) != nil || c.pages(0, 0) != nil {
		t.Error("pages of nothing are something")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := newBackingContent(-1); !errors.Is(err, unix.EBADF) {
		t.Errorf("content of no descriptor: %v", err)
	}
}

// An answer holds what it points into until it was given.
func TestPagesHoldTheContent(t *testing.T) {
	content := bigDoc(pagesFile)
	p := &pinned{content: opened(t, content)}
	for name, tc := range map[string]struct{ off, n int64 }{
		"a small read": {0, pagesRead - 1}, "behind the end": {pagesFile, pagesRead}, "nothing": {0, 0},
	} {
		if p.pages(tc.off, tc.n) != nil {
			t.Errorf("%s is answered from pages", name)
		}
	}
	res := p.pages(pagesFile-pagesRead, 2*pagesRead)
	if res == nil || res.Size() != pagesRead {
		t.Fatalf("a large read is not answered from pages: %v", res)
	}
	p.close()
	slices, status := res.(*pagesResult).Slices()
	if status != fuse.OK || len(slices) != 1 || !bytes.Equal(slices[0], content[pagesFile-pagesRead:]) {
		t.Errorf("Slices: %d, %v", len(slices), status)
	}
	copied, status := res.Bytes(make([]byte, 2*pagesRead))
	if status != fuse.OK || !bytes.Equal(copied, content[pagesFile-pagesRead:]) {
		t.Errorf("Bytes: %d bytes, %v", len(copied), status)
	}
	res.Done()
	if _, err := p.share(); err == nil {
		t.Error("the content outlives its last holder")
	}
	small := &pinned{content: opened(t, content[:pagesFile-1])}
	defer small.close()
	if small.pages(0, pagesRead) != nil || (*pinned)(nil).pages(0, pagesRead) != nil || (&pinned{}).pages(0, pagesRead) != nil {
		t.Error("a small content, or none, is answered from pages")
	}
}
