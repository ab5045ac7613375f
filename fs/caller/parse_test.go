package caller

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStatus(t *testing.T) {
	const good = "Name:\tmy: prog\nTgid:\t12\nPid:\t13\nUid:\t1\t2\t3\t4\nFDSize:\t64\nGroups:\t0 \n"
	tests := []struct {
		name, text string
		want       status
		bad        bool
	}{
		{"good", good, status{"my: prog", 12, 2, 64}, false},
		{"exiting", strings.Replace(good, "64", "0", 1), status{"my: prog", 12, 2, 0}, false},
		{"empty", "", status{}, true},
		{"cut", "Name:\tx\nTgid:\t12\n", status{}, true},
		{"no number", strings.Replace(good, "12", "twelve", 1), status{}, true},
		{"short Uid", strings.Replace(good, "1\t2\t3\t4", "1", 1), status{}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseStatus([]byte(tt.text))
			if got != tt.want || (err != nil) != tt.bad {
				t.Errorf("got %+v, %v; want %+v, error %v", got, err, tt.want, tt.bad)
			}
		})
	}
}

func TestParseFdinfo(t *testing.T) {
	tests := []struct {
		name, text string
		writes     bool
		bad        bool
	}{
		{"reader", "pos:\t7\nflags:\t0100000\nmnt_id:\t4\nino:\t5\n", false, false},
		{"writer", "pos:\t7\nflags:\t0100001\nmnt_id:\t4\nino:\t5\nlock:\t1: FLOCK\n", true, false},
		{"both", "pos:\t7\nflags:\t02100002\nmnt_id:\t4\nino:\t5\n", true, false},
		{"path", "pos:\t7\nflags:\t012000001\nmnt_id:\t4\nino:\t5\n", false, false},
		{"old kernel", "pos:\t7\nflags:\t0100001\nmnt_id:\t4\n", false, true},
		{"no number", "pos:\t7\nflags:\t9\nmnt_id:\t4\nino:\t5\n", false, true},
		{"no position", "pos:\tx\nflags:\t0100001\nmnt_id:\t4\nino:\t5\n", false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseFdinfo([]byte(tt.text))
			if (err != nil) != tt.bad || got.writes() != tt.writes {
				t.Fatalf("got %+v, %v; want writes %v, error %v", got, err, tt.writes, tt.bad)
			}
			if !tt.bad && (got.mount != 4 || got.ino != 5 || got.pos != 7) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestParseStat(t *testing.T) {
	stat := func(name, flags, code string) string {
		f := make([]string, 50)
		for i := range f {
			f[i] = "0"
		}
		f[0], f[6], f[49] = "Z", flags, code
		return "12 (" + name + ") " + strings.Join(f, " ") + "\n"
	}
	tests := []struct {
		name, text string
		flags      uint64
		code       int
		bad        bool
	}{
		{"killed", stat("a", "1028", "9"), 1028, 9, false},
		{"odd name", stat("a) b (c", "4", "768"), 4, 768, false},
		{"empty", "", 0, 0, true},
		{"cut", "12 (a) Z 1 2 3", 0, 0, true},
		{"no number", stat("a", "x", "9"), 0, 0, true},
		{"no code", stat("a", "4", "x"), 0, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			flags, code, err := parseStat([]byte(tt.text))
			if flags != tt.flags || code != tt.code || (err != nil) != tt.bad {
				t.Errorf("got %d, %d, %v", flags, code, err)
			}
		})
	}
}

func TestParseMountinfo(t *testing.T) {
	const text = `22 27 0:21 / /proc rw - proc proc rw
short line
x 27 0:21 / /bad rw - proc proc rw
30 27 0:54 / /srv/with\040space\134 rw shared:1 - fuse.intact /srv rw
`
	got := parseMountinfo([]byte(text))
	if len(got) != 2 || got[1].ID != 30 || got[1].Dev != "0:54" || got[1].point != `/srv/with space\` {
		t.Errorf("got %+v", got)
	}
}

// While one look is under way all that come wait for one other, which begins
// after they came.
func TestGroupShares(t *testing.T) {
	var g group
	var looks atomic.Int64
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	f := func() look {
		n := looks.Add(1)
		entered <- struct{}{}
		<-gate
		return look{files: make([]openFile, n)}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if l := g.do(1, f); len(l.files) != 1 {
			t.Errorf("first call got look %d", len(l.files))
		}
	})
	<-entered
	const callers = 32
	for range callers {
		wg.Go(func() {
			if l := g.do(1, f); len(l.files) == 1 {
				t.Error("a call got a look that began before it")
			}
		})
	}
	wg.Go(func() {
		if l := g.do(2, func() look { return look{known: true} }); !l.known {
			t.Error("another key was not looked at")
		}
	})
	close(gate)
	wg.Wait()
	// Those that came after the second look began took a third, and so on;
	// but all 32 never had one each unless they came one by one.
	if n := looks.Load(); n < 2 || n > callers+1 {
		t.Errorf("%d looks", n)
	}
	eventually(t, "no slot is left", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.slots) == 0
	})
}

// Held back until all wait, 32 callers need exactly one more look.
func TestGroupSharesOneLook(t *testing.T) {
	var g group
	var looks atomic.Int64
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	f := func() look {
		looks.Add(1)
		entered <- struct{}{}
		<-gate
		return look{}
	}
	var wg sync.WaitGroup
	wg.Go(func() { g.do(1, f) })
	<-entered
	g.mu.Lock()
	g.slots[1].next = &flight{done: make(chan struct{})}
	shared := g.slots[1].next
	g.mu.Unlock()
	for range 32 {
		wg.Go(func() { <-shared.done })
	}
	close(gate)
	wg.Wait()
	if n := looks.Load(); n != 2 {
		t.Errorf("%d looks, want 2", n)
	}
}

func BenchmarkTGID(b *testing.B) {
	tab := New(Options{})
	defer tab.Close()
	for b.Loop() {
		tab.TGID(self())
	}
}

func BenchmarkWho(b *testing.B) {
	tab := New(Options{})
	for b.Loop() {
		tab.Who(self())
	}
}

func BenchmarkCopies(b *testing.B) {
	tab := New(Options{})
	for b.Loop() {
		tab.Copies(self(), 1, unix.O_WRONLY)
	}
}

func BenchmarkFateAlive(b *testing.B) {
	tab := New(Options{})
	for b.Loop() {
		tab.Fate(self())
	}
}

func BenchmarkCopyHolders(b *testing.B) {
	tab := New(Options{})
	for b.Loop() {
		tab.CopyHolders(1<<60, unix.O_WRONLY)
	}
}

func BenchmarkCopyHolders32(b *testing.B) {
	tab := New(Options{})
	for b.Loop() {
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() { tab.CopyHolders(1<<60, unix.O_WRONLY) })
		}
		wg.Wait()
	}
}
