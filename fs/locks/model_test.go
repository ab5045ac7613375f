package locks

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

const width = 24 // bytes of the model's file

// model is who has which lock on each byte of one inode.
type model [width]map[uint64]Type

func (m *model) conflict(l Lock) (first int, ok bool) {
	for i := l.Start; i <= l.End; i++ {
		for owner, typ := range m[i] {
			if owner != l.Owner && (typ == Exclusive || l.Type == Exclusive) {
				return int(i), true
			}
		}
	}
	return 0, false
}

func (m *model) clear(owner, start, end uint64) {
	for i := start; i <= end; i++ {
		delete(m[i], owner)
	}
}

func (m *model) place(l Lock) {
	for i := l.Start; i <= l.End; i++ {
		if m[i] == nil {
			m[i] = map[uint64]Type{}
		}
		m[i][l.Owner] = l.Type
	}
}

// check compares the table with the model byte by byte, and looks at the
// table's own invariants.
func check(t *rapid.T, tab *Table, sp Space, m *model) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	var got model
	counts := map[uint64]int{}
	if f := tab.files[key{1, sp}]; f != nil {
		for i, h := range f.held {
			counts[h.Owner]++
			for _, o := range f.held[i+1:] {
				if h.conflicts(o) {
					t.Fatalf("held together: %+v and %+v", h, o)
				}
				touch := h.End+1 >= o.Start && o.End+1 >= h.Start
				if h.Owner == o.Owner && touch && (h.Type == o.Type || h.overlaps(o.Start, o.End)) {
					t.Fatalf("not merged: %+v and %+v", h, o)
				}
			}
			got.place(h)
		}
	}
	for i := range width {
		if len(got[i]) != len(m[i]) {
			t.Fatalf("byte %d: locks %v, want %v", i, got[i], m[i])
		}
		for owner, typ := range m[i] {
			if g, ok := got[i][owner]; !ok || g != typ {
				t.Fatalf("byte %d: locks %v, want %v", i, got[i], m[i])
			}
		}
	}
	for owner := range uint64(5) {
		if n := tab.counts[holder{sp, owner}]; n != counts[owner] {
			t.Fatalf("owner %d counted with %d locks, has %d", owner, n, counts[owner])
		}
	}
}

func TestPosixAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, m := New(), &model{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			l := Lock{
				Owner: rapid.Uint64Range(1, 4).Draw(t, "owner"),
				Type:  Type(rapid.IntRange(0, 1).Draw(t, "type")),
				Start: rapid.Uint64Range(0, width-1).Draw(t, "start"),
			}
			l.PID = uint32(l.Owner) * 100
			l.End = rapid.Uint64Range(l.Start, width-1).Draw(t, "end")
			first, conflict := m.conflict(l)
			if got, ok := tab.Test(1, Posix, l); ok != conflict {
				t.Fatalf("Test(%+v) = %+v, %v; want %v", l, got, ok, conflict)
			} else if ok && (int(max(got.Start, l.Start)) != first || got.Owner == l.Owner || got.PID != uint32(got.Owner)*100) {
				t.Fatalf("Test(%+v) = %+v, want one at %d", l, got, first)
			}
			switch rapid.SampledFrom([]string{"lock", "lock", "lock", "unlock", "release"}).Draw(t, "op") {
			case "lock":
				err := tab.Lock(nil, 1, Posix, l, rapid.Bool().Draw(t, "wait") && !conflict)
				if conflict != errors.Is(err, ErrWouldBlock) || !conflict && err != nil {
					t.Fatalf("Lock(%+v) = %v, conflict %v", l, err, conflict)
				}
				if !conflict {
					m.place(l)
				}
			case "unlock":
				tab.Unlock(1, Posix, l.Owner, l.Start, l.End)
				m.clear(l.Owner, l.Start, l.End)
			case "release":
				tab.ReleaseOwner(1, Posix, l.Owner)
				m.clear(l.Owner, 0, width-1)
			}
			check(t, tab, Posix, m)
			any, exclusive := false, false
			for i := l.Start; i <= l.End; i++ {
				typ, ok := m[i][l.Owner]
				any, exclusive = any || ok, exclusive || ok && typ == Exclusive
			}
			if tab.Holds(1, Posix, l.Owner, l.Start, l.End, true) != any ||
				tab.Holds(1, Posix, l.Owner, l.Start, l.End, false) != exclusive {
				t.Fatalf("Holds is wrong in %+v", l)
			}
		}
		for owner := range uint64(5) {
			tab.ReleaseOwner(1, Posix, owner)
		}
		if len(tab.files) != 0 || len(tab.counts) != 0 {
			t.Fatalf("%d files, %d counts left", len(tab.files), len(tab.counts))
		}
	})
}

func TestFlockAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tab, have := New(), map[uint64]Type{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			l := Lock{Owner: rapid.Uint64Range(1, 4).Draw(t, "owner"), Type: Type(rapid.IntRange(0, 1).Draw(t, "type")), End: Max}
			if rapid.Bool().Draw(t, "unlock") {
				tab.Unlock(1, Flock, l.Owner, 0, Max)
				delete(have, l.Owner)
				continue
			}
			conflict := false
			for owner, typ := range have {
				conflict = conflict || owner != l.Owner && (typ == Exclusive || l.Type == Exclusive)
			}
			err := tab.Lock(nil, 1, Flock, l, false)
			if conflict != errors.Is(err, ErrWouldBlock) || !conflict && err != nil {
				t.Fatalf("Lock(%+v) = %v, conflict %v", l, err, conflict)
			}
			if conflict {
				delete(have, l.Owner) // a conversion gives up the old lock
			} else {
				have[l.Owner] = l.Type
			}
			for owner := range uint64(5) {
				typ, want := have[owner]
				if tab.Holds(1, Flock, owner, 0, Max, true) != want ||
					tab.Holds(1, Flock, owner, 0, Max, false) != (want && typ == Exclusive) {
					t.Fatalf("Holds(%d) is wrong, want %v", owner, have)
				}
			}
		}
	})
}
