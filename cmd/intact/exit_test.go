package main

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"
	"testing"

	"intactfs/control"
	"intactfs/store"
)

func TestExitCodes(t *testing.T) {
	plain := errors.New("plain")
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"plain", plain, 1},
		{"usage", usageError{plain}, 3},
		{"config", fmt.Errorf("x: %w", &store.ConfigError{Line: 1}), 3},
		{"refused", refused{plain}, 4},
		{"refused-config", refused{&store.ConfigError{}}, 4},
		{"damaged", fmt.Errorf("x: %w", store.ErrDamaged), 5},
		{"damaged-at-mount", refused{store.ErrDamaged}, 5},
		{"invalid", hint(invalid{plain}, "do"), 6},
		{"interrupted", interrupted{plain}, 130},
		{"command", exitStatus(7), 7},
		{"command-interrupted", interrupted{exitStatus(137)}, 137},
		{"relayed", hint(relayed{Code: 4, Message: "x"}, "y"), 4},
		{"remote-damage", &control.Error{Code: "damaged", Message: "x"}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := exitCode(tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}

func TestReport(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"none", nil, ""},
		{"plain", errors.New("it broke"), "error: it broke\n"},
		{"several-lines", errors.Join(errors.New("one"), errors.New("two")), "error: one; two\n"},
		{"own-hint", hint(errors.New("it broke"), "mend %s", "it"), "error: it broke\nhint: mend it\n"},
		{"kind-hint", fmt.Errorf("a.json: %w", store.ErrNoVersion), "error: a.json: no such version\nhint: intact log FILE lists the versions\n"},
		{"command", exitStatus(3), ""},
		{"interrupted", interrupted{usageError{errors.New("x")}}, "error: interrupted\n"},
		{"permission", fmt.Errorf("open x: %w", iofs.ErrPermission), "error: open x: permission denied\nhint: run it as the user who mounted the directory, or as root\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			a := newApp()
			a.stderr = &b
			a.report(tt.err)
			if b.String() != tt.want {
				t.Errorf("told %q, want %q", b.String(), tt.want)
			}
		})
	}
	for _, err := range []error{store.ErrFormat, store.ErrUninitialized, store.ErrNoHistory, store.ErrNotRejected, store.ErrLocked, control.ErrUnknownOp, control.ErrGone, usageError{errors.New("x")}} {
		if hintFor(err) == "" {
			t.Errorf("%v comes without a hint", err)
		}
	}
}
