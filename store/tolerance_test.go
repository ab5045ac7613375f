package store

import (
	"context"
	"crypto/sha256"
	"testing"

	"intactfs/fs"
)

const commented = "{\n  // why\n  \"a\": [1, 2,],\n}\n"

func verdictOf(v fs.Validator, content string) fs.Verdict {
	v.Write([]byte(content))
	return v.Verdict()
}

func TestTolerance(t *testing.T) {
	const valid, torn = `{"a": 1}`, `{"a": `
	tests := []struct {
		name, rule, past, next string
		want                   fs.Verdict
	}{
		{"no-past-valid", "", "", valid, fs.Whole},
		{"no-past-torn", "", "", torn, fs.Unfinished},
		{"no-past-comments", "", "", commented, fs.Invalid},
		{"plain-past-comments", "", valid, commented, fs.Invalid},
		{"plain-past-nan", "", valid, `[NaN]`, fs.Whole},
		{"strict-rule-nan", "strict = true", valid, `[NaN]`, fs.Invalid},
		{"strict-rule-nan-past", "strict = true", `[NaN]`, `[NaN]`, fs.Invalid},
		{"comments-past-comments", "", commented, commented, fs.Whole},
		{"comments-past-torn", "", commented, "{ // x\n", fs.Unfinished},
		{"comments-past-nonsense", "", commented, "hello", fs.Invalid},
		{"comments-rule", "comments = true", valid, commented, fs.Whole},
		{"torn-past-torn", "", torn, torn, fs.Whole},
		{"torn-past-valid", "", torn, valid, fs.Whole},
		{"torn-past-empty", "", torn, "", fs.Unfinished},
		{"empty-past-torn", "", "", torn, fs.Unfinished},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			if tt.rule != "" {
				p.write(configName, "[[rule]]\nglob = \"*.json\"\nformat = \"json\"\n"+tt.rule+"\n")
			}
			if tt.past != "" {
				p.write("a.json", tt.past)
			}
			p.open(Options{Create: true})
			if got := verdictOf(p.store.For("a.json").NewValidator(), tt.next); got != tt.want {
				t.Errorf("verdict is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestUnparsedEndsWithTheFirstValidVersion(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", `{"torn": `)
	p.open(Options{Create: true})
	rule := p.store.For("a.json")
	if got := verdictOf(rule.NewValidator(), "{{"); got != fs.Whole {
		t.Fatalf("a file that never parsed is held to its rule: %v", got)
	}
	if got := p.store.Status().Unparsed; len(got) != 1 || got[0] != "a.json" {
		t.Errorf("status tells of %q", got)
	}
	p.commit("a.json", `{"whole": true}`)
	if got := verdictOf(rule.NewValidator(), "{{"); got != fs.Invalid {
		t.Errorf("after a valid version an invalid one is %v", got)
	}
	if err := p.store.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	log := p.log("a.json")
	if len(log) != 2 || !log[0].Invalid || log[0].Note != "before intact" || log[1].Invalid {
		t.Errorf("log is %+v", log)
	}
	if log[0].Tx >= log[1].Tx {
		t.Errorf("what was there before has number %s, after %s", log[0].Version, log[1].Version)
	}
	if got := p.content("a.json", log[0].Tx); got != `{"torn": ` {
		t.Errorf("what was there before reads %q", got)
	}
}

func TestUnparsedSurvivesCrash(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "not json")
	p.open(Options{Create: true})
	if got := verdictOf(p.store.For("a.json").NewValidator(), "nor this"); got != fs.Whole {
		t.Fatalf("verdict is %v", got)
	}
	p.commit("a.json", "nor this")
	crashed := &place{t: t, dir: copyTree(t, p.dir), clock: p.clock}
	crashed.open(Options{})
	defer crashed.close()
	if err := crashed.store.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, e := range crashed.log("a.json") {
		if !e.Invalid {
			t.Errorf("version %s is taken for valid", e.Version)
		}
	}
	if got := verdictOf(crashed.store.For("a.json").NewValidator(), "nor that"); got != fs.Whole {
		t.Errorf("after the crash the file is held to its rule: %v", got)
	}
}

func TestValidatorAdapter(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	v := p.store.For("a.json").NewValidator()
	v.Write([]byte("{\n\"a\":"))
	c := v.Clone()
	v.Write([]byte("}"))
	if v.Verdict() != fs.Invalid || v.Proven() {
		t.Errorf("verdict %v, proven %v", v.Verdict(), v.Proven())
	}
	if f := v.Fault(); f == nil || f.Line != 2 || f.Column != 5 || f.Offset != 6 || f.Reason == "" {
		t.Errorf("fault is %+v", f)
	}
	c.Write([]byte("1}"))
	if c.Verdict() != fs.Whole || !c.Proven() || c.Fault() != nil {
		t.Errorf("clone: verdict %v, proven %v, fault %+v", c.Verdict(), c.Proven(), c.Fault())
	}
}

func TestLoose(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", "torn {")
	p.open(Options{Create: true})
	v := p.store.For("a.json").NewValidator()
	if v.Verdict() != fs.Unfinished || v.Fault() == nil {
		t.Errorf("empty: %v, %+v", v.Verdict(), v.Fault())
	}
	c := v.Clone()
	v.Write([]byte("still torn"))
	if v.Verdict() != fs.Whole || v.Proven() || v.Fault() != nil {
		t.Errorf("torn: %v, proven %v", v.Verdict(), v.Proven())
	}
	c.Write([]byte("{}"))
	if c.Verdict() != fs.Whole || !c.Proven() {
		t.Errorf("valid: %v, proven %v", c.Verdict(), c.Proven())
	}
}

func TestShrinkGuard(t *testing.T) {
	full := `{"filler": "` + longText(2000) + `"}`
	tests := []struct {
		name, config, before, after string
		refused, noted              bool
	}{
		{"report", "", full, `{}`, false, true},
		{"refuse", "[shrink]\naction = \"refuse\"\n", full, `{}`, true, false},
		{"off", "[shrink]\naction = \"off\"\n", full, `{}`, false, false},
		{"rule-refuses", "[[rule]]\nglob = \"a.json\"\nformat = \"json\"\nshrink = \"refuse\"\n", full, `{}`, true, false},
		{"small-before", "", `{"a": 1}`, `{}`, false, false},
		{"not-drastic", "", full, `{"filler": "` + longText(900) + `"}`, false, false},
	}
	for _, tt := range tests {
		for _, published := range []bool{false, true} {
			name := tt.name + "/pending"
			if published {
				name = tt.name + "/published"
			}
			t.Run(name, func(t *testing.T) {
				p := newPlace(t)
				p.write(configName, tt.config)
				p.open(Options{Create: true})
				p.commit("a.json", tt.before)
				if published {
					if err := p.store.Settle(context.Background(), "a.json"); err != nil {
						t.Fatal(err)
					}
				}
				_, err := p.tryCommit("a.json", tt.after)
				if (err != nil) != tt.refused {
					t.Fatalf("commit: %v, want refused %v", err, tt.refused)
				}
				st := p.store.Status()
				if got := st.Counts[Shrunk] == 1; got != tt.noted {
					t.Errorf("noted %v, want %v", got, tt.noted)
				}
				rejected, err := p.store.Rejected("a.json")
				if err != nil || (len(rejected) == 1) != tt.refused {
					t.Errorf("quarantine holds %+v, %v", rejected, err)
				}
				if tt.noted {
					p.wantKept(tt.before)
				}
			})
		}
	}
}

// wantKept checks that pruning keeps the version before the shrink, whatever
// else it keeps.
func (p *place) wantKept(before string) {
	p.t.Helper()
	p.store.policy.Last, p.store.policy.Hourly, p.store.policy.Daily = 1, 0, 0
	p.store.policy.Weekly, p.store.policy.Monthly, p.store.policy.Yearly = 0, 0, 0
	if err := p.store.Checkpoint(context.Background()); err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.store.Prune(context.Background(), "", false); err != nil {
		p.t.Fatal(err)
	}
	want := sha256.Sum256([]byte(before))
	entries, err := p.store.entries("a.json")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		if e.SHA256 == want {
			return
		}
	}
	p.t.Errorf("the version before the shrink is gone: %+v", entries)
}

func longText(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}
