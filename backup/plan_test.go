package backup

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// series makes one version every step, the last of them at t0.
func series(n int, step time.Duration) []Entry {
	var entries []Entry
	for i := range n {
		entries = append(entries, Entry{
			Tx: uint64(i + 1), Time: t0.Add(-time.Duration(n-1-i) * step), Size: 1000, Stored: 100,
		})
	}
	return entries
}

func format(plan []Decision) string {
	var b strings.Builder
	dropped := 0
	for _, d := range plan {
		if !d.Keep && len(d.Reasons) == 0 {
			dropped++
			continue
		}
		if dropped > 0 {
			fmt.Fprintf(&b, "… %d dropped\n", dropped)
			dropped = 0
		}
		what := "drop"
		if d.Keep {
			what = "keep"
		}
		kind := ""
		if d.Entry.Removed {
			kind = " removed"
		}
		if d.Entry.Invalid {
			kind = " invalid"
		}
		fmt.Fprintf(&b, "%s %4d %s %d bytes%s: ", what, d.Entry.Tx, d.Entry.Time.Format("2006-01-02 15:04"), d.Entry.Size, kind)
		for i, r := range d.Reasons {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(string(r))
		}
		b.WriteString("\n")
	}
	if dropped > 0 {
		fmt.Fprintf(&b, "… %d dropped\n", dropped)
	}
	return b.String()
}

func TestPlanGolden(t *testing.T) {
	const day = 24 * time.Hour
	with := func(entries []Entry, change func([]Entry)) []Entry {
		change(entries)
		return entries
	}
	bury := func(entries []Entry, after int, at time.Time) []Entry {
		return slices.Insert(entries, after+1, Entry{Tx: entries[after].Tx, Time: at, Removed: true})
	}
	sizes := func(n ...int64) []Entry {
		return with(series(len(n), time.Hour), func(e []Entry) {
			for i := range e {
				e[i].Size = n[i]
			}
		})
	}
	berlin := time.FixedZone("UTC+2", 2*3600)
	for _, tt := range []struct {
		name    string
		entries []Entry
		policy  Policy
		now     time.Time
	}{
		{"nothing", nil, DefaultPolicy(), t0},
		{"no rules", series(5, time.Hour), Policy{}, t0},
		{"last", series(9, time.Minute), Policy{Last: 3}, t0},
		{"fewer than last", series(2, time.Minute), Policy{Last: 3}, t0},
		{"hourly", series(200, 13*time.Minute), Policy{Hourly: day}, t0},
		{"daily", series(200, 5*time.Hour), Policy{Daily: 31 * day}, t0},
		{"daily elsewhere", series(200, 5*time.Hour), Policy{Daily: 31 * day}, t0.In(berlin)},
		{"weekly", series(100, 31*time.Hour), Policy{Weekly: 60 * day}, t0},
		{"monthly", series(100, 5*day), Policy{Monthly: 400 * day}, t0},
		{"yearly", series(100, 50*day), Policy{Yearly: 3000 * day}, t0},
		{"default every minute", series(5000, time.Minute), DefaultPolicy(), t0},
		{"default every six hours", series(4000, 6*time.Hour), DefaultPolicy(), t0},
		{"clock ahead", series(5, time.Hour), Policy{Hourly: day}, t0.Add(-day)},
		{"pinned", with(series(9, time.Hour), func(e []Entry) { e[2].Pinned, e[4].Pinned = true, true }), Policy{Last: 1}, t0},
		{"shrink", sizes(9000, 10000, 900, 9000, 8000, 8100), Policy{Last: 1}, t0},
		{"emptied", sizes(5000, 5000, 0, 0, 5000), Policy{Last: 1}, t0},
		{"small shrink", sizes(1000, 0, 1025, 1, 1024, 0, 10), Policy{Last: 1}, t0},
		{"size bound", series(10, time.Hour), Policy{Last: 8, MaxBytes: 350}, t0},
		{"size bound and pins", with(series(10, time.Hour), func(e []Entry) { e[0].Pinned = true }), Policy{Last: 8, MaxBytes: 150}, t0},
		{"invalid newest", with(series(6, time.Hour), func(e []Entry) { e[5].Invalid, e[4].Invalid = true, true }), Policy{}, t0},
		{"invalid in a slot", with(series(6, 20*time.Minute), func(e []Entry) { e[1].Invalid, e[4].Invalid = true, true }), Policy{Hourly: day}, t0},
		{"all invalid", with(series(3, time.Hour), func(e []Entry) { e[0].Invalid, e[1].Invalid, e[2].Invalid = true, true, true }), Policy{}, t0},
		{"removed", bury(series(5, time.Hour), 4, t0.Add(time.Hour)), Policy{Last: 2}, t0.Add(2 * time.Hour)},
		{"removed and back", bury(bury(series(7, time.Hour), 4, t0.Add(-90*time.Minute)), 1, t0.Add(-270*time.Minute)), Policy{Last: 3}, t0},
		{"forgotten", bury(series(3, time.Hour), 2, t0), Policy{Last: 2, Forget: day}, t0.Add(day)},
		{"forgotten but pinned", bury(with(series(3, time.Hour), func(e []Entry) { e[1].Pinned = true }), 2, t0), Policy{Forget: day}, t0.Add(day)},
		{"not forgotten yet", bury(series(3, time.Hour), 2, t0), Policy{Last: 2, Forget: day}, t0.Add(day - 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := format(Plan(tt.entries, tt.policy, tt.now))
			file := filepath.Join("testdata", "plan", strings.ReplaceAll(tt.name, " ", "-")+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// drawEntries draws a history: times that mostly grow, sizes of all kinds.
func drawEntries(t *rapid.T) []Entry {
	var entries []Entry
	at := t0
	for i := range rapid.IntRange(0, 40).Draw(t, "n") {
		at = at.Add(time.Duration(rapid.SampledFrom([]int{-5, 1, 7, 30, 100, 3000, 50000}).Draw(t, "minutes")) * time.Minute)
		e := Entry{
			Tx: uint64(i + 1), Time: at,
			Size:    rapid.SampledFrom([]int64{0, 1, 100, 5000, 100000}).Draw(t, "size"),
			Stored:  rapid.Int64Range(1, 500).Draw(t, "stored"),
			Pinned:  rapid.IntRange(0, 9).Draw(t, "pin") == 0,
			Invalid: rapid.IntRange(0, 5).Draw(t, "invalid") == 0,
		}
		entries = append(entries, e)
		if rapid.IntRange(0, 6).Draw(t, "remove") == 0 {
			entries = append(entries, Entry{Tx: e.Tx, Time: at.Add(1), Removed: true})
		}
	}
	return entries
}

func drawPolicy(t *rapid.T) Policy {
	window := func(name string) time.Duration {
		return time.Duration(rapid.SampledFrom([]int{0, 1, 24, 1000}).Draw(t, name)) * time.Hour
	}
	return Policy{
		Last: rapid.IntRange(0, 5).Draw(t, "last"), Hourly: window("hourly"), Daily: window("daily"),
		Weekly: window("weekly"), Monthly: window("monthly"), Yearly: window("yearly"),
		MaxBytes: rapid.SampledFrom([]int64{0, 1, 1000}).Draw(t, "max"), Forget: window("forget"),
	}
}

func kept(plan []Decision) []Entry {
	var entries []Entry
	for _, d := range plan {
		if d.Keep {
			entries = append(entries, d.Entry)
		}
	}
	return entries
}

func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries, p := drawEntries(t), drawPolicy(t)
		now := t0.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "now")) * time.Hour)
		plan := Plan(entries, p, now)
		if len(plan) != len(entries) {
			t.Fatalf("%d decisions for %d entries", len(plan), len(entries))
		}
		for i, d := range plan {
			if diff := cmp.Diff(entries[i], d.Entry); diff != "" {
				t.Fatalf("entry %d changed: %s", i, diff)
			}
			if d.Keep && len(d.Reasons) == 0 {
				t.Fatalf("version %d is kept for no reason", d.Entry.Tx)
			}
			if d.Entry.Pinned && !d.Keep {
				t.Fatalf("pinned version %d is dropped", d.Entry.Tx)
			}
		}
		again := Plan(kept(plan), p, now)
		if diff := cmp.Diff(kept(plan), kept(again)); diff != "" {
			t.Fatalf("planning again is not the same (-once +twice):\n%s", diff)
		}
		if len(entries) == 0 || p.forgets(entries, now) {
			return
		}
		if !plan[len(plan)-1].Keep {
			t.Fatal("the newest entry is dropped")
		}
		checkGuards(t, plan)
		tighter := p
		tighter.Last, tighter.Hourly, tighter.Yearly = 0, 0, 0
		if p.MaxBytes == 0 && len(kept(Plan(entries, tighter, now))) > len(kept(plan)) {
			t.Fatal("fewer rules keep more")
		}
	})
}

