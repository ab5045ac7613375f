package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"intactfs/backup"
)

func TestParseConfig(t *testing.T) {
	const text = `
durability = "relaxed"
idle_commit = "0s"
publish_delay = "500ms"
segment_size = "2MiB"
on_conflict = "refuse"
default_rules = false

[shrink]
action = "refuse"

[retention]
last = 3
hourly = "2h"
daily = "31d"
weekly = "8w"
yearly = "2y"
max_size = "1 MB"

[quarantine]
max_files = 4
max_size = 1000

[[rule]]
glob = "conf/**/*.json"
format = "json"
strict = true
allow_empty = true
shrink = "off"

[[rule]]
glob = "*.txt"
format = "opaque"
`
	c, err := ParseConfig("config.toml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	idle, off := Duration(0), false
	last, hour, day, week, year := 3, Duration(2*time.Hour), Duration(31*24*time.Hour), Duration(56*24*time.Hour), Duration(2*366*24*time.Hour)
	want := Config{
		Durability: Relaxed, IdleCommit: &idle, PublishDelay: Duration(500 * time.Millisecond), SegmentSize: 2 << 20,
		OnConflict: ConflictRefuse, DefaultRules: &off,
		Shrink:     ShrinkConfig{Action: ShrinkRefuse},
		Retention:  RetentionConfig{Last: &last, Hourly: &hour, Daily: &day, Weekly: &week, Yearly: &year, MaxSize: 1000000},
		Quarantine: QuarantineConfig{MaxFiles: 4, MaxSize: 1000},
		Rules: []RuleConfig{
			{Glob: "conf/**/*.json", Format: FormatJSON, Strict: true, AllowEmpty: true, Shrink: ShrinkOff},
			{Glob: "*.txt", Format: FormatOpaque},
		},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	p := c.Retention.policy()
	if p.Last != 3 || p.Hourly != 2*time.Hour || p.Monthly != backup.DefaultPolicy().Monthly || p.MaxBytes != 1000000 {
		t.Errorf("policy is %+v", p)
	}
}

func TestDefaultConfig(t *testing.T) {
	c := DefaultConfig()
	if c.Durability != Full || time.Duration(*c.IdleCommit) != 200*time.Millisecond || c.OnConflict != ConflictKeep || c.Shrink.Action != ShrinkReport {
		t.Errorf("defaults are %+v", c)
	}
	if diff := cmp.Diff(backup.DefaultPolicy(), c.Retention.policy()); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

func TestConfigMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		want       string
	}{
		{"garbage", "durability = \"full\"\n]] garbage [[\n", 2, ""},
		{"binary", "\x00\x01\xff", 1, ""},
		{"unfinished-string", "durability = \"full", 1, ""},
		{"unknown-key", "durability = \"full\"\ncolour = \"red\"\n", 2, "unknown key colour"},
		{"unknown-key-in-table", "[shrink]\nration = 0.5\n", 2, "unknown key shrink.ration"},
		{"unknown-table", "[nonsense]\nx = 1\n", 1, "unknown key nonsense"},
		{"durability", "\ndurability = \"sometimes\"\n", 2, "sometimes"},
		{"wrong-type", "durability = 7\n", 1, ""},
		{"conflict", "on_conflict = \"merge\"\n", 1, "merge"},
		{"shrink-action", "[shrink]\n\naction = \"panic\"\n", 3, "panic"},
		{"duration", "idle_commit = \"soon\"\n", 1, "soon"},
		{"negative-duration", "idle_commit = \"-2s\"\n", 1, "-2s"},
		{"size", "[retention]\nmax_size = \"big\"\n", 2, "big"},
		{"segment-size", "\nsegment_size = \"1MiB\"\n", 2, "2MiB to 1GiB"},
		{"retention-last", "[retention]\nlast = 0\n", 2, "at least 1"},
		{"rule-without-glob", "[[rule]]\nformat = \"json\"\n", 1, "needs a glob"},
		{"rule-without-format", "[[rule]]\nglob = \"*.x\"\n", 2, "needs a format"},
		{"rule-format", "[[rule]]\nglob = \"*.x\"\nformat = \"word\"\n", 3, "want json, jsonl, yaml"},
		{"comments-of-yaml", "[[rule]]\nglob = \"*.x\"\nformat = \"yaml\"\ncomments = true\n", 4, "json and jsonl"},
		{"schema-of-csv", "[[rule]]\nglob = \"*.x\"\nformat = \"csv\"\nschema = \"s.json\"\n", 4, "json, yaml and toml"},
		{"schema-and-comments", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\ncomments = true\nschema = \"s.json\"\n", 5, "comments"},
		{"schema-elsewhere", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\nschema = \"../s.json\"\n", 4, "below the directory"},
		{"exec-without-command", "[[rule]]\nglob = \"*.x\"\nformat = \"exec\"\n", 3, "needs a command"},
		{"exec-empty-command", "[[rule]]\nglob = \"*.x\"\nformat = \"exec\"\ncommand = [\"\"]\n", 3, "needs a command"},
		{"exec-command-as-text", "[[rule]]\nglob = \"*.x\"\nformat = \"exec\"\ncommand = \"jq .\"\n", 4, ""},
		{"command-of-json", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\ncommand = [\"jq\"]\n", 4, "for the format exec"},
		{"timeout-of-json", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\ntimeout = \"1s\"\n", 4, "for the format exec"},
		{"timeout-of-nothing", "[[rule]]\nglob = \"*.x\"\nformat = \"exec\"\ncommand = [\"jq\"]\ntimeout = \"0s\"\n", 5, "can't be 0"},
		{"second-rule", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\n[[rule]]\nglob = \"*.y\"\nformat = \"jsom\"\n", 6, "jsom"},
		{"rule-glob", "[[rule]]\nglob = \"a[\"\nformat = \"json\"\n", 2, "a["},
		{"rule-stars", "[[rule]]\nglob = \"a**/b\"\nformat = \"json\"\n", 2, "**"},
		{"strict-comments", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\nstrict = true\ncomments = true\n", 5, "strict"},
		{"rule-conflict", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\non_conflict = \"x\"\n", 4, "on_conflict"},
		{"rule-shrink", "[[rule]]\nglob = \"*.x\"\nformat = \"json\"\nshrink = \"x\"\n", 4, "shrink"},
		{"quarantine", "[quarantine]\nmax_files = -1\n", 2, "-1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig("config.toml", []byte(tt.text))
			var mistake *ConfigError
			if !errors.As(err, &mistake) {
				t.Fatalf("got %v, want a ConfigError", err)
			}
			if mistake.Line != tt.line || mistake.Column < 1 {
				t.Errorf("place is %d:%d, want line %d: %v", mistake.Line, mistake.Column, tt.line, err)
			}
			if !strings.HasPrefix(err.Error(), "config.toml:") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %q, want %q in it", err, tt.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error has several lines: %q", err)
			}
		})
	}
}

