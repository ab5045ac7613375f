package main

import (
	"errors"
	"testing"
	"time"

	"intactfs/store"

	"pgregory.net/rapid"
)

func TestSplitVersion(t *testing.T) {
	a := newApp()
	tests := []struct{ arg, file, version string }{
		{"a.json", "a.json", ""},
		{"a.json@12", "a.json", "12"},
		{"a.json@12.1", "a.json", "12.1"},
		{"a.json@~1", "a.json", "~1"},
		{"a.json@~", "a.json", "~"},
		{"a.json@yesterday 14:00", "a.json", "yesterday 14:00"},
		{"a.json@2026-01-04T12:00:00Z", "a.json", "2026-01-04T12:00:00Z"},
		{"me@home.json", "me@home.json", ""},
		{"me@home.json@3", "me@home.json", "3"},
		{"a.json@nonsense", "a.json@nonsense", ""},
		{"@3", "@3", ""},
		{"a.json@", "a.json@", ""},
	}
	for _, tt := range tests {
		if file, version := a.splitVersion(tt.arg); file != tt.file || version != tt.version {
			t.Errorf("%q is %q and %q, want %q and %q", tt.arg, file, version, tt.file, tt.version)
		}
	}
}

// testLog has two versions, a removal, and two more.
func testLog() []store.Entry {
	day := func(d int) time.Time { return time.Date(2026, 3, d, 12, 0, 0, 0, time.UTC) }
	return []store.Entry{
		{Tx: 16, Version: "1", Time: day(20)},
		{Tx: 32, Version: "2", Time: day(22)},
		{Tx: 32, Version: "2", Time: day(24), Removed: true},
		{Tx: 48, Version: "3", Time: day(26)},
		{Tx: 49, Version: "3.1", Time: day(28)},
	}
}

// TestVersionsCanBeTypedAgain: every number that log prints names its version.
func TestVersionsCanBeTypedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newApp()
		tx := rapid.Uint64Range(0, 1<<60).Draw(t, "tx")
		file := rapid.StringMatching(`[a-z@~.]{1,12}`).Draw(t, "file")
		got, version := a.splitVersion(file + "@" + store.FormatTx(tx))
		spec, err := a.parseVersion(version)
		if got != file || err != nil || spec.kind != 'n' || spec.tx != tx {
			t.Fatalf("%s of %q is %+v, %v of %q", store.FormatTx(tx), file, spec, err, got)
		}
	})
}

func TestPick(t *testing.T) {
	a := newApp()
	tests := []struct{ spec, want string }{
		{"1", "1"}, {"3.1", "3.1"}, {"2", "2"},
		{"~0", "3.1"}, {"~1", "3"}, {"~", "3"}, {"~2", "2"}, {"~3", "1"},
		{"2026-03-21", "1"}, {"2026-03-22T12:00:00Z", "2"}, {"yesterday 13:00", "3.1"}, {"2d ago", "3"},
	}
	for _, tt := range tests {
		spec, err := a.parseVersion(tt.spec)
		if err != nil {
			t.Errorf("%s: %v", tt.spec, err)
			continue
		}
		if e, err := spec.pick(testLog()); err != nil || e.Version != tt.want || e.Removed {
			t.Errorf("%s is %+v, %v, want %s", tt.spec, e, err, tt.want)
		}
	}
	for _, text := range []string{"7", "~4", "2026-03-01", "2026-03-25"} {
		spec, err := a.parseVersion(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if e, err := spec.pick(testLog()); !errors.Is(err, store.ErrNoVersion) {
			t.Errorf("%s is %+v, %v, want none", text, e, err)
		}
	}
	for _, text := range []string{"", "x", "~x", "~-1"} {
		if spec, err := a.parseVersion(text); err == nil {
			t.Errorf("%q is %+v", text, spec)
		}
	}
	if e, err := beforeNow(testLog()); err != nil || e.Version != "3" {
		t.Errorf("before now is %+v, %v", e, err)
	}
	if e, err := beforeNow(testLog()[:3]); err != nil || e.Version != "2" {
		t.Errorf("before the removal is %+v, %v", e, err)
	}
	if _, err := beforeNow(testLog()[:1]); !errors.Is(err, store.ErrNoVersion) {
		t.Errorf("before the first is %v", err)
	}
}