func checkGuards(t *rapid.T, plan []Decision) {
	var versions []Decision
	for _, d := range plan {
		if !d.Entry.Removed {
			versions = append(versions, d)
		}
	}
	good := slices.ContainsFunc(versions, func(d Decision) bool { return !d.Entry.Invalid })
	for i := len(versions) - 1; i >= 0; i-- {
		if !versions[i].Entry.Invalid || !good {
			if !versions[i].Keep {
				t.Fatal("the last known good version is dropped")
			}
			break
		}
	}
	shrinks := 0
	for i := len(versions) - 1; i > 0 && shrinks < maxShrinks; i-- {
		from, to := versions[i-1].Entry.Size, versions[i].Entry.Size
		if from-to <= 1024 || to*10 >= from {
			continue
		}
		shrinks++
		if !versions[i-1].Keep {
			t.Fatalf("the version before a shrink from %d to %d is dropped", from, to)
		}
	}
}

// TestPlanBoundsShrinks: a file that is emptied again and again costs no more
// than the rules and a fixed number of versions.
func TestPlanBoundsShrinks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 200).Draw(t, "versions")
		entries := series(n, time.Minute)
		big := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "big")
		for i := range entries {
			if entries[i].Size = 0; big[i] {
				entries[i].Size = 5000
			}
		}
		p := Policy{Last: rapid.IntRange(0, 9).Draw(t, "last")}
		plan := Plan(entries, p, t0)
		checkGuards(t, plan)
		if got, bound := len(kept(plan)), 2*maxShrinks+p.Last+2; got > bound {
			t.Fatalf("%d of %d versions are kept, want at most %d", got, n, bound)
		}
		newest := -1
		for i := 1; i < n; i++ {
			if big[i-1] && !big[i] {
				newest = i - 1
			}
		}
		if newest >= 0 && !plan[newest].Keep {
			t.Fatal("the version before the newest shrink is dropped")
		}
	})
}
