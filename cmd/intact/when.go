package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("not a time")

// timeLayouts are read in the zone of the user.
var timeLayouts = []string{
	"2006-01-02T15:04:05", "2006-01-02 15:04:05",
	"2006-01-02T15:04", "2006-01-02 15:04",
	"2006-01-02",
}

// parseTime reads a time as people type it: RFC 3339, 2026-01-04,
// 2026-01-04T12:00, 15:04 (the last time it was that late), yesterday,
// yesterday 14:00, today 9:30, now, 2h ago, "3 days ago", and without the ago.
func parseTime(text string, now time.Time, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	now = now.In(zone)
	lower := strings.ToLower(text)
	if lower == "now" {
		return now, nil
	}
	if ago, ok := strings.CutSuffix(lower, "ago"); ok {
		return parseAgo(strings.TrimSpace(ago), now)
	}
	day, clock, _ := strings.Cut(lower, " ")
	switch day {
	case "today":
		return onDay(now, clock, 0)
	case "yesterday":
		return onDay(now, clock, -1)
	}
	if t, err := onDay(now, lower, 0); lower != "" && err == nil {
		if t.After(now) {
			return onDay(now, lower, -1)
		}
		return t, nil
	}
	if t, err := parseAgo(lower, now); err == nil {
		return t, nil
	}
	return time.Time{}, hint(fmt.Errorf("%q is %w", text, errTime),
		"write it as 2026-01-04, '2026-01-04 12:00', 15:04, 'yesterday 14:00' or '2h ago'")
}

// onDay is a clock time on the day so many days from now; without a clock
// time it is midnight, when the day begins.
func onDay(now time.Time, clock string, days int) (time.Time, error) {
	var h, m, s int
	if clock = strings.TrimSpace(clock); clock != "" {
		t, err := time.Parse("15:04:05", clock)
		if err != nil {
			t, err = time.Parse("15:04", clock)
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is %w", clock, errTime)
		}
		h, m, s = t.Clock()
	}
	y, mon, d := now.Date()
	return time.Date(y, mon, d+days, h, m, s, 0, now.Location()), nil
}

// parseAgo reads "2h", "90m", "3 days", "1 week": calendar days and months
// keep the time of day.
func parseAgo(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(strings.ReplaceAll(text, " ", "")); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	i := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if i <= 0 {
		return time.Time{}, fmt.Errorf("%q ago is %w", text, errTime)
	}
	n, err := strconv.Atoi(text[:i])
	if err != nil || n > 1e6 {
		return time.Time{}, fmt.Errorf("%q ago is %w", text, errTime)
	}
	switch strings.TrimSuffix(strings.TrimSpace(text[i:]), "s") {
	case "second", "sec":
		return now.Add(-time.Duration(n) * time.Second), nil
	case "minute", "min":
		return now.Add(-time.Duration(n) * time.Minute), nil
	case "hour":
		return now.Add(-time.Duration(n) * time.Hour), nil
	case "d", "day":
		return now.AddDate(0, 0, -n), nil
	case "w", "week":
		return now.AddDate(0, 0, -7*n), nil
	case "month":
		return now.AddDate(0, -n, 0), nil
	case "y", "year":
		return now.AddDate(-n, 0, 0), nil
	}
	return time.Time{}, fmt.Errorf("%q ago is %w", text, errTime)
}
