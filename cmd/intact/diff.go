package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/pelletier/go-toml/v2"
	textdiff "github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"github.com/wI2L/jsondiff"
	"go.yaml.in/yaml/v4"

	"intactfs/control"
	"intactfs/store"
)

func (a *app) diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "diff FILE [V1 [V2]]",
		Short: "compare two versions of a file",
		Long: `Diff shows what changed from version V1 to V2, as paths and values for JSON, YAML
and TOML, as lines for anything else. Without V2 it compares with the present
version, without V1 the one before with the present one. --json prints a patch
as RFC 6902 defines it.`,
		Args: cobra.RangeArgs(1, 3),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			file, specs := args[0], args[1:]
			if f, version := a.splitVersion(file); version != "" && len(specs) == 0 {
				file, specs = f, []string{version}
			}
			return a.with(ctx, file, toRead, func(t target, c control.Caller) error {
				return a.diff(ctx, c, t.path, specs)
			})
		},
		ValidArgsFunction: a.completeDiff,
	}
	return a.withJSON(c)
}

func (a *app) diff(ctx context.Context, c control.Caller, name string, specs []string) error {
	texts := append(specs, "~1", "~0")[:2]
	if len(specs) == 1 {
		texts[1] = "~0"
	}
	var entries [2]store.Entry
	var contents [2][]byte
	for i, text := range texts {
		var err error
		if entries[i], err = a.pickVersion(ctx, c, name, text); err != nil {
			return err
		}
		if contents[i], err = fetchVersion(ctx, c, entries[i]); err != nil {
			return err
		}
	}
	return a.printDiff(name, "version "+entries[0].Version, contents[0], "version "+entries[1].Version, contents[1])
}

// printDiff prints what changed between two contents of a file.
func (a *app) printDiff(name, oldLabel string, before []byte, newLabel string, after []byte) error {
	changes, ok := structural(name, before, after)
	if a.asJSON {
		if !ok {
			return invalid{fmt.Errorf("%s: a version is not JSON, YAML or TOML: it can't be compared as such", name)}
		}
		if changes == nil {
			changes = jsondiff.Patch{}
		}
		return a.printJSON(changes)
	}
	if !ok {
		return a.printLines(string(textdiff.Diff(oldLabel, before, newLabel, after)))
	}
	if len(changes) == 0 && !bytes.Equal(before, after) {
		return a.printf("the values are the same; the bytes differ\n")
	}
	for _, ch := range changes {
		if err := a.printChange(ch); err != nil {
			return err
		}
	}
	return nil
}

// structural compares documents by their values; false if one of them can't
// be read as the name of the file says.
func structural(name string, before, after []byte) (jsondiff.Patch, bool) {
	old, err := toJSON(name, before)
	if err != nil {
		return nil, false
	}
	now, err := toJSON(name, after)
	if err != nil {
		return nil, false
	}
	patch, err := jsondiff.CompareJSON(old, now)
	return patch, err == nil
}

// toJSON reads a document in the format of its file name.
func toJSON(name string, text []byte) ([]byte, error) {
	var v any
	var err error
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml":
		// Keys that are twice are no matter here, and looking for them takes quadratic time.
		err = yaml.Load(text, &v, yaml.WithUniqueKeys(false))
	case ".toml":
		err = toml.Unmarshal(text, &v)
	case ".jsonl", ".ndjson":
		v, err = readLines(text)
	default:
		return bytes.TrimPrefix(text, []byte("\ufeff")), nil
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// readLines makes an array of JSON Lines.
func readLines(text []byte) (any, error) {
	list := []json.RawMessage{}
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if !json.Valid(line) {
			return nil, fmt.Errorf("line %d is not JSON", len(list)+1)
		}
		list = append(list, line)
	}
	return list, nil
}

func (a *app) printChange(ch jsondiff.Operation) error {
	where := ch.Path
	if where == "" {
		where = "/"
	}
	switch ch.Type {
	case jsondiff.OperationAdd:
		return a.printf("%s\n", a.paint(green, "+ "+where+": "+value(ch.Value)))
	case jsondiff.OperationRemove:
		return a.printf("%s\n", a.paint(red, "- "+where+": "+value(ch.OldValue)))
	case jsondiff.OperationReplace:
		return a.printf("%s %s → %s\n", a.paint(yellow, "~ "+where+":"), a.paint(red, value(ch.OldValue)), a.paint(green, value(ch.Value)))
	}
	return a.printf("%s %s %s\n", ch.Type, ch.From, where)
}

// value is one value on one line.
func value(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

// printLines colours the lines of a textual difference.
func (a *app) printLines(text string) error {
	for line := range strings.Lines(text) {
		code := ""
		switch {
		case strings.HasPrefix(line, "+"):
			code = green
		case strings.HasPrefix(line, "-"):
			code = red
		case strings.HasPrefix(line, "@"), strings.HasPrefix(line, "diff "):
			code = faint
		}
		body := strings.TrimSuffix(line, "\n")
		if code != "" {
			body = a.paint(code, body)
		}
		if err := a.printf("%s\n", body); err != nil {
			return err
		}
	}
	return nil
}
