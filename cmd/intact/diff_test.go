package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiffOutput(t *testing.T) {
	tests := []struct{ name, file, before, after, want string }{
		{"json", "a.json", `{"a":1,"b":[1,2],"c":"x"}`, `{"a":2,"b":[1,2,3],"d":null}`,
			"~ /a: 1 → 2\n+ /b/-: 3\n- /c: \"x\"\n+ /d: null\n"},
		{"same", "a.json", `{"a":1}`, `{"a":1}`, ""},
		{"spelling", "a.json", `{"a":1}`, `{ "a": 1 }`, "the values are the same; the bytes differ\n"},
		{"yaml", "a.yaml", "a: 1\n", "a: 2\n", "~ /a: 1 → 2\n"},
		{"toml", "a.toml", "a = 1\n", "a = 2\n", "~ /a: 1 → 2\n"},
		{"lines", "a.jsonl", "{\"a\":1}\n", "{\"a\":1}\n{\"b\":2}\n", "+ /-: {\"b\":2}\n"},
		{"html", "a.json", `{"a":"<b>"}`, `{"a":"&"}`, "~ /a: \"<b>\" → \"&\"\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			a := newApp()
			a.stdout = &b
			if err := a.printDiff(tt.file, "1", []byte(tt.before), "2", []byte(tt.after)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("text", func(t *testing.T) {
		var b bytes.Buffer
		a := newApp()
		a.stdout, a.color = &b, true
		if err := a.printDiff("a.txt", "1", []byte("one\ntwo\n"), "2", []byte("one\nthree\n")); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); !strings.Contains(got, "\x1b[31m-two\x1b[0m") || !strings.Contains(got, "\x1b[32m+three\x1b[0m") {
			t.Errorf("output is %q", got)
		}
	})
	t.Run("json-of-text", func(t *testing.T) {
		a := newApp()
		a.asJSON = true
		if err := a.printDiff("a.txt", "1", []byte("one"), "2", []byte("two")); exitCode(err) != exitInvalid {
			t.Errorf("got %v", err)
		}
	})
	t.Run("json-of-nothing", func(t *testing.T) {
		var b bytes.Buffer
		a := newApp()
		a.stdout, a.asJSON = &b, true
		if err := a.printDiff("a.json", "1", []byte("{}"), "2", []byte("{}")); err != nil || strings.TrimSpace(b.String()) != "[]" {
			t.Errorf("printed %q, %v", b.String(), err)
		}
	})
}

func TestSummary(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{`{"a":1}`, `{"a":2,"b":1}`, "+1 -0 ~1"}, {`{"a":1}`, `{}`, "+0 -1 ~0"}, {`torn`, `{}`, "not compared"},
	} {
		if got := summary("a.json", []byte(tt.before), []byte(tt.after)); got != tt.want {
			t.Errorf("%s to %s is %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

// Large mappings are compared in time that follows their size, and a stream of
// several documents by its lines: values would be of the first alone.
func TestStructuralYAML(t *testing.T) {
	var large strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&large, "key%d: %d\n", i, i)
	}
	for _, tt := range []struct {
		name, before, after string
		changes             int
		ok                  bool
	}{
		{"many keys", large.String(), large.String() + "more: 1\n", 1, true},
		{"a key twice", "a: 1\na: 2\n", "a: 3\n", 1, true},
		{"several documents", "a: 1\n---\nb: 1\n", "a: 1\n---\nb: 2\n", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changes, ok := structural("f.yaml", []byte(tt.before), []byte(tt.after))
			if ok != tt.ok || len(changes) != tt.changes {
				t.Errorf("%d changes, %v, want %d, %v", len(changes), ok, tt.changes, tt.ok)
			}
		})
	}
}
