package store

import (
	"strings"

	"intactfs/fs"
	"intactfs/validate"
)

// defaultRules protect what no configuration mentions.
var defaultRules = []RuleConfig{
	// Emacs marks a file it edits with a .#name beside it.
	{Glob: ".#*", Format: FormatNone},
	{Glob: "*.json", Format: FormatJSON},
	{Glob: "*.geojson", Format: FormatJSON},
	{Glob: "*.webmanifest", Format: FormatJSON},
	{Glob: "*.jsonl", Format: FormatJSONL},
	{Glob: "*.ndjson", Format: FormatJSONL},
}

// compileRules is the list that is searched from the start: the rules of the
// configuration go before those that come with intact.
func compileRules(c Config) []RuleConfig {
	rules := append([]RuleConfig(nil), c.Rules...)
	if c.DefaultRules == nil || *c.DefaultRules {
		rules = append(rules, defaultRules...)
	}
	for i := range rules {
		if rules[i].OnConflict == "" {
			rules[i].OnConflict = c.OnConflict
		}
		if rules[i].Shrink == "" {
			rules[i].Shrink = c.Shrink.Action
		}
	}
	return rules
}

// rule is the rule that protects path, nil if none does.
func (s *Store) rule(path string) *RuleConfig {
	if path == "" || path == Dir || strings.HasPrefix(path, Dir+"/") {
		return nil
	}
	for i := range s.rules {
		if r := &s.rules[i]; matchGlob(r.Glob, path) {
			if r.Format == FormatNone {
				return nil
			}
			return r
		}
	}
	return nil
}

// For implements fs.Rules.
func (s *Store) For(path string) *fs.Rule {
	r := s.rule(path)
	if r == nil {
		return nil
	}
	return &fs.Rule{
		Format:         r.Format,
		NewValidator:   func() fs.Validator { return validator{s.checker(path, r)} },
		Lines:          r.Format == FormatJSONL,
		AllowEmpty:     r.AllowEmpty,
		RefuseConflict: r.OnConflict == ConflictRefuse,
	}
}

// validator is a Checker as package fs knows it.
type validator struct{ c validate.Checker }

func (v validator) Write(p []byte) { _, _ = v.c.Write(p) }

func (v validator) Verdict() fs.Verdict {
	switch v.c.Verdict() {
	case validate.Whole:
		return fs.Whole
	case validate.Invalid:
		return fs.Invalid
	case validate.Unfinished:
	}
	return fs.Unfinished
}

func (v validator) Fault() *fs.Fault {
	e := v.c.Err()
	if e == nil {
		return nil
	}
	return &fs.Fault{Reason: e.Reason, Line: e.Line, Column: e.Column, Offset: e.Offset}
}

func (v validator) Proven() bool { return v.c.Proven() }

func (v validator) Clone() fs.Validator { return validator{v.c.Clone()} }
