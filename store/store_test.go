package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCommitPendingSettleHistory(t *testing.T) {
	for _, tt := range []struct{ name, first, second string }{
		{"inline", `{"n":1}`, `{"n":2}`},
		{"staged", large(1), large(2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			one := p.commit("a.json", tt.first)
			two := p.commit("a.json", tt.second)
			if one.Tx == 0 || two.Tx <= one.Tx {
				t.Errorf("transactions %d and %d do not grow", one.Tx, two.Tx)
			}
			v, ok := p.store.Pending("a.json")
			if !ok || v.Tx != two.Tx || v.SHA256 != two.SHA256 || v.Attr.Mode != 0o640 {
				t.Errorf("pending is %+v, %v, want %+v", v, ok, two)
			}
			_, c, ok, err := p.store.OpenPending("a.json")
			if err != nil || !ok {
				t.Fatalf("open pending: %v, %v", ok, err)
			}
			if got := readAll(t, c); got != tt.second {
				t.Errorf("pending reads %.40q", got)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if got := p.store.PendingNames(""); len(got) != 1 || got[0] != "a.json" {
				t.Errorf("pending names are %q", got)
			}
			if err := p.store.Settle(context.Background(), "a.json"); err != nil {
				t.Fatal(err)
			}
			if _, ok := p.store.Pending("a.json"); ok {
				t.Error("still pending after Settle")
			}
			if got := p.read("a.json"); got != tt.second {
				t.Errorf("the backing file holds %.40q", got)
			}
			log := p.log("a.json")
			if len(log) != 2 || log[0].Tx != one.Tx || log[1].Tx != two.Tx {
				t.Fatalf("log is %+v", log)
			}
			if log[1].Writer != tester || log[1].Mode != 0o640 || log[1].SHA256 != fmt.Sprintf("%x", two.SHA256) {
				t.Errorf("entry is %+v", log[1])
			}
			if got := p.content("a.json", one.Tx); got != tt.first {
				t.Errorf("the first version reads %.40q", got)
			}
			p.wantSound()
		})
	}
}

func TestOpenAndClose(t *testing.T) {
	t.Run("fresh-directory", func(t *testing.T) {
		p := newPlace(t)
		p.open(Options{Create: true})
		st, err := os.Stat(filepath.Join(p.dir, Dir))
		if err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf(".intact is %v, %v, want mode 0700", st.Mode(), err)
		}
		if got := p.read(formatName); got != Format+"\n" {
			t.Errorf("FORMAT says %q", got)
		}
		p.reopen(Options{Create: true})
	})
	t.Run("uninitialized", func(t *testing.T) {
		p := newPlace(t)
		for _, o := range []Options{{}, {ReadOnly: true}, {ReadOnly: true, Create: true}} {
			if err := p.try(o); !errors.Is(err, ErrUninitialized) {
				t.Errorf("open %+v: %v, want ErrUninitialized", o, err)
			}
			if _, err := os.Lstat(filepath.Join(p.dir, Dir)); err == nil {
				t.Error(".intact was made")
			}
		}
	})
	t.Run("unknown-format", func(t *testing.T) {
		p := newPlace(t)
		p.write(formatName, "intact 99\n")
		err := p.try(Options{Create: true})
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "intact 99") {
			t.Errorf("open: %v, want ErrFormat", err)
		}
	})
	t.Run("missing-format", func(t *testing.T) {
		p := newPlace(t)
		p.open(Options{Create: true})
		p.commit("a.json", "{}")
		p.close()
		if err := os.Remove(filepath.Join(p.dir, formatName)); err != nil {
			t.Fatal(err)
		}
		if err := p.try(Options{Create: true}); !errors.Is(err, ErrFormat) {
			t.Errorf("open: %v, want ErrFormat", err)
		}
	})
	t.Run("interrupted-creation", func(t *testing.T) {
		p := newPlace(t)
		p.write(configName, "durability = \"relaxed\"\n")
		s := p.open(Options{Create: true})
		if got := s.Config().Durability; got != Relaxed {
			t.Errorf("durability is %q", got)
		}
	})
	t.Run("dot-intact-is-a-file", func(t *testing.T) {
		p := newPlace(t)
		p.write(Dir, "mine")
		if err := p.try(Options{Create: true}); err == nil {
			t.Error("open succeeded")
		}
		if got := p.read(Dir); got != "mine" {
			t.Errorf("the file now holds %q", got)
		}
	})
}

