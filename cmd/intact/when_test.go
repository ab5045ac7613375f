package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("CET", 3600)
	}
	// The clocks of Berlin went forward at two o'clock that night.
	now := time.Date(2026, 3, 29, 15, 30, 0, 0, time.FixedZone("CEST", 7200))
	tests := []struct{ text, want string }{
		{"2026-01-04T12:00:00Z", "2026-01-04T12:00:00Z"},
		{"2026-01-04T12:00:00+05:00", "2026-01-04T07:00:00Z"},
		{"2026-01-04T12:00:00.123456Z", "2026-01-04T12:00:00.123456Z"},
		{"2026-01-04", "2026-01-03T23:00:00Z"},
		{"2026-01-04T12:00", "2026-01-04T11:00:00Z"},
		{"2026-01-04 12:00", "2026-01-04T11:00:00Z"},
		{"2026-01-04 12:00:30", "2026-01-04T11:00:30Z"},
		{"  now ", "2026-03-29T13:30:00Z"},
		{"15:04", "2026-03-29T13:04:00Z"},
		{"15:31", "2026-03-28T14:31:00Z"},
		{"9:05", "2026-03-29T07:05:00Z"},
		{"today", "2026-03-28T23:00:00Z"},
		{"today 9:00", "2026-03-29T07:00:00Z"},
		{"Yesterday 14:00", "2026-03-28T13:00:00Z"},
		{"yesterday", "2026-03-27T23:00:00Z"},
		{"2h ago", "2026-03-29T11:30:00Z"},
		{"1h30m ago", "2026-03-29T12:00:00Z"},
		{"90 minutes ago", "2026-03-29T12:00:00Z"},
		{"1 day ago", "2026-03-28T14:30:00Z"},
		{"3d ago", "2026-03-26T14:30:00Z"},
		{"2 weeks ago", "2026-03-15T14:30:00Z"},
		{"1 month ago", "2026-03-01T14:30:00Z"},
		{"2h", "2026-03-29T11:30:00Z"},
		{"3 days", "2026-03-26T14:30:00Z"},
		{"1 year ago", "2025-03-29T14:30:00Z"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.text, "/", "|"), func(t *testing.T) {
			got, err := parseTime(tt.text, now, berlin)
			if err != nil {
				t.Fatal(err)
			}
			if s := got.UTC().Format(time.RFC3339Nano); s != tt.want && berlin.String() == "Europe/Berlin" {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
	for _, text := range []string{"", "never", "25:00", "2026-13-01", "ago", "x ago", "-2h ago", "2 parsecs ago", "yesterday noon", "tomorrow", "12", "99999999999 days ago"} {
		if got, err := parseTime(text, now, time.UTC); !errors.Is(err, errTime) {
			t.Errorf("%q is %v, %v, want no time", text, got, err)
		}
	}
}

// TestTimesCanBeTypedAgain: what commands print is what they read.
func TestTimesCanBeTypedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := newApp()
		a.zone = time.FixedZone("somewhere", rapid.IntRange(-12*3600, 14*3600).Draw(t, "zone"))
		at := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "time"), 0)
		for _, text := range []string{a.timeText(at), at.UTC().Format(time.RFC3339Nano), at.In(a.zone).Format("2006-01-02T15:04:05")} {
			if got, err := parseTime(text, a.now(), a.zone); err != nil || !got.Equal(at) {
				t.Fatalf("%q is %v, %v, want %v", text, got, err, at)
			}
		}
	})
}

// TestClockTimesArePast: a time of day is the last one there was.
func TestClockTimesArePast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 3, 29, 15, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 86400*3).Draw(t, "now")) * time.Second)
		text := fmt.Sprintf("%d:%02d", rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"))
		got, err := parseTime(text, now, time.UTC)
		if err != nil || got.After(now) || now.Sub(got) >= 24*time.Hour {
			t.Fatalf("%q at %v is %v, %v, want the last one", text, now, got, err)
		}
	})
}

func TestParseTimeNeverPanics(t *testing.T) {
	words := []string{"yesterday", "today", "ago", "2", "h", " ", ":", "14", "-", "2026", "days", "T", "now"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 6).Draw(t, "words"), "")
		now := time.Date(2026, 3, 29, 15, 0, 0, 0, time.UTC)
		if got, err := parseTime(text, now, time.UTC); err == nil && got.IsZero() {
			t.Fatalf("%q is the zero time", text)
		}
	})
}
