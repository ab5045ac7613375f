package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"intactfs/store"
)

func TestProgress(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	a := newApp()
	a.stderr, a.terminal, a.now = &b, true, func() time.Time { return now }
	p := a.newProgress("verifying")
	p.at(1, 10)
	if b.Len() > 0 {
		t.Errorf("shown at once: %q", b.String())
	}
	now = now.Add(2 * time.Second)
	p.at(5, 10)
	p.end()
	if !strings.Contains(b.String(), "verifying") {
		t.Errorf("not shown after two seconds: %q", b.String())
	}
	b.Reset()
	a.terminal = false
	p = a.newProgress("verifying")
	now = now.Add(time.Hour)
	p.at(5, 10)
	p.end()
	if b.Len() > 0 {
		t.Errorf("shown where there is no terminal: %q", b.String())
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 1234: "1,234 files"} {
		if got := count(n, "file"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := size(-5); got != "0 B" {
		t.Errorf("a negative size is %q", got)
	}
}

func TestVerdict(t *testing.T) {
	p := []store.Problem{{Path: "a.json", What: "torn", Line: 3, Column: 7, Good: "12"}}
	for _, tt := range []struct {
		name   string
		report store.VerifyReport
		code   int
	}{
		{"sound", store.VerifyReport{Warnings: p}, 0},
		{"wrong", store.VerifyReport{Problems: p}, exitInvalid},
		{"damaged", store.VerifyReport{Problems: p, Damage: p}, exitDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := verdict("d", tt.report)
			if got := exitCode(err); got != tt.code {
				t.Errorf("exit code %d, want %d", got, tt.code)
			}
			if err != nil && !strings.Contains(err.Error(), "a.json:3:7: torn (last good version: 12)") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