func TestLock(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true, Purpose: "mounted on /srv"})
	other := &place{t: t, dir: p.dir, clock: p.clock}
	for name, o := range map[string]Options{"writer": {}, "reader": {ReadOnly: true}} {
		t.Run(name, func(t *testing.T) {
			err := other.try(o)
			var locked *LockedError
			if !errors.As(err, &locked) || !errors.Is(err, ErrLocked) {
				t.Fatalf("open: %v, want a LockedError", err)
			}
			if locked.Holder.PID != os.Getpid() || locked.Holder.Purpose != "mounted on /srv" {
				t.Errorf("holder is %+v", locked.Holder)
			}
			if !strings.Contains(err.Error(), "mounted on /srv") {
				t.Errorf("the error does not say who: %v", err)
			}
		})
	}
	p.close()
	t.Run("holder-that-has-ended", func(t *testing.T) {
		p.write(lockName, `{"pid": 4194999, "purpose": "mounted on /gone"}`)
		reader := &place{t: t, dir: p.dir, clock: p.clock}
		reader.open(Options{ReadOnly: true})
		defer reader.close()
		var locked *LockedError
		if err := other.try(Options{Patience: 3 * lockPoll}); !errors.As(err, &locked) || locked.Holder.PID != 0 {
			t.Errorf("open: %v, want a LockedError without a holder", err)
		}
	})
	t.Run("patience", func(t *testing.T) {
		holder := &place{t: t, dir: p.dir, clock: p.clock}
		holder.open(Options{})
		released := make(chan error)
		go func(s *Store) { time.Sleep(2 * lockPoll); released <- s.Close() }(holder.store)
		patient := &place{t: t, dir: p.dir, clock: p.clock}
		patient.open(Options{Patience: time.Minute})
		patient.close()
		if err := <-released; err != nil {
			t.Error(err)
		}
	})
	t.Run("readers-share", func(t *testing.T) {
		one := &place{t: t, dir: p.dir, clock: p.clock}
		one.open(Options{ReadOnly: true})
		defer one.close()
		two := &place{t: t, dir: p.dir, clock: p.clock}
		two.open(Options{ReadOnly: true})
		two.close()
		if err := two.try(Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("a writer beside a reader: %v, want ErrLocked", err)
		}
	})
}

// copyTree copies a directory as a crash would leave it for the next boot.
func copyTree(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestCrash(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":1}`)
	if err := p.store.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.commit("a.json", `{"n":2}`)
	p.commit("a.json", `{"n":3}`)
	p.commit("big.json", large(1))
	crashed := &place{t: t, dir: copyTree(t, p.dir), clock: p.clock}

	t.Run("read-only", func(t *testing.T) {
		s := crashed.open(Options{ReadOnly: true})
		if got := s.Recovered().Pending; got != 3 {
			t.Errorf("%d pending, want 3", got)
		}
		if got := crashed.read("a.json"); got != `{"n":1}` {
			t.Errorf("reading changed the file to %q", got)
		}
		log := crashed.log("a.json")
		last := log[len(log)-1]
		if got := crashed.content("a.json", last.Tx); got != `{"n":3}` {
			t.Errorf("the newest version reads %q", got)
		}
		if r := crashed.verify(); r.Pending != 3 || len(r.Problems)+len(r.Damage) > 0 {
			t.Errorf("verify found %+v", r)
		}
		if _, err := s.Restore(context.Background(), "a.json", last.Tx, tester); !errors.Is(err, ErrReadOnly) {
			t.Errorf("restore: %v, want ErrReadOnly", err)
		}
		if err := s.Checkpoint(context.Background()); !errors.Is(err, ErrReadOnly) {
			t.Errorf("checkpoint: %v, want ErrReadOnly", err)
		}
		crashed.close()
	})
	t.Run("recovery", func(t *testing.T) {
		crashed.open(Options{})
		if err := crashed.store.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := crashed.read("a.json"); got != `{"n":3}` {
			t.Errorf("a.json holds %q", got)
		}
		if got := crashed.read("big.json"); got != large(1) {
			t.Errorf("big.json holds %.40q", got)
		}
		if log := crashed.log("a.json"); len(log) != 3 {
			t.Errorf("%d versions, want 3: %+v", len(log), log)
		}
		crashed.wantSound()
		crashed.reopen(Options{})
		crashed.wantSound()
		crashed.close()
	})
}

func TestDamagedJournal(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"mark":"first-of-the-marks"}`)
	p.commit("a.json", `{"mark":"second-of-the-marks"}`)
	crashed := &place{t: t, dir: copyTree(t, p.dir), clock: p.clock}
	segments, err := filepath.Glob(filepath.Join(crashed.dir, journalName, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range segments {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(content, []byte("first-of-the-marks")); i >= 0 {
			content[i] ^= 0x20
			if err := os.WriteFile(name, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := crashed.try(Options{}); !errors.Is(err, ErrDamaged) {
		t.Fatalf("open: %v, want ErrDamaged", err)
	}
	s := crashed.open(Options{Fallback: true})
	defer crashed.close()
	if reason, readOnly := s.ReadOnly(); !readOnly || reason == "" {
		t.Errorf("read-only is %v, %q", readOnly, reason)
	}
	if r := crashed.verify(); len(r.Damage) == 0 {
		t.Errorf("verify found no damage: %+v", r)
	}
	if _, err := crashed.tryCommit("a.json", "{}"); err == nil {
		t.Error("a commit succeeded")
	}
}
