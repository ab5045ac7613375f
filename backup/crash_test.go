package backup

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

func TestAddBroken(t *testing.T) {
	v := docs(6)
	add := func(path string, txs ...uint64) func(*Store) error {
		return func(s *Store) error { return s.Add(context.Background(), path, v.items(txs...)) }
	}
	t.Run("first", func(t *testing.T) {
		scene{
			before: func(*testing.T, *Store) {},
			work:   add("a/b/f", 1, 2, 3),
			after: func(t *testing.T, s *Store, done bool) {
				if done {
					checkVersions(t, s, "a/b/f", v.only(1, 2, 3), nil)
				} else {
					checkVersions(t, s, "a/b/f", nil, v)
				}
			},
		}.sweep(t)
	})
	t.Run("more", func(t *testing.T) {
		scene{
			before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1, 2, 3)...) },
			work:   add("f", 3, 4, 5, 6),
			after: func(t *testing.T, s *Store, done bool) {
				if done {
					checkVersions(t, s, "f", v, nil)
				} else {
					checkVersions(t, s, "f", v.only(1, 2, 3), v)
				}
			},
		}.sweep(t)
	})
}

// incompressible contents fill packs quickly.
func noise(seed int64, size int) string {
	p := make([]byte, size)
	_, _ = rand.New(rand.NewSource(seed)).Read(p)
	return string(p)
}

func TestAddAcrossPacksBroken(t *testing.T) {
	v := versions{}
	for i := range uint64(3) {
		v[i+1] = noise(int64(i), 9000)
	}
	scene{
		before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1)...) },
		work: func(s *Store) error {
			s.packSize = 10000
			return s.Add(context.Background(), "f", v.items(2, 3))
		},
		after: func(t *testing.T, s *Store, done bool) {
			if done {
				checkVersions(t, s, "f", v, nil)
				if n := len(packsOf(t, s, "f")); n < 3 {
					t.Errorf("%d packs, want one for each", n)
				}
			} else {
				checkVersions(t, s, "f", v.only(1), v)
			}
		},
	}.sweep(t)
}

func packsOf(t *testing.T, s *Store, path string) map[string]bool {
	packs := map[string]bool{}
	for _, e := range mustList(t, s, path) {
		packs[e.Pack] = true
	}
	return packs
}

func TestRemoveAndPinBroken(t *testing.T) {
	v := docs(2)
	scene{
		before: func(t *testing.T, s *Store) { mustAdd(t, s, "f", v.items(1, 2)...) },
		work: func(s *Store) error {
			if err := s.Pin("f", 1, true); err != nil {
				return err
			}
			return s.Remove("f", t0.Add(time.Hour), Writer{1, 2, "rm"})
		},
		after: func(t *testing.T, s *Store, done bool) {
			checkVersions(t, s, "f", v, nil)
			entries := mustList(t, s, "f")
			if done && (len(entries) != 3 || !entries[2].Removed || !entries[0].Pinned || entries[1].Pinned) {
				t.Errorf("got %+v", entries)
			}
		},
	}.sweep(t)
}

// keepLast is a policy that keeps the newest n and nothing else on purpose.
func keepLast(n int) Policy { return Policy{Last: n} }

func TestExpireBroken(t *testing.T) {
	v := docs(12)
	all := []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	scene{
		before: func(t *testing.T, s *Store) {
			// Three packs: two that an older process could not go on with.
			for part := range slices.Chunk(all, 4) {
				mustAdd(t, s, "f", v.items(part...)...)
				h, err := s.load("f")
				if err != nil {
					t.Fatal(err)
				}
				h.tail = nil
			}
			if err := s.Pin("f", 2, true); err != nil {
				t.Fatal(err)
			}
		},
		work: func(s *Store) error {
			_, err := s.Expire(context.Background(), "f", keepLast(3), t0, false)
			return err
		},
		after: func(t *testing.T, s *Store, done bool) {
			// What was dropped may come back with a crash: nobody relies on
			// its absence.
			checkVersions(t, s, "f", v.only(2, 10, 11, 12), v)
		},
	}.sweep(t)
}

func TestExpireAllBroken(t *testing.T) {
	v := docs(3)
	scene{
		before: func(t *testing.T, s *Store) {
			mustAdd(t, s, "d/f", v.items(1, 2, 3)...)
			if err := s.Remove("d/f", t0, Writer{}); err != nil {
				t.Fatal(err)
			}
		},
		work: func(s *Store) error {
			_, err := s.Expire(context.Background(), "d/f", Policy{Forget: time.Hour}, t0.Add(time.Hour), false)
			return err
		},
		after: func(t *testing.T, s *Store, done bool) {
			if n := len(mustList(t, s, "d/f")); n > 4 {
				t.Errorf("%d entries are left", n)
			}
		},
	}.sweep(t)
}

