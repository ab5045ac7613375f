package main

import (
	"testing"
	"time"
)

func TestPastTime(t *testing.T) {
	now := time.Date(2026, 1, 10, 15, 30, 0, 0, time.UTC)
	a := &app{now: func() time.Time { return now }, zone: time.UTC}
	for _, c := range []struct{ name, want string }{
		{"now", "2026-01-10T15:30:00Z"},
		{"2026-01-04", "2026-01-04T00:00:00Z"},
		{"2026-01-04T12:00", "2026-01-04T12:00:00Z"},
		{"2026-01-04_12:00", "2026-01-04T12:00:00Z"},
		{"2026-01-04 12:00", "2026-01-04T12:00:00Z"},
		{"2026-01-04T12:00:05.5Z", "2026-01-04T12:00:05.5Z"},
		{"2026-01-04T12:00:00+02:00", "2026-01-04T10:00:00Z"},
		{"14:00", "2026-01-10T14:00:00Z"},
		{"yesterday", "2026-01-09T00:00:00Z"},
		{"yesterday_14:00", "2026-01-09T14:00:00Z"},
		{"yesterday-14:00", "2026-01-09T14:00:00Z"},
		{"2h-ago", "2026-01-10T13:30:00Z"},
		{"2h_ago", "2026-01-10T13:30:00Z"},
		{"3-days-ago", "2026-01-07T15:30:00Z"},
		{"3 days ago", "2026-01-07T15:30:00Z"},
		{"-", ""},
		{".Trash-0", ""},
		{"state.json", ""},
		{"2026-13-01", ""},
	} {
		at, err := a.pastTime(c.name)
		got := ""
		if err == nil {
			got = at.UTC().Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}
