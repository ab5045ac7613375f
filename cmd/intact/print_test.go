package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"intactfs/backup"
	"intactfs/control"
	"intactfs/fs"
	"intactfs/store"
)

// printed is what f writes to standard output.
func printed(t *testing.T, f func(a *app) error) string {
	t.Helper()
	var b bytes.Buffer
	a := newApp()
	a.stdout = &b
	if err := f(a); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrintLog(t *testing.T) {
	log := testLog()
	log[0].Size, log[0].Pinned = 2048, true
	log[1].Writer = fs.Writer{Program: "app", PID: 7}
	log[1].Invalid, log[1].Note = true, "changed beneath"
	log[4].Why = []backup.Reason{"newest", "last"}
	got := printed(t, func(a *app) error { return a.printLog(log, true, map[uint64]string{49: "+1 -0 ~2"}) })
	want := `VERSION  TIME                 SIZE     WRITER  NOTE                        CHANGES   KEPT FOR
3.1      2026-03-28 12:00:00  0 B      -                                   +1 -0 ~2  newest, last
3        2026-03-26 12:00:00  0 B      -                                             nothing: goes with the next pruning
2        2026-03-24 12:00:00  removed  -                                             nothing: goes with the next pruning
2        2026-03-22 12:00:00  0 B      app[7]  not valid, changed beneath            nothing: goes with the next pruning
1        2026-03-20 12:00:00  2.0 KiB  -       pinned                                nothing: goes with the next pruning
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPrintStatus(t *testing.T) {
	since := time.Date(2026, 3, 29, 9, 0, 0, 0, time.UTC)
	base := store.Status{Durability: store.Full, Since: since, Commits: 1234, Pending: 2, PendingB: 4096, Free: 1 << 30}
	tests := []struct {
		name string
		s    mountStatus
		info *store.Status
		want string
	}{
		{"dead", mountStatus{Dir: "/d", Mount: "/d", State: "dead"}, nil, "/d: dead: clear it with intact unmount /d\n"},
		{"unreachable", mountStatus{Dir: "/d", Mount: "/m", State: "unreachable", Error: "no answer"}, nil, "/d on /m: unreachable: no answer\n"},
		{"serving", mountStatus{Dir: "/d", Mount: "/m", State: "serving"}, &base, `/d on /m: serving
  full durability, process 7, since 2026-03-29 09:00:00
  1,234 commits, 2 not yet in their place (4.0 KiB), 1.0 GiB free
`},
		{"not-mounted", mountStatus{Dir: "/d", State: "not mounted"}, &base, `/d: not mounted
  full durability, process 7, since 2026-03-29 09:00:00
  2 commits only in the journal: intact recover, or the next mount, brings them to their place
`},
		{"in-trouble", mountStatus{Dir: "/d", Mount: "/d", State: "serving"}, &store.Status{
			Durability: store.Relaxed, Since: since, ReadOnly: "journal damaged", Stopped: "a sync failed", Failing: "no space",
			Unparsed: []string{"x.json"}, Counts: map[store.Kind]int64{store.Committed: 9, store.Refused: 2, store.Adopted: 1},
			Events: []store.Event{{Kind: store.Refused, Time: since, Path: "a.json", Line: 3, Column: 4, Message: "torn",
				Who: fs.Writer{Program: "app", PID: 9}}},
		}, `/d: serving
  relaxed durability, process 7, since 2026-03-29 09:00:00
  0 commits, 0 not yet in their place (0 B), 0 B free
  read-only: journal damaged
  a sync failed
  no space
  x.json: never parsed, so only emptiness and killed writers are guarded
  adopted: 1
  refused: 2
  2026-03-29 09:00:00  refused  a.json:3:4: torn (app, process 9)
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.info != nil {
				tt.s.Info = &control.StatusResult{Dir: tt.s.Dir, Mount: tt.s.Mount, PID: 7, Store: *tt.info}
			}
			got := printed(t, func(a *app) error { return a.printStatus(tt.s) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOnlyTheLatestEvents: status stays short.
func TestOnlyTheLatestEvents(t *testing.T) {
	var info control.StatusResult
	for range 25 {
		info.Store.Events = append(info.Store.Events, store.Event{Kind: store.Refused, Path: "a.json", Message: "old"})
	}
	info.Store.Events[24].Message = "newest"
	lines := newApp().statusLines(&info)
	if n := len(lines); n != 11 || !strings.Contains(lines[n-1], "newest") {
		t.Errorf("%d lines, the last is %q, want the newest of ten", n, lines[n-1])
	}
}

func TestPrintVerify(t *testing.T) {
	p := []store.Problem{{Path: "a.json", What: "is missing"}}
	tests := []struct {
		name string
		r    store.VerifyReport
		want string
	}{
		{"sound", store.VerifyReport{Files: 1, Bytes: 10, Versions: 2}, "ok: 1 file (10 B), 2 versions\n"},
		{"pending", store.VerifyReport{Files: 2, Versions: 1, Pending: 1}, "ok: 2 files (0 B), 1 version, 1 commit only in the journal\n"},
		{"warned", store.VerifyReport{Warnings: p}, "warning: a.json: is missing\nok: 0 files (0 B), 0 versions\n"},
		{"wrong", store.VerifyReport{Problems: p}, "wrong: a.json: is missing\nnot ok: 0 files (0 B), 0 versions\n"},
		{"damaged", store.VerifyReport{Damage: p}, "damaged: a.json: is missing\nnot ok: 0 files (0 B), 0 versions\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := printed(t, func(a *app) error { return a.printVerify(tt.r) })
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestOutputThatFails: a full disk below standard output is an error of the
// command, not silence.
func TestOutputThatFails(t *testing.T) {
	full := errors.New("no space left")
	a := newApp()
	a.stdout = failing{full}
	for name, f := range map[string]func() error{
		"log":    func() error { return a.printLog(testLog(), false, nil) },
		"status": func() error { return a.printStatus(mountStatus{Dir: "/d", State: "dead"}) },
		"verify": func() error { return a.printVerify(store.VerifyReport{}) },
		"diff":   func() error { return a.printDiff("a.json", "1", []byte(`{"a":1}`), "2", []byte(`{"a":2}`)) },
		"lines":  func() error { return a.printDiff("a.txt", "1", []byte("1\n"), "2", []byte("2\n")) },
		"json":   func() error { return a.printJSON(1) },
	} {
		if err := f(); !errors.Is(err, full) {
			t.Errorf("%s: %v, want %v", name, err, full)
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestBar moves the clock and looks at what a terminal shows.
func TestBar(t *testing.T) {
	tests := []struct {
		name  string
		steps [][2]int64 // done and total, one a second
		want  []string   // shown at some time
		not   string
	}{
		{"quick", [][2]int64{{1, 1}}, nil, "working"},
		{"half", [][2]int64{{0, 10}, {5, 10}}, []string{"working", "50%"}, "100%"},
		{"done", [][2]int64{{0, 10}, {5, 10}, {10, 10}}, []string{"50%"}, ""},
		{"more-than-all", [][2]int64{{0, 10}, {5, 10}, {99, 10}}, []string{"50%"}, "990%"},
		{"nothing-to-do", [][2]int64{{0, 0}, {0, 0}, {0, 0}}, nil, "NaN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var b bytes.Buffer
			a := newApp()
			a.stderr, a.terminal, a.now = &b, true, func() time.Time { return now }
			p := a.newProgress("working")
			for i, s := range tt.steps {
				if i > 0 {
					now = now.Add(time.Second)
					p.mu.Lock()
					p.bar = nil // the library looks at a clock of its own, and shows a new bar at once
					p.mu.Unlock()
				}
				p.at(s[0], s[1])
			}
			p.end()
			for _, want := range tt.want {
				if !strings.Contains(b.String(), want) {
					t.Errorf("shown %q, want %q in it", &b, want)
				}
			}
			if tt.not != "" && strings.Contains(b.String(), tt.not) {
				t.Errorf("shown %q, want no %q", &b, tt.not)
			}
		})
	}
}

// TestBarOfSeveral is told by several goroutines at once.
func TestBarOfSeveral(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	a := newApp()
	a.stderr, a.terminal, a.now = &b, true, func() time.Time { return now }
	p := a.newProgress("working")
	now = now.Add(time.Minute)
	var wg sync.WaitGroup
	for n := range int64(8) {
		wg.Go(func() {
			for i := range int64(50) {
				p.at(n*50+i, 400)
			}
		})
	}
	wg.Wait()
	p.end()
	p.end()
	if !strings.Contains(b.String(), "working") {
		t.Errorf("shown %q", &b)
	}
}

// TestRunCommandIn is a table of how a command may end.
func TestRunCommandIn(t *testing.T) {
	tests := []struct {
		name string
		argv []string
		code int
		out  string
		hint string
	}{
		{"well", []string{"sh", "-c", "echo hallo"}, 0, "hallo\n", ""},
		{"badly", []string{"sh", "-c", "echo hallo; exit 9"}, 9, "hallo\n", ""},
		{"killed", []string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
		{"terminated", []string{"sh", "-c", "kill $$"}, 143, "", ""},
		{"not-there", []string{"no-such-program-anywhere"}, 1, "", "intact run DIR -- CMD"},
		{"reads-input", []string{"cat"}, 0, "typed", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			a := newApp()
			a.stdout, a.stdin = &out, strings.NewReader("typed")
			err := a.runCommandIn(t.TempDir(), tt.argv)
			if got := exitCode(err); got != tt.code {
				t.Errorf("exit code %d (%v), want %d", got, err, tt.code)
			}
			if out.String() != tt.out {
				t.Errorf("output %q, want %q", &out, tt.out)
			}
			if tt.hint != "" && !strings.Contains(hintFor(err), tt.hint) {
				t.Errorf("hint %q, want %q", hintFor(err), tt.hint)
			}
		})
	}
	dir := t.TempDir()
	var out bytes.Buffer
	a := newApp()
	a.stdout = &out
	if err := a.runCommandIn(dir, []string{"pwd", "-P"}); err != nil {
		t.Error(err)
	}
	got, err1 := os.Stat(strings.TrimSpace(out.String()))
	want, err2 := os.Stat(dir)
	if err1 != nil || err2 != nil || !os.SameFile(got, want) {
		t.Errorf("it works in %s, want %s", &out, dir)
	}
}