func TestParseRule(t *testing.T) {
	for _, tt := range []struct{ text, glob, format, want string }{
		{"*.yaml=yaml", "*.yaml", "yaml", ""},
		{"conf/**=none", "conf/**", "none", ""},
		{"*.yaml", "", "", "GLOB=FORMAT"},
		{"*.yaml=", "", "", "needs a format"},
		{"=yaml", "", "", "needs a glob"},
		{"*.x=word", "", "", "want json"},
		{"*.x=exec", "", "", "needs a command"},
		{"a[=json", "", "", "a["},
	} {
		t.Run(tt.text, func(t *testing.T) {
			r, err := ParseRule(tt.text)
			if tt.want == "" {
				if err != nil || r.Glob != tt.glob || r.Format != tt.format {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestConfigNeverPanics(t *testing.T) {
	words := []string{"durability", "=", "\"full\"", "[", "]", "[[rule]]", "glob", "\n", "format", "'*.x'", "1", "#", "\"", "."}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 20).Draw(t, "words"), " ")
		if _, err := ParseConfig("config.toml", []byte(text)); err != nil {
			var mistake *ConfigError
			if !errors.As(err, &mistake) {
				t.Fatalf("%q: %v is no ConfigError", text, err)
			}
		}
	})
}

func TestBadConfigRefusesToOpen(t *testing.T) {
	p := newPlace(t)
	p.write(configName, "nonsense = 1\n")
	var mistake *ConfigError
	if err := p.try(Options{Create: true}); !errors.As(err, &mistake) || mistake.Line != 1 {
		t.Fatalf("open: %v, want a ConfigError of line 1", err)
	}
	p.write(configName, "")
	p.open(Options{Create: true}) // the lock was given back
}

func TestGlob(t *testing.T) {
	tests := []struct {
		glob, path string
		want       bool
	}{
		{"*.json", "a.json", true},
		{"*.json", "deep/er/a.json", true},
		{"*.json", "a.jsonl", false},
		{"*.json", ".json", true},
		{"/*.json", "a.json", true},
		{"/*.json", "deep/a.json", false},
		{"conf/*.json", "conf/a.json", true},
		{"conf/*.json", "x/conf/a.json", false},
		{"conf/*.json", "conf/x/a.json", false},
		{"conf/**/*.json", "conf/a.json", true},
		{"conf/**/*.json", "conf/x/y/a.json", true},
		{"**/cache/*", "cache/a", true},
		{"**/cache/*", "x/y/cache/a", true},
		{"**/cache/*", "x/cache/y/a", false},
		{"**", "any/thing", true},
		{"a?.json", "ab.json", true},
		{"[ab].json", "c.json", false},
		{"data/**", "data/x", true},
		{"data/**", "other/x", false},
	}
	for _, tt := range tests {
		t.Run(tt.glob+" on "+strings.ReplaceAll(tt.path, "/", "|"), func(t *testing.T) {
			if err := checkGlob(tt.glob); err != nil {
				t.Fatal(err)
			}
			if got := matchGlob(tt.glob, tt.path); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	c, err := ParseConfig("x", []byte(`
[[rule]]
glob = "cache/**"
format = "none"
[[rule]]
glob = "*.lock.json"
format = "opaque"
allow_empty = true
on_conflict = "refuse"
`))
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{config: c}
	if err := s.prepareRules(nil, compileRules(c), 0); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"a.json": FormatJSON, "x/a.geojson": FormatJSON, "site.webmanifest": FormatJSON,
		"log.jsonl": FormatJSONL, "log.ndjson": FormatJSONL, "a.lock.json": FormatOpaque,
		"cache/a.json": "", "cache/x/a.json": "", ".#a.json": "", "a.json.tmp": "", "a.txt": "", "": "",
		".intact": "", ".intact/x.json": "", "a.json-wal": "", ".a.json.swp": "",
	} {
		got := ""
		if r := s.For(path); r != nil {
			got = r.Format
		}
		if got != want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
	r := s.For("a.lock.json")
	if !r.AllowEmpty || !r.RefuseConflict || r.Lines {
		t.Errorf("rule is %+v", r)
	}
	if r := s.For("a.jsonl"); !r.Lines || r.RefuseConflict {
		t.Errorf("rule is %+v", r)
	}
	off := false
	c.DefaultRules = &off
	s = &Store{}
	if err := s.prepareRules(nil, compileRules(c), 0); err != nil {
		t.Fatal(err)
	}
	if s.For("a.json") != nil || s.For("a.lock.json") == nil {
		t.Error("default_rules = false does not switch off the default rules alone")
	}
}

func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tx := rapid.Uint64Range(0, 1<<62).Draw(t, "tx")
		got, err := ParseTx(FormatTx(tx))
		if err != nil || got != tx {
			t.Fatalf("%d is written %s and read as %d, %v", tx, FormatTx(tx), got, err)
		}
	})
	for text, want := range map[string]uint64{"1": 16, "12.3": 195, "0.1": 1} {
		if got, err := ParseTx(text); err != nil || got != want {
			t.Errorf("%s is %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.", "1.16", "1.x", ".1", "99999999999999999999", "2026-01-04"} {
		if got, err := ParseTx(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}
