package backup

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk"
	"intactfs/journal/disk/disktest"
)

// unsynced leaves what a process leaves whose sync failed and whose other
// operations failed too from there on: entries that only the page cache has,
// and that no later sync writes.
func unsynced(t *testing.T, v versions, durable []uint64, lost []uint64) *disktest.Disk {
	t.Helper()
	d := disktest.New(disktest.ReuseFreed())
	mustAdd(t, openStore(t, d), "f", v.items(durable...)...)
	s := openStore(t, d)
	mustAdd(t, s, "f", v.items(durable...)...)
	d.Heal(disktest.FailStep("history:sync", 1, syscall.EIO, false), disktest.FailStep("history:abandon", 1, syscall.EIO, true))
	if err := s.Add(context.Background(), "f", v.items(lost...)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	d.Heal()
	if n := len(mustList(t, openStore(t, d), "f")); n != len(durable)+len(lost) {
		t.Fatalf("%d entries in the page cache", n)
	}
	return d
}

// TestNothingHangsOnAFailedSync starts a new process over the page cache of
// one whose sync failed. What that acknowledges survives power loss.
func TestNothingHangsOnAFailedSync(t *testing.T) {
	v := docs(7)
	t0 := t0.Add(time.Hour)
	for _, tt := range []struct {
		name string
		work func(s *Store) error
		want versions
	}{
		{"the same again", func(s *Store) error { return s.Add(context.Background(), "f", v.items(3, 4)) }, v.only(1, 2, 3, 4)},
		{"one of them", func(s *Store) error { return s.Add(context.Background(), "f", v.items(4)) }, v.only(1, 2, 4)},
		{"something else", func(s *Store) error { return s.Add(context.Background(), "f", v.items(5, 6)) }, v.only(1, 2, 5, 6)},
		{"the same and more", func(s *Store) error { return s.Add(context.Background(), "f", v.items(3, 4, 5)) }, v.only(1, 2, 3, 4, 5)},
		{"a tombstone", func(s *Store) error { return s.Remove("f", t0, Writer{}) }, v.only(1, 2)},
		{"retention", func(s *Store) error {
			_, err := s.Expire(context.Background(), "f", keepLast(2), t0, false)
			return err
		}, v.only(3, 4)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := unsynced(t, v, []uint64{1, 2}, []uint64{3, 4})
			if err := tt.work(openStore(t, d)); err != nil {
				t.Fatal(err)
			}
			after := openStore(t, d.AfterCrash(nil, 0))
			checkVersions(t, after, "f", tt.want, v)
			verifyClean(t, after)
		})
	}
}

// TestSecuringFails lets the next process fail where it makes durable what it
// found: what it acknowledges afterwards must hang on none of it.
func TestSecuringFails(t *testing.T) {
	v := docs(6)
	for _, step := range []disk.Step{"history:open", "history:rewrite", "history:sync"} {
		t.Run(string(step), func(t *testing.T) {
			d := unsynced(t, v, []uint64{1, 2}, []uint64{3, 4})
			d.Heal(disktest.FailStep(step, 1, syscall.EIO, false))
			s := openStore(t, d)
			if err := s.Add(context.Background(), "f", v.items(3, 4, 5)); !errors.Is(err, syscall.EIO) {
				t.Fatalf("got %v, want EIO", err)
			}
			wantVersion(t, s, "f", 3, v[3]) // is still readable
			mustAdd(t, s, "f", v.items(3, 4, 5)...)
			checkVersions(t, openStore(t, d.AfterCrash(nil, 0)), "f", v.only(1, 2, 3, 4, 5), nil)
		})
	}
}

// TestRetentionAfterAFailedSync keeps entries that only a pack has of which a
// sync failed: they are written anew.
func TestRetentionAfterAFailedSync(t *testing.T) {
	v := docs(6)
	d := unsynced(t, v, []uint64{1, 2}, []uint64{3, 4})
	d.Heal(disktest.FailStep("history:sync", 1, syscall.EIO, false))
	s := openStore(t, d)
	if err := s.Add(context.Background(), "f", v.items(4)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	if _, err := s.Expire(context.Background(), "f", keepLast(3), t0, false); err != nil {
		t.Fatal(err)
	}
	after := openStore(t, d.AfterCrash(nil, 0))
	checkVersions(t, after, "f", v.only(2, 3, 4), v)
	verifyClean(t, after)
}

// TestTombstoneAfterAFailedSync buries once more what may not be buried.
func TestTombstoneAfterAFailedSync(t *testing.T) {
	v := docs(2)
	d := disktest.New()
	mustAdd(t, openStore(t, d), "f", v.items(1, 2)...)
	s := openStore(t, d)
	mustAdd(t, s, "f", v.items(2)...)
	d.Heal(disktest.FailStep("history:sync", 1, syscall.EIO, false), disktest.FailStep("history:abandon", 1, syscall.EIO, true))
	if err := s.Remove("f", t0, Writer{}); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v, want EIO", err)
	}
	d.Heal(disktest.FailStep("history:sync", 1, syscall.EIO, false))
	s = openStore(t, d)
	for _, want := range []error{syscall.EIO, nil} {
		if err := s.Remove("f", t0, Writer{}); !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	e, ok, err := openStore(t, d.AfterCrash(nil, 0)).Newest("f")
	if err != nil || !ok || !e.Removed {
		t.Errorf("got %+v, %v, %v, want a tombstone", e, ok, err)
	}
}
