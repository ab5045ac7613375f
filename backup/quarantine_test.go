package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

func refuse(s *Store, path string, at time.Time, content string) (Rejected, error) {
	return s.Refuse(context.Background(), Rejection{
		Path: path, Time: at, Reason: "unexpected end", Line: 1, Column: 2, Offset: 1,
		Size: int64(len(content)), Kept: 7, PID: 3, UID: 4, Program: "node",
	}, strings.NewReader(content))
}

func mustRefuse(t testing.TB, s *Store, path string, at time.Time, content string) Rejected {
	t.Helper()
	r, err := refuse(s, path, at, content)
	if err != nil {
		t.Fatalf("refuse for %s: %v", path, err)
	}
	return r
}

func readRejected(t testing.TB, s *Store, id string) string {
	t.Helper()
	c, err := s.OpenRejected(id)
	if err != nil {
		t.Errorf("open %s: %v", id, err)
		return ""
	}
	defer func() { _ = c.Close() }()
	p, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		t.Errorf("read %s: %v", id, err)
	}
	return string(p)
}

func mustRejected(t testing.TB, s *Store, path string) []Rejected {
	t.Helper()
	list, err := s.Rejected(path)
	if err != nil {
		t.Fatalf("list quarantine of %s: %v", path, err)
	}
	return list
}

func TestRefuseListOpenDrop(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	first := mustRefuse(t, s, "a/f", t0, `{"a":`)
	mustRefuse(t, s, "a/f", t0.Add(time.Hour), `{"b":`)
	mustRefuse(t, s, "g@h", t0.Add(2*time.Hour), "")
	for name, s := range map[string]*Store{"same": s, "fresh": openStore(t, d)} {
		if n := len(mustRejected(t, s, "")); n != 3 {
			t.Errorf("%s: got %d contents, want 3", name, n)
		}
		list := mustRejected(t, s, "a/f")
		if len(list) != 2 || list[0] != first {
			t.Fatalf("%s: got %+v, want %+v first", name, list, first)
		}
		for i, want := range []string{`{"a":`, `{"b":`} {
			if got := readRejected(t, s, list[i].ID); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	}
	if err := s.DropRejected(first.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DropRejected(first.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("drop again: got %v, want ErrNotFound", err)
	}
	if _, err := s.OpenRejected(first.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("open: got %v, want ErrNotFound", err)
	}
	for _, id := range []string{"", "f", "f@12", "../x@0123456789abcdef", "@0123456789abcdef"} {
		if _, err := s.OpenRejected(id); err == nil {
			t.Errorf("open %q: accepted", id)
		}
	}
}

func TestRefusedAgainIsCounted(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	steps := 0
	for i := range 100 {
		before := len(d.Steps())
		r := mustRefuse(t, s, "f", t0.Add(time.Duration(i)*time.Second), `{"torn":`)
		if r.Count != int64(i+1) || !r.Time.Equal(t0) {
			t.Fatalf("got count %d since %v", r.Count, r.Time)
		}
		if len(d.Steps()) != before {
			steps++
		}
	}
	if steps > 11 {
		t.Errorf("the disk was written %d times for 100 refusals in 100 s", steps)
	}
	if list := mustRejected(t, s, "f"); len(list) != 1 || list[0].Count != 100 {
		t.Errorf("got %+v", list)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if list := mustRejected(t, openStore(t, d), "f"); len(list) != 1 || list[0].Count != 100 ||
		!list[0].Last.Equal(t0.Add(99*time.Second)) {
		t.Errorf("after a restart: %+v", list)
	}
}

func TestQuarantineIsBounded(t *testing.T) {
	open := func(t *testing.T, d *disktest.Disk) *Store {
		s, err := Open(d, Options{RejectedPerPath: 3, RejectedBytes: 5000, RejectedTotal: 9000, RejectedSize: 6000})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := func(i int) time.Time { return t0.Add(time.Duration(i) * time.Minute) }
	t.Run("count", func(t *testing.T) {
		s := open(t, disktest.New())
		for i := range 10 {
			mustRefuse(t, s, "f", at(i), fmt.Sprint(i))
		}
		got := ""
		for _, r := range mustRejected(t, s, "f") {
			got += readRejected(t, s, r.ID)
		}
		if got != "789" {
			t.Errorf("got %s, want 789", got)
		}
	})
	t.Run("bytes of a path", func(t *testing.T) {
		s := open(t, disktest.New())
		for i := range 4 {
			mustRefuse(t, s, "f", at(i), noise(int64(i), 2000))
		}
		if n := len(mustRejected(t, s, "f")); n != 2 {
			t.Errorf("got %d contents, want 2", n)
		}
		mustRefuse(t, s, "f", at(9), noise(9, 5900))
		if list := mustRejected(t, s, "f"); len(list) != 1 || list[0].Size != 5900 {
			t.Errorf("got %+v, want the newest alone, though it is beyond the bound", list)
		}
	})
	t.Run("bytes of all", func(t *testing.T) {
		d := disktest.New()
		for i := range 8 {
			s := open(t, d) // counts anew each time
			mustRefuse(t, s, "a", at(2*i), noise(int64(i), 1500))
			mustRefuse(t, s, fmt.Sprint("b", i%4), at(2*i+1), noise(int64(100+i), 1500))
		}
		var sum int64
		newest := map[string]bool{}
		for _, r := range mustRejected(t, open(t, d), "") {
			sum += r.Stored
			newest[r.Path] = true
		}
		if sum > 9000 || len(newest) != 5 {
			t.Errorf("%d bytes of %d paths, want at most 9000 of 5", sum, len(newest))
		}
	})
	t.Run("one content", func(t *testing.T) {
		s := open(t, disktest.New())
		content := noise(1, 10000)
		r := mustRefuse(t, s, "f", t0, content)
		if !r.Truncated || r.Held != 6000 || r.Size != 10000 {
			t.Errorf("got %+v", r)
		}
		if got := readRejected(t, s, r.ID); got != content[:6000] {
			t.Errorf("got %d bytes, want the first 6000", len(got))
		}
	})
}

func TestRefuseShortContent(t *testing.T) {
	s := openStore(t, disktest.New())
	_, err := s.Refuse(context.Background(), Rejection{Path: "f", Time: t0, Size: 10}, strings.NewReader("short"))
	if !errors.Is(err, ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	if list := mustRejected(t, s, "f"); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
}

func TestQuarantineDamageIsFound(t *testing.T) {
	base := disktest.New()
	mustRefuse(t, openStore(t, base), "f", t0, `{"a":`)
	for name, content := range base.Tree(quarantineRoot) {
		for off := range int64(len(content)) {
			d := base.Clone()
			d.Corrupt(name, off, 0x10)
			rep, err := openStore(t, d).Verify(context.Background(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if len(rep.Damage) != 1 || rep.Damage[0].Path != "f" {
				t.Fatalf("%s at %d: got %+v", name, off, rep)
			}
		}
	}
}

func TestOrphansOfQuarantineAreSwept(t *testing.T) {
	d := disktest.New()
	dir := quarantineLayout.file("f")
	d.Put(dir+"/20260101T000000Z-0123456789abcdef.zst", "no note")
	d.Put(dir+"/20260101T000000Z-0123456789abcdef.json.tmp", "unfinished")
	s := openStore(t, d)
	mustRefuse(t, s, "f", t0, "x")
	if n := len(d.Tree(dir)); n != 2 {
		t.Errorf("%d files are left, want 2: %v", n, d.Tree(dir))
	}
}