func TestMovedBroken(t *testing.T) {
	v := docs(6)
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *Store)
		old    string
		new    string
		have   map[string]versions // below new, in the end
	}{
		{"file", func(t *testing.T, s *Store) { mustAdd(t, s, "a", v.items(1, 2)...) },
			"a", "x/y/b", map[string]versions{"x/y/b": v.only(1, 2)}},
		{"file onto another", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a", v.items(1, 4)...)
			mustAdd(t, s, "b", v.items(2, 3)...)
			if err := errors.Join(s.Pin("a", 4, true), s.Pin("b", 2, true)); err != nil {
				t.Fatal(err)
			}
		}, "a", "b", map[string]versions{"b": v.only(1, 2, 3, 4)}},
		{"tree", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a/f", v.items(1)...)
			mustAdd(t, s, "a/d/g", v.items(2)...)
		}, "a", "z/b", map[string]versions{"z/b/f": v.only(1), "z/b/d/g": v.only(2)}},
		{"tree into another", func(t *testing.T, s *Store) {
			mustAdd(t, s, "a/f", v.items(1)...)
			mustAdd(t, s, "a/d/g", v.items(2)...)
			mustAdd(t, s, "b/f", v.items(3)...)
			mustAdd(t, s, "b/h", v.items(4)...)
			mustAdd(t, s, "a", v.items(5)...)
		}, "a", "b", map[string]versions{"b/f": v.only(1, 3), "b/d/g": v.only(2), "b/h": v.only(4), "b": v.only(5)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{
				atomic: true,
				before: tt.before,
				work:   func(s *Store) error { return s.Moved(tt.old, tt.new) },
				after: func(t *testing.T, s *Store, done bool) {
					for path, want := range tt.have {
						checkMoved(t, s, tt.old+strings.TrimPrefix(path, tt.new), path, want, done)
					}
				},
			}.sweep(t)
		})
	}
}

// checkMoved wants each version below one of two paths; below the new one
// when the move is done.
func checkMoved(t *testing.T, s *Store, was, is string, want versions, done bool) {
	t.Helper()
	for tx, w := range want {
		got, err := readVersion(s, is, tx)
		if !done && errors.Is(err, ErrNotFound) {
			got, err = readVersion(s, was, tx)
		}
		if err != nil || got != w {
			t.Errorf("version %d of %s or %s: %d bytes, %v", tx, was, is, len(got), err)
		}
	}
}

func TestRefuseBroken(t *testing.T) {
	scene{
		before: func(t *testing.T, s *Store) { mustRefuse(t, s, "d/f", t0, `{"old":`) },
		work: func(s *Store) error {
			for i := range 3 {
				if _, err := refuse(s, "d/f", t0.Add(time.Duration(i)*time.Minute), fmt.Sprintf(`{"n":%d`, i%2)); err != nil {
					return err
				}
			}
			return s.Close()
		},
		after: func(t *testing.T, s *Store, done bool) {
			list, err := s.Rejected("d/f")
			if err != nil {
				t.Errorf("list: %v", err)
			}
			got := map[string]bool{}
			for _, r := range list {
				got[readRejected(t, s, r.ID)] = true
			}
			for _, want := range []string{`{"old":`, `{"n":0`, `{"n":1`} {
				if !got[want] && (done || want == `{"old":`) {
					t.Errorf("%s is not in quarantine", want)
				}
			}
		},
	}.sweep(t)
}

func TestReadErrorsReachTheCaller(t *testing.T) {
	v := docs(4)
	base := disktest.New()
	mustAdd(t, openStore(t, base), "f", v.items(1, 2, 3)...)
	for n := 1; ; n++ {
		d := base.Clone(disktest.FailReadAt(n, syscall.EIO, false))
		s := openStore(t, d)
		entries, listErr := s.List("f")
		got, openErr := readVersion(s, "f", 3)
		addErr := s.Add(context.Background(), "f", v.items(4))
		if !d.Failed() {
			return
		}
		for _, err := range []error{listErr, openErr, addErr} {
			if err != nil && !errors.Is(err, syscall.EIO) {
				t.Errorf("read %d: got %v, want EIO", n, err)
			}
		}
		if listErr == nil && len(entries) != 3 {
			t.Errorf("read %d: %d entries and no error", n, len(entries))
		}
		if openErr == nil && got != v[3] {
			t.Errorf("read %d: other content and no error", n)
		}
		fresh := openStore(t, d.AfterCrash(nil, 0))
		want := v.only(1, 2, 3)
		if addErr == nil {
			want = v
		}
		checkVersions(t, fresh, "f", want, v)
		if t.Failed() {
			t.Fatalf("at read %d", n)
		}
	}
}
