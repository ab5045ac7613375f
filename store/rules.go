package store

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"intactfs/fs"
	"intactfs/validate"
	"intactfs/validate/document"
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

// rule is a RuleConfig that is ready to judge.
type rule struct {
	RuleConfig
	id      int              // its place in the list
	schema  *document.Schema // nil: none
	program string           // where the command of the format exec is
}

// prepareRules reads the schemas of rules, which lie below the directory, and
// finds their commands. A mistake is a *ConfigError with its place in text, the
// first rule of which is configs[first].
func (s *Store) prepareRules(text []byte, configs []RuleConfig, first int) error {
	s.rules = make([]rule, len(configs))
	for i, c := range configs {
		s.rules[i].RuleConfig, s.rules[i].id = c, i
		key, err := s.prepare(&s.rules[i])
		if err == nil {
			continue
		}
		mistake := &badValue{ConfigError: ConfigError{File: configName, Msg: err.Error()}, key: key, rule: i - first}
		mistake.Line, mistake.Column = locate(text, mistake)
		return &mistake.ConfigError
	}
	return nil
}

// prepare returns the key with the mistake, and the error.
func (s *Store) prepare(r *rule) (key string, err error) {
	if r.Schema != "" {
		text, err := s.root.ReadFile(r.Schema)
		if err != nil {
			return "schema", fmt.Errorf("schema: %w", err)
		}
		if r.schema, err = document.NewSchema(text); err != nil {
			return "schema", fmt.Errorf("schema %s: %s", r.Schema, strings.Join(strings.Fields(err.Error()), " "))
		}
	}
	if r.Format != FormatExec {
		return "", nil
	}
	if err := s.trusted(); err != nil {
		return "command", err
	}
	if r.program, err = exec.LookPath(r.Command[0]); err != nil {
		return "command", fmt.Errorf("command: %w", err)
	}
	if !filepath.IsAbs(r.program) {
		return "command", fmt.Errorf("command: %s is found only below the current directory: give its full path", r.Command[0])
	}
	return "", nil
}

// trusted returns an error if somebody else could have written the commands
// that this process is about to run.
func (s *Store) trusted() error {
	for _, name := range []string{Dir, configName} {
		info, err := s.root.Lstat(name)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("%s: its owner is not known", name)
		}
		if owner := int(st.Uid); owner != 0 && owner != os.Geteuid() {
			return fmt.Errorf("%s belongs to user %d: commands are run only for their own user and for root", name, owner)
		}
		if info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s can be written by others: commands are not run from it", name)
		}
	}
	return nil
}

// rule is the rule that protects path, nil if none does.
func (s *Store) rule(path string) *rule {
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
		ID:             r.id,
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

// AtEnd implements fs.Deferred.
func (v validator) AtEnd() bool { return validate.AtEnd(v.c) }

func (v validator) Clone() fs.Validator { return validator{v.c.Clone()} }
