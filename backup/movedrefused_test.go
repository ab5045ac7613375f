package backup

import (
	"errors"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

// held is what the quarantine has, by path and content, and how often each was
// refused.
type held map[string]map[string]int64

func heldBy(t *testing.T, s *Store) held {
	t.Helper()
	got := held{}
	list, err := s.Rejected("")
	if err != nil {
		t.Errorf("list quarantine: %v", err)
	}
	for _, r := range list {
		if got[r.Path] == nil {
			got[r.Path] = map[string]int64{}
		}
		got[r.Path][readRejected(t, s, r.ID)] += r.Count
	}
	return got
}

func TestMovedTakesTheQuarantine(t *testing.T) {
	minute := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }
	for _, tt := range []struct {
		name   string
		refuse [][2]string // path and content
		old    string
		new    string
		want   held
	}{
		{"file", [][2]string{{"a", "{"}, {"a", "["}, {"a", "{"}}, "a", "x/b", held{"x/b": {"{": 2, "[": 1}}},
		{"onto another", [][2]string{{"a", "{"}, {"b", "["}}, "a", "b", held{"b": {"{": 1, "[": 1}}},
		{"the same content", [][2]string{{"a", "{"}, {"a", "("}, {"b", "{"}}, "a", "b", held{"b": {"{": 2, "(": 1}}},
		{"tree", [][2]string{{"a/f", "{"}, {"a/d/g", "["}, {"ab", "("}}, "a", "z",
			held{"z/f": {"{": 1}, "z/d/g": {"[": 1}, "ab": {"(": 1}}},
		{"tree into another", [][2]string{{"a/f", "{"}, {"b/f", "["}, {"a/d/g", "("}, {"b/d/g", "("}}, "a", "b",
			held{"b/f": {"{": 1, "[": 1}, "b/d/g": {"(": 2}}},
		{"nothing", [][2]string{{"c", "{"}}, "a", "b", held{"c": {"{": 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			scene{
				atomic: true,
				before: func(t *testing.T, s *Store) {
					for i, r := range tt.refuse {
						mustRefuse(t, s, r[0], minute(i), r[1])
					}
				},
				work: func(s *Store) error { return s.Moved(tt.old, tt.new) },
				after: func(t *testing.T, s *Store, done bool) {
					contents := map[string]bool{}
					for path, all := range heldBy(t, s) {
						for content := range all {
							contents[content] = true
							if _, ok := tt.want[path][content]; done && !ok {
								t.Errorf("%q is still held for %s", content, path)
							}
						}
					}
					for _, all := range tt.want {
						for content := range all {
							if !contents[content] {
								t.Errorf("%q is lost", content)
							}
						}
					}
				},
			}.sweep(t)
			s := openStore(t, disktest.New())
			for i, r := range tt.refuse {
				mustRefuse(t, s, r[0], minute(i), r[1])
			}
			if err := s.Moved(tt.old, tt.new); err != nil {
				t.Fatal(err)
			}
			wantHeld(t, s, tt.want)
			wantHeld(t, openStore(t, s.d), tt.want)
			rep, err := s.Verify(t.Context(), nil)
			if err != nil || len(rep.Damage) > 0 {
				t.Errorf("verify: %+v, %v", rep.Damage, err)
			}
		})
	}
}

func wantHeld(t *testing.T, s *Store, want held) {
	t.Helper()
	got := heldBy(t, s)
	if len(got) != len(want) {
		t.Errorf("contents of %d paths, want %d: %v", len(got), len(want), got)
	}
	for path, all := range want {
		for content, count := range all {
			if got[path][content] != count {
				t.Errorf("%q of %s was refused %d times, want %d", content, path, got[path][content], count)
			}
		}
	}
}

func TestMovedKeepsCountsThatWereHeldBack(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	for range 5 {
		mustRefuse(t, s, "a", t0, "{")
	}
	if err := s.Moved("a", "b"); err != nil {
		t.Fatal(err)
	}
	want := held{"b": {"{": 5}}
	wantHeld(t, s, want)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantHeld(t, openStore(t, d), want)
	mustRefuse(t, s, "b", t0.Add(time.Hour), "{")
	wantHeld(t, s, held{"b": {"{": 6}})
}

func TestMovedLeavesADamagedNoteAndTakesTheOthers(t *testing.T) {
	d := disktest.New()
	s := openStore(t, d)
	bad := mustRefuse(t, s, "a", t0, "{")
	mustRefuse(t, s, "a", t0.Add(time.Minute), "[")
	mustRefuse(t, s, "b", t0, "(")
	n, err := s.byID(bad.ID)
	if err != nil {
		t.Fatal(err)
	}
	d.Corrupt(n.base+noteSuffix, 3, 1)
	if err := s.Moved("a", "b"); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
	if got := heldByPath(t, s, "b"); got["["] != 1 || got["("] != 1 {
		t.Errorf("b holds %v, want the content that is good and its own", got)
	}
	if left := d.Tree(quarantineLayout.file("a")); len(left) != 2 {
		t.Errorf("%d files are left at the old path, want the damaged note and its content", len(left))
	}
}

func heldByPath(t *testing.T, s *Store, path string) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	for _, r := range mustRejected(t, s, path) {
		got[readRejected(t, s, r.ID)] = r.Count
	}
	return got
}

// A content whose note is damaged can't be shown to anybody: refused again, it
// must be kept again.
func TestRefusedAgainBesideADamagedNote(t *testing.T) {
	for name, damage := range map[string]func(d *disktest.Disk, base string){
		"note":            func(d *disktest.Disk, base string) { d.Corrupt(base+noteSuffix, 5, 1) },
		"missing content": func(d *disktest.Disk, base string) { _ = d.Remove("test", base+packSuffix) },
	} {
		t.Run(name, func(t *testing.T) {
			d := disktest.New()
			s := openStore(t, d)
			r := mustRefuse(t, s, "f", t0, "{")
			n, err := s.byID(r.ID)
			if err != nil {
				t.Fatal(err)
			}
			damage(d, n.base)
			for i := range 3 {
				again := mustRefuse(t, s, "f", t0.Add(time.Duration(i+1)*time.Hour), "{")
				if got := readRejected(t, s, again.ID); got != "{" || again.Count != int64(i+1) {
					t.Errorf("got %q, refused %d times, want %d", got, again.Count, i+1)
				}
			}
		})
	}
}
