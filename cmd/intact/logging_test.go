package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogFileRotates(t *testing.T) {
	dir := t.TempDir()
	l, err := openLogDir(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	l.max = 100
	line := strings.Repeat("x", 39) + "\n"
	for range 7 {
		if _, err := io.WriteString(l, line); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int{"log": 1, "log.1": 2} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(content) != strings.Repeat(line, want) {
			t.Errorf("%s holds %d lines, want %d: %v", name, bytes.Count(content, []byte("\n")), want, err)
		}
	}
	// A daemon that starts again goes on where the log was.
	if _, err := io.WriteString(l, line); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, "log")); err != nil || st.Size() != 80 {
		t.Errorf("log is %v, %v", st, err)
	}
	_ = l.Close()
}

func TestLogFormats(t *testing.T) {
	var b bytes.Buffer
	newLog(&b, false, slog.LevelInfo).Info("hallo", "path", "a.json")
	if got := b.String(); !strings.HasPrefix(got, "{") || !strings.Contains(got, `"path":"a.json"`) {
		t.Errorf("not JSON: %q", got)
	}
	b.Reset()
	newLog(&b, true, slog.LevelInfo).Info("hallo", "path", "a.json")
	if got := b.String(); strings.HasPrefix(got, "{") || !strings.Contains(got, "hallo") {
		t.Errorf("not for people: %q", got)
	}
	b.Reset()
	newLog(&b, false, slog.LevelWarn).Info("hallo")
	if b.Len() > 0 {
		t.Errorf("told %q", b.String())
	}
}
