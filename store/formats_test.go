package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"intactfs/fs"
)

// verdict judges a text as the next version of a path.
func (p *place) verdict(path, text string) fs.Validator {
	p.t.Helper()
	r := p.store.For(path)
	if r == nil {
		p.t.Fatalf("%s is not protected", path)
	}
	v := r.NewValidator()
	v.Write([]byte(text))
	return v
}

const formatRules = `
[[rule]]
glob = "*.yaml"
format = "yaml"
[[rule]]
glob = "strict.csv"
format = "csv"
strict = true
[[rule]]
glob = "*.csv"
format = "csv"
[[rule]]
glob = "*.toml"
format = "toml"
[[rule]]
glob = "*.ini"
format = "ini"
[[rule]]
glob = "*.xml"
format = "xml"
[[rule]]
glob = "person*.json"
format = "json"
schema = "schemas/person.json"
[[rule]]
glob = "*.txt"
format = "exec"
command = ["sh", "-c", "grep -q good || { echo 'nothing good in '$INTACT_PATH >&2; exit 1; }"]
timeout = "1m"
`

const personSchema = `{"type": "object", "required": ["name"]}`

// A file is never held to more than its own past, in any format.
func TestFormats(t *testing.T) {
	for _, tt := range []struct {
		path, past string
		good       []string
		bad        []string // nothing is bad after a past that never parsed
		proven     bool
	}{
		{"new.yaml", "", []string{"a: 1\n"}, []string{"a: [\n", "a: 1\na: 2\n"}, false},
		{"lax.yaml", "a: 1\na: 2\n", []string{"a: 1\na: 3\n"}, []string{"a: [\n"}, false},
		{"broken.yaml", "a: [\n", []string{"a: {\n", "a: 1\n"}, nil, false},
		{"new.csv", "", []string{"a,b\n1,2\n"}, []string{"a,b\n1\n", "\"a\n"}, false},
		{"lax.csv", "a,b\n1\n", []string{"a,b\n1,2,3\n"}, []string{"\"a\n"}, false},
		{"strict.csv", "a,b\n1\n", []string{"a,b\n1,2\n"}, []string{"a,b\n1,2,3\n"}, false},
		{"new.toml", "", []string{"a = 1\n"}, []string{"a =\n"}, false},
		{"broken.toml", "a =\n", []string{"a =\n"}, nil, false},
		{"new.ini", "", []string{"[a]\nx = 1\n"}, []string{"[a\n", "x\n"}, false},
		{"lax.ini", "x\n", []string{"y\n"}, []string{"[a\n"}, false},
		{"new.xml", "", []string{"<a/>"}, []string{"<a>"}, true},
		{"broken.xml", "<a>", []string{"<b>"}, nil, false},
		{"person1.json", "", []string{`{"name": "x"}`}, []string{`{}`, `{"name": `, `// x`}, true},
		{"person2.json", `{}`, []string{`{"other": 1}`}, []string{`{`, "{} // x"}, true},
		{"person3.json", `{} // x`, []string{`{} // y`}, []string{`{`}, false},
		{"new.txt", "", []string{"very good"}, []string{"not so", ""}, false},
		{"broken.txt", "not so", []string{"still not"}, nil, false},
	} {
		t.Run(tt.path, func(t *testing.T) {
			p := newPlace(t)
			p.write(configName, formatRules)
			p.write("schemas/person.json", personSchema)
			if tt.past != "" {
				p.write(tt.path, tt.past)
			}
			p.open(Options{Create: true})
			for _, text := range tt.good {
				v := p.verdict(tt.path, text)
				if v.Verdict() != fs.Whole || v.Fault() != nil {
					t.Errorf("%q is %v: %+v", text, v.Verdict(), v.Fault())
				}
				if v.Proven() != tt.proven {
					t.Errorf("%q is proven: %v", text, v.Proven())
				}
			}
			for _, text := range tt.bad {
				v := p.verdict(tt.path, text)
				if v.Verdict() == fs.Whole || v.Fault() == nil || v.Fault().Line < 1 || v.Proven() {
					t.Errorf("%q is whole", text)
				}
			}
		})
	}
}

// What was valid once is held to that after a restart, too, and verify knows
// the format.
func TestFormatOfAPast(t *testing.T) {
	p := newPlace(t)
	p.write(configName, formatRules)
	p.write("schemas/person.json", personSchema)
	p.open(Options{Create: true})
	p.commit("a.yaml", "a: 1\n")
	p.commit("b.txt", "good\n")
	p.wantSound()
	p.close()
	p.write("a.yaml", "a: [\n")
	p.write("b.txt", "worse\n")
	p.open(Options{ReadOnly: true})
	r, err := p.store.Verify(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	reasons := ""
	for _, problem := range r.Problems {
		reasons += fmt.Sprintf("%+v\n", problem)
	}
	for _, want := range []string{"a.yaml", "YAML", "b.txt", "nothing good in b.txt"} {
		if !strings.Contains(reasons, want) {
			t.Errorf("no %q in\n%s", want, reasons)
		}
	}
	p.reopen(Options{})
	if v := p.verdict("a.yaml", "a: [\n"); v.Verdict() == fs.Whole {
		t.Error("a broken file beneath makes broken ones valid")
	}
}

func TestRuleMistakesOfADirectory(t *testing.T) {
	for _, tt := range []struct {
		name, rule string
		harm       func(t *testing.T, dir string)
		line       int
		want       string
	}{
		{"no schema", "glob = \"*.x\"\nformat = \"json\"\nschema = \"nothing.json\"\n", nil, 4, "no such file"},
		{"a bad schema", "glob = \"*.x\"\nformat = \"json\"\nschema = \"bad.json\"\n", nil, 4, "bad.json"},
		{"no command", "glob = \"*.x\"\nformat = \"exec\"\ncommand = [\"no-such-program-here\"]\n", nil, 4, "no-such-program-here"},
		{"others may write the configuration", "glob = \"*.x\"\nformat = \"exec\"\ncommand = [\"true\"]\n", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, configName), 0o666); err != nil {
				t.Fatal(err)
			}
		}, 4, "can be written by others"},
		{"others may replace the configuration", "glob = \"*.x\"\nformat = \"exec\"\ncommand = [\"true\"]\n", func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, Dir), 0o777); err != nil {
				t.Fatal(err)
			}
		}, 4, "can be written by others"},
		{"the configuration of somebody else", "glob = \"*.x\"\nformat = \"exec\"\ncommand = [\"true\"]\n", func(t *testing.T, dir string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			if err := os.Chown(filepath.Join(dir, configName), 12345, -1); err != nil {
				t.Fatal(err)
			}
		}, 4, "belongs to user 12345"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			p.close()
			p.write("bad.json", `{"type": 7}`)
			p.write(configName, "[[rule]]\n"+tt.rule)
			if tt.harm != nil {
				tt.harm(t, p.dir)
			}
			err := p.try(Options{Override: func(c *Config) { // as a flag does
				c.Rules = append([]RuleConfig{{Glob: "*.y", Format: FormatYAML}}, c.Rules...)
			}})
			var mistake *ConfigError
			if !errors.As(err, &mistake) || mistake.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want line %d and %q", err, tt.line, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("several lines: %q", err)
			}
		})
	}
}
