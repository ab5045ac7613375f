package backup

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// patience is how long a test waits for what must not be blocked.
const patience = 30 * time.Second

// gate stops whoever comes through it first, once it is shut.
type gate struct {
	mu     sync.Mutex
	shut   bool
	inside chan struct{} // closed when somebody was stopped
	open   chan struct{}
}

func newGate() *gate { return &gate{inside: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

func (g *gate) pass() {
	g.mu.Lock()
	stop := g.shut
	g.shut = false
	g.mu.Unlock()
	if stop {
		close(g.inside)
		<-g.open
	}
}

// gatedDisk has a gate before every read of a file that reaches to its end, as
// that of the frame of the only version does.
type gatedDisk struct {
	disk.Disk
	gate *gate
}

func (d gatedDisk) Open(name string) (disk.File, error) {
	f, err := d.Disk.Open(name)
	return gatedFile{f, d.gate}, err
}

type gatedFile struct {
	disk.File
	gate *gate
}

func (f gatedFile) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		f.gate.pass()
	}
	return f.File.ReadAt(p, off)
}

// within fails the test unless f returns.
func within(t *testing.T, what string, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s waits for somebody who reads", what)
	}
}

// Whoever reads a version, or all of them, must not keep others from saving.
func TestReadersDoNotBlockSaving(t *testing.T) {
	for name, read := range map[string]func(s *Store) error{
		"open": func(s *Store) error { _, err := readVersion(s, "f", 2); return err },
		"verify": func(s *Store) error {
			rep, err := s.Verify(context.Background(), nil)
			if err == nil && len(rep.Damage)+len(rep.Torn) > 0 {
				err = rep.Damage[0].Err
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := disktest.New()
			v := docs(5)
			mustAdd(t, openStore(t, base), "f", v.items(1, 2)...)
			d := gatedDisk{base, newGate()}
			s := openStore(t, d)
			mustAdd(t, s, "f", v.items(3)...) // now the index is in memory
			s.codec.known.dropIf(func(digest) bool { return true })
			keepBase(t, s, v)
			d.gate.close()
			finished := make(chan error, 1)
			go func() { finished <- read(s) }()
			select {
			case <-d.gate.inside:
			case <-time.After(patience):
				t.Fatal("nothing was read")
			}
			within(t, "add", func() error { return s.Add(context.Background(), "f", v.items(4)) })
			within(t, "list", func() error { _, err := s.List("f"); return err })
			within(t, "expire", func() error {
				_, err := s.Expire(context.Background(), "f", keepLast(1), t0, false)
				return err
			})
			close(d.gate.open)
			if err := <-finished; err != nil {
				t.Errorf("the reader got %v", err)
			}
			wantVersion(t, s, "f", 4, v[4])
		})
	}
}

// keepBase puts the keyframe into the cache, so that Add reads nothing.
func keepBase(t *testing.T, s *Store, v versions) {
	t.Helper()
	for _, e := range mustList(t, s, "f") {
		if e.DeltaBase == 0 && e.Tx != 2 {
			s.codec.remember(e.SHA256, []byte(v[e.Tx]))
		}
	}
}

// slowContent can be read only when its gate is open.
type slowContent struct {
	io.ReaderAt
	gate *gate
}

func (c slowContent) ReadAt(p []byte, off int64) (int, error) {
	c.gate.pass()
	return c.ReaderAt.ReadAt(p, off)
}

func TestRefusingDoesNotBlockOthers(t *testing.T) {
	s := openStore(t, disktest.New())
	first := mustRefuse(t, s, "other", t0, "{")
	slow := slowContent{strings.NewReader("[1,2"), newGate()}
	slow.gate.close()
	finished := make(chan error, 1)
	go func() {
		_, err := s.Refuse(context.Background(), Rejection{Path: "slow", Time: t0, Size: 4}, slow)
		finished <- err
	}()
	<-slow.gate.inside
	// A path whose lock is another: of a few names some are.
	path := "a"
	for s.refusing(path) == s.refusing("slow") {
		path += "a"
	}
	within(t, "refuse for another path", func() error { _, err := refuse(s, path, t0, "("); return err })
	within(t, "list", func() error { _, err := s.Rejected(""); return err })
	within(t, "open", func() error { _, err := s.OpenRejected(first.ID); return err })
	within(t, "drop", func() error { return s.DropRejected(first.ID) })
	close(slow.gate.open)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	wantHeld(t, s, held{"slow": {"[1,2": 1}, path: {"(": 1}})
}

func TestRefusedAtTheSameTimeIsKeptOnce(t *testing.T) {
	s := openStore(t, disktest.New())
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if _, err := refuse(s, "f", t0.Add(time.Duration(i)*time.Minute), []string{"{", "["}[i%2]); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	wantHeld(t, s, held{"f": {"{": 20, "[": 20}})
}

// A reader keeps what it has opened, whatever becomes of the version: expired,
// its pack written anew, its pack number used again.
func TestContentOutlivesItsVersion(t *testing.T) {
	v := docs(6)
	d := disktest.New()
	s, err := Open(d, Options{CacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	large := bytesItem(1, make([]byte, largeContent+1000))
	mustAdd(t, s, "f", large)
	mustAdd(t, s, "f", v.items(2, 3)...)
	open := func(tx uint64) Content {
		c, err := s.Open(context.Background(), "f", tx)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	streamed, small := open(1), open(2)
	if err := s.Remove("f", t0, Writer{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Expire(context.Background(), "f", Policy{Forget: 1}, t0.Add(1), false); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(context.Background(), "f", 1); err == nil {
		t.Fatal("the version is still there: nothing was tested")
	}
	mustAdd(t, s, "f", v.items(4, 5, 6)...)
	p := make([]byte, 500)
	for _, off := range []int64{large.Size - 500, 0, 1 << 20} {
		for i := range p {
			p[i] = 1
		}
		if n, err := streamed.ReadAt(p, off); n != len(p) || strings.Trim(string(p), "\x00") != "" {
			t.Errorf("streamed, at %d: %d bytes, %v", off, n, err)
		}
	}
	got, err := io.ReadAll(io.NewSectionReader(small, 0, small.Size()))
	if err != nil || string(got) != v[2] {
		t.Errorf("small: %d bytes, %v", len(got), err)
	}
	for _, c := range []Content{streamed, small} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	checkVersions(t, s, "f", v.only(4, 5, 6), nil)
}
