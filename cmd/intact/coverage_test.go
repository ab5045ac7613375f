package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// scripted is what the scripts run of intact.
type scripted struct {
	flags map[string]bool // "log --json"; "log" for the command itself
	codes map[string]bool
}

// readScripts finds the command lines in all scripts.
func readScripts(t *testing.T, root *cobra.Command) scripted {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", "script", "*", "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	s := scripted{flags: map[string]bool{}, codes: map[string]bool{}}
	line := regexp.MustCompile(`^(?:exec|exits (\d+)|interrupt \S+)(?: .*?)?? intact( .*)?$`)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			m := line.FindStringSubmatch(strings.TrimSpace(l))
			if m == nil {
				continue
			}
			s.codes[m[1]] = true
			if strings.HasPrefix(m[0], "interrupt ") {
				s.codes["130"] = true
			}
			s.command(root, strings.Fields(m[2]))
		}
	}
	return s
}

// command notes a command and its flags.
func (s scripted) command(root *cobra.Command, words []string) {
	if end := slices.Index(words, "--"); end >= 0 {
		words = words[:end]
	}
	c, _, err := root.Find(words)
	if err != nil {
		return // a script of usage errors
	}
	name := strings.TrimPrefix(c.CommandPath(), "intact ")
	s.flags[name] = true
	for _, word := range words {
		flag, _, _ := strings.Cut(word, "=")
		if strings.HasPrefix(flag, "-") {
			s.flags[name+" "+flag] = true
		}
	}
}

// TestScriptsRunEverything holds the scripts to every command, every flag and
// every exit code.
func TestScriptsRunEverything(t *testing.T) {
	root := newApp().root()
	s := readScripts(t, root)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		name := strings.TrimPrefix(c.CommandPath(), "intact ")
		if c.Runnable() && !s.flags[name] {
			t.Errorf("no script runs intact %s", name)
		}
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			short := f.Shorthand != "" && s.flags[name+" -"+f.Shorthand]
			if !f.Hidden && f.Name != "help" && !short && !s.flags[name+" --"+f.Name] {
				t.Errorf("no script gives intact %s the flag --%s", name, f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				walk(sub)
			}
		}
	}
	walk(root)
	for _, code := range []string{"1", "3", "4", "5", "6", "130"} {
		if !s.codes[code] {
			t.Errorf("no script makes intact exit with %s", code)
		}
	}
}
