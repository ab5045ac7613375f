package fs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"path"
)

// testRules protects *.json and *.jsonl.
type testRules struct{ conflict, empty bool }

func (r testRules) For(p string) *Rule {
	rule := &Rule{AllowEmpty: r.empty, RefuseConflict: r.conflict}
	switch path.Ext(p) {
	case ".json":
		rule.Format = "json"
		rule.NewValidator = func() Validator { return &testValidator{} }
	case ".jsonl":
		rule.ID, rule.Format, rule.Lines = 1, "jsonl", true
		rule.NewValidator = func() Validator { return &testValidator{lines: true} }
	default:
		return nil
	}
	return rule
}

// testValidator keeps all bytes and asks encoding/json.
type testValidator struct {
	lines bool
	all   []byte
}

func (v *testValidator) Write(p []byte) { v.all = append(v.all, p...) }

func (v *testValidator) Verdict() Verdict {
	if len(bytes.TrimSpace(v.all)) == 0 {
		return Unfinished
	}
	if v.lines {
		for line := range bytes.Lines(v.all) {
			if len(bytes.TrimSpace(line)) > 0 && !json.Valid(line) {
				return Invalid
			}
		}
		return Whole
	}
	dec := json.NewDecoder(bytes.NewReader(v.all))
	var doc any
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Unfinished
	case err != nil:
		return Invalid
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Invalid
	}
	return Whole
}

func (v *testValidator) Fault() *Fault {
	if v.Verdict() == Whole {
		return nil
	}
	return &Fault{Reason: "not a document", Line: 1, Column: int64(len(v.all)) + 1, Offset: int64(len(v.all))}
}

func (v *testValidator) Proven() bool {
	t := bytes.TrimSpace(v.all)
	return !v.lines && len(t) > 0 && (t[0] == '{' || t[0] == '[')
}

func (v *testValidator) Clone() Validator {
	return &testValidator{lines: v.lines, all: bytes.Clone(v.all)}
}
