package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"intactfs/store"
)

// splitVersion splits FILE@VERSION. An @ that nothing like a version follows
// belongs to the name of the file.
func (a *app) splitVersion(arg string) (file, version string) {
	i := strings.LastIndex(arg, "@")
	if i <= 0 {
		return arg, ""
	}
	if _, err := a.parseVersion(arg[i+1:]); err != nil {
		return arg, ""
	}
	return arg[:i], arg[i+1:]
}

// versionSpec is a way to name a version: exactly one of number, back and at
// is meant.
type versionSpec struct {
	tx   uint64
	back int
	at   time.Time
	kind byte // 'n', '~' or '@'
}

// parseVersion reads a number from log, ~1 for the one before the newest, or
// a time.
func (a *app) parseVersion(text string) (versionSpec, error) {
	if tx, err := store.ParseTx(text); err == nil {
		return versionSpec{kind: 'n', tx: tx}, nil
	}
	if rest, ok := strings.CutPrefix(text, "~"); ok {
		if rest == "" {
			rest = "1"
		}
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return versionSpec{}, fmt.Errorf("%q is not a version", text)
		}
		return versionSpec{kind: '~', back: n}, nil
	}
	at, err := parseTime(text, a.now(), a.zone)
	if err != nil {
		return versionSpec{}, hint(fmt.Errorf("%q is not a version", text),
			"a version is a number from intact log, a time, or ~1 for the one before")
	}
	return versionSpec{kind: '@', at: at}, nil
}

// pick finds the version in a log, which is oldest first.
func (v versionSpec) pick(log []store.Entry) (store.Entry, error) {
	switch v.kind {
	case 'n':
		for _, e := range log {
			if e.Tx == v.tx && !e.Removed {
				return e, nil
			}
		}
		return store.Entry{}, fmt.Errorf("%w: %s", store.ErrNoVersion, store.FormatTx(v.tx))
	case '~':
		back := v.back
		for i := len(log) - 1; i >= 0; i-- {
			if log[i].Removed {
				continue
			}
			if back == 0 {
				return log[i], nil
			}
			back--
		}
		if v.back == 1 && len(log) > 0 {
			return store.Entry{}, fmt.Errorf("%w before this one: it is the first", store.ErrNoVersion)
		}
		return store.Entry{}, fmt.Errorf("%w: ~%d", store.ErrNoVersion, v.back)
	}
	for i := len(log) - 1; i >= 0; i-- {
		if e := log[i]; !e.Time.After(v.at) {
			if e.Removed {
				return e, fmt.Errorf("%w: it was removed at %s", store.ErrNoVersion, e.Time.Format(time.DateTime))
			}
			return e, nil
		}
	}
	return store.Entry{}, fmt.Errorf("%w: nothing is known from before %s", store.ErrNoVersion, v.at.Format(time.DateTime))
}

// beforeNow is the version that a restore without one means: the last content
// of a file that was removed, else the one before the present one.
func beforeNow(log []store.Entry) (store.Entry, error) {
	if len(log) > 0 && log[len(log)-1].Removed {
		return versionSpec{kind: '~'}.pick(log)
	}
	return versionSpec{kind: '~', back: 1}.pick(log)
}
