package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/fs"
)

// clock is a time that only tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// place is a directory and the store that is open on it.
type place struct {
	t     *testing.T
	dir   string
	clock *clock
	store *Store
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, dir: t.TempDir(), clock: newClock()}
	t.Cleanup(func() {
		if p.store != nil {
			p.close()
		}
	})
	return p
}

// quiet never publishes by itself within a test.
func quiet(c *Config) { c.PublishDelay = Duration(time.Hour) }

func (p *place) try(o Options) error {
	p.t.Helper()
	dir, err := os.Open(p.dir)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	o.Now = p.clock.Now
	if o.Override == nil {
		o.Override = quiet
	}
	p.store, err = Open(dir, o)
	return err
}

func (p *place) open(o Options) *Store {
	p.t.Helper()
	if err := p.try(o); err != nil {
		p.t.Fatalf("open: %v", err)
	}
	return p.store
}

func (p *place) close() {
	p.t.Helper()
	s := p.store
	p.store = nil
	if err := s.Close(); err != nil {
		p.t.Errorf("close: %v", err)
	}
}

func (p *place) reopen(o Options) *Store {
	p.t.Helper()
	p.close()
	return p.open(o)
}

func (p *place) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) read(name string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

var tester = fs.Writer{PID: 42, UID: 7, Program: "tester"}

// commit commits a content inline, or through a stage if it is large.
func (p *place) commit(name, content string) fs.Version {
	p.t.Helper()
	v, err := p.tryCommit(name, content)
	if err != nil {
		p.t.Fatalf("commit %s: %v", name, err)
	}
	return v
}

func (p *place) tryCommit(name, content string) (fs.Version, error) {
	p.t.Helper()
	now := p.clock.Now()
	c := fs.Commit{
		Path: name, Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content)), Who: tester,
		Attr: fs.Attr{Mode: 0o640, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Atime: now, Mtime: now},
	}
	if len(content) <= 100<<10 {
		c.Inline = []byte(content)
		return p.store.Commit(context.Background(), c)
	}
	st, err := p.store.NewStage()
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := st.WriteAt([]byte(content), 0); err != nil {
		p.t.Fatal(err)
	}
	c.Stage = st
	v, err := p.store.Commit(context.Background(), c)
	if closeErr := st.Close(); closeErr != nil {
		p.t.Fatal(closeErr)
	}
	return v, err
}

func (p *place) content(name string, tx uint64) string {
	p.t.Helper()
	_, c, err := p.store.OpenVersion(context.Background(), name, tx)
	if err != nil {
		p.t.Fatalf("open version %s of %s: %v", FormatTx(tx), name, err)
	}
	defer func() { _ = c.Close() }()
	return readAll(p.t, c)
}

func readAll(t *testing.T, c fs.Content) string {
	t.Helper()
	buf := make([]byte, c.Size())
	if n, err := c.ReadAt(buf, 0); n != len(buf) {
		t.Fatalf("read %d of %d bytes: %v", n, len(buf), err)
	}
	return string(buf)
}

func (p *place) log(name string) []Entry {
	p.t.Helper()
	log, err := p.store.Log(context.Background(), name)
	if err != nil {
		p.t.Fatalf("log %s: %v", name, err)
	}
	return log
}

func (p *place) verify() VerifyReport {
	p.t.Helper()
	r, err := p.store.Verify(context.Background(), nil)
	if err != nil {
		p.t.Fatalf("verify: %v", err)
	}
	return r
}

func (p *place) wantSound() {
	p.t.Helper()
	if r := p.verify(); len(r.Problems)+len(r.Damage) > 0 {
		p.t.Errorf("verify found %+v", r)
	}
}

// large is more than travels inline, and valid.
func large(seed int) string {
	return fmt.Sprintf(`{"seed": %d, "filler": "%s"}`, seed, strings.Repeat("x", 600<<10))
}
