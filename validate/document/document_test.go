package document

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"intactfs/validate"
)

// judged is a document for a judge, and the line and column of what is wrong
// with it; 0 if nothing is.
type judged struct {
	name, text   string
	line, column int64
	reason       string // in the reason
}

func check(t *testing.T, j Judge, tests []judged) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fault := j([]byte(tt.text))
			if tt.line == 0 {
				if fault != nil {
					t.Errorf("got %v, want it valid", fault)
				}
				return
			}
			if fault == nil {
				t.Fatalf("it is valid, want a fault at %d:%d", tt.line, tt.column)
			}
			if fault.Line != tt.line || fault.Column != tt.column || !strings.Contains(fault.Reason, tt.reason) {
				t.Errorf("got %v, want %d:%d and %q", fault, tt.line, tt.column, tt.reason)
			}
			if want := at([]byte(tt.text), fault.Offset, ""); want.Line != fault.Line || fault.Offset > int64(len(tt.text)) {
				t.Errorf("offset %d is in line %d, not %d", fault.Offset, want.Line, fault.Line)
			}
		})
	}
}

func TestYAML(t *testing.T) {
	check(t, YAML(true), []judged{
		{"a mapping", "a: 1\nb:\n  - x\n  - y\n", 0, 0, ""},
		{"several documents", "---\na: 1\n---\nb: 2\n...\n", 0, 0, ""},
		{"comments alone", "# nothing\n", 0, 0, ""},
		{"a scalar", "hello\n", 0, 0, ""},
		{"anchors and merges", "a: &x {n: 1}\nb:\n  <<: *x\n  <<: *x\n", 0, 0, ""},
		{"a mark", "\ufeffa: 1\n", 0, 0, ""},
		{"an open list", "a: [1, 2\nb: 3\n", 2, 2, "YAML"},
		{"an open string", "a: \"never closed\nb: 2\n", 3, 1, "YAML"},
		{"a tab", "a:\n\t- b\n", 2, 1, "YAML"},
		{"an unknown anchor", "a: *nobody\n", 1, 4, "YAML"},
		{"in the second document", "a: 1\n---\nb: [\n", 4, 1, "YAML"},
		{"a key twice", "a: 1\nb: 2\na: 3\n", 3, 1, `"a" is there twice`},
		{"a key twice, deep", "l:\n  - x: 1\n    x: 2\n", 3, 5, `"x" is there twice`},
		{"NUL", "a: 1\n\x00", 2, 1, "NUL"},
		{"not UTF-8", "a: \xff\n", 1, 4, "UTF-8"},
	})
	if fault := YAML(false)([]byte("a: 1\na: 2\n")); fault != nil {
		t.Errorf("lax: %v", fault)
	}
}

func TestTOML(t *testing.T) {
	check(t, TOML, []judged{
		{"tables", "a = 1\n[t]\nb = \"x\"\n[[l]]\nc = 1979-05-27\n", 0, 0, ""},
		{"nothing but a comment", "# x\n", 0, 0, ""},
		{"a mark", "\ufeffa = 1\n", 0, 0, ""},
		{"no value", "a = 1\nb =\n", 2, 4, "TOML"},
		{"an open string", "a = 1\nb = \"x\n", 2, 7, "TOML"},
		{"a key twice", "a = 1\na = 2\n", 2, 1, "TOML"},
		{"NUL", "a = 1\x00", 1, 6, "NUL"},
	})
}

func TestXML(t *testing.T) {
	check(t, XML, []judged{
		{"a document", "<?xml version=\"1.0\"?>\n<!-- c -->\n<a x=\"1\"><b/>text &amp; more</a>\n<!-- end -->\n", 0, 0, ""},
		{"namespaces", `<a xmlns:p="u" p:x="1" x="2"><p:b/></a>`, 0, 0, ""},
		{"a mark", "\ufeff<a/>", 0, 0, ""},
		{"an entity of its own", "<!DOCTYPE a [<!ENTITY me \"x\">]><a>&me;</a>", 0, 0, ""},
		{"Latin 1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>" + strings.Repeat("\xe9", 5000) + "</a>", 0, 0, ""},
		{"an element that stays open", "<a>\n<b>\n</b>\n", 4, 1, "before its root"},
		{"nothing", "\n", 2, 1, "before its root"},
		{"two roots", "<a/>\n<b/>", 2, 1, "second root"},
		{"text behind the root", "<a/>\nmore", 1, 5, "outside"},
		{"the wrong end", "<a>\n</b>", 2, 1, "the end of b, where a ends first"},
		{"an end too many", "<a/></a>", 1, 5, "did not begin"},
		{"an attribute twice", `<a x="1" x="2"/>`, 1, 1, "twice"},
		{"a value without quotes", "<a x=1/>", 1, 7, "XML"},
		{"an unknown entity", "<a>&nobody;</a>", 1, 12, "entity"},
		{"cut in a tag", "<a><b", 1, 6, "XML"},
		{"too deep", strings.Repeat("<a>", maxDepth+1), 1, 3*maxDepth + 1, "too deep"},
	})
}

func TestCSV(t *testing.T) {
	check(t, CSV(true), []judged{
		{"records", "a,b\n1,2\n3,4\n", 0, 0, ""},
		{"semicolons", "\"a\";\"b\"\n\"1;1\";2\n", 0, 0, ""},
		{"tabs", "a\tb\n1\t2", 0, 0, ""},
		{"lines within quotes", "a,b\n\"x\ny\",2\n", 0, 0, ""},
		{"a mark", "\ufeff\"a\",b\n1,2\n", 0, 0, ""},
		{"one column", "a\nb\n", 0, 0, ""},
		{"a record cut short", "a,b,c\n1,2,3\n4,5", 3, 1, "2 fields among those of 3"},
		{"an open quote", "a,b\n\"1,2\n", 2, 6, "CSV"},
		{"a quote within", "a,b\n1,x\"y\n", 2, 4, "CSV"},
		{"NUL", "a,b\n1,\x00\n", 2, 3, "NUL"},
	})
	if fault := CSV(false)([]byte("a,b\n1\n1,2,3\n")); fault != nil {
		t.Errorf("uneven: %v", fault)
	}
}

func TestINI(t *testing.T) {
	check(t, INI(true), []judged{
		{"sections", "[a]\nx = 1\ny: 2 ; not a comment\n\n[b]\n; comment\n# comment\n", 0, 0, ""},
		{"before all sections", "x=1\n", 0, 0, ""},
		{"several lines", "[a]\nlist =\n  one\n  two\n", 0, 0, ""},
		{"a section twice", "[a]\nx=1\n[a]\nx=2\n", 0, 0, ""},
		{"an open section", "[a]\nx = 1\n[b\n", 3, 1, "unclosed section"},
		{"a key without a value", "[a]\nx\n", 2, 1, "delimiter"},
		{"NUL", "[a]\nx = \x00\n", 2, 5, "NUL"},
	})
	if fault := INI(false)([]byte("[mysqld]\nskip-networking\n")); fault != nil {
		t.Errorf("lax: %v", fault)
	}
}

// Deep nesting must cost neither the stack nor time.
func TestDeepNesting(t *testing.T) {
	for name, tt := range map[string]struct {
		j    Judge
		text string
	}{
		"yaml": {YAML(true), strings.Repeat("[", 100_000)},
		"toml": {TOML, "a = " + strings.Repeat("[", 100_000)},
		"xml":  {XML, strings.Repeat("<a>", 1_000_000)},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.j([]byte(tt.text)) == nil {
				t.Error("it is valid")
			}
		})
	}
}

// bombs grow a thousandfold where aliases and entities are put in place.
func TestBombs(t *testing.T) {
	yaml := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	xml := `<!DOCTYPE r [<!ENTITY e0 "x">`
	for i := range 12 {
		yaml += fmt.Sprintf("b%d: &b%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat("*a,", 9), ","))
		xml += fmt.Sprintf(`<!ENTITY e%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&e%d;", i), 10))
	}
	if fault := YAML(true)([]byte(yaml)); fault != nil {
		t.Errorf("aliases are not put in place to judge: %v", fault)
	}
	if fault := XML([]byte(xml + "]><r>&e12;</r>")); fault != nil {
		t.Errorf("entities are not put in place to judge: %v", fault)
	}
}

func TestCheckerAsksAtTheEnd(t *testing.T) {
	calls := 0
	c := New(func(content []byte) *validate.Error {
		if calls++; string(content) != "whole" {
			return at(content, 0, "not yet")
		}
		return nil
	}, Options{})
	for i := range len("whole") {
		if n, err := c.Write([]byte("whole")[i : i+1]); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	if calls != 0 || !validate.AtEnd(c) {
		t.Errorf("asked %d times before the end", calls)
	}
	for range 3 {
		if c.Verdict() != validate.Whole || c.Err() != nil || c.Proven() {
			t.Error("it is not whole, or proven")
		}
	}
	if calls != 1 {
		t.Errorf("asked %d times, want once", calls)
	}
	clone := c.Clone()
	_, _ = clone.Write([]byte("!"))
	_, _ = c.Write([]byte("?"))
	if clone.Verdict() != validate.Invalid || clone.Err() == nil || c.Verdict() != validate.Invalid {
		t.Error("what is behind the end is ignored")
	}
}

func TestCheckerOfALargeDocument(t *testing.T) {
	c := New(func([]byte) *validate.Error { t.Error("it was judged"); return nil }, Options{Proven: true})
	piece := make([]byte, 1<<20)
	for range MaxSize/len(piece) + 1 {
		_, _ = c.Write(piece)
	}
	if c.Verdict() != validate.Whole || c.Err() != nil || c.Proven() {
		t.Errorf("verdict %v, %v, proven %v", c.Verdict(), c.Err(), c.Proven())
	}
}

func TestProven(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		c          validate.Checker
		want       bool
	}{
		{"yaml", "a: 1\n", New(YAML(true), Options{}), false},
		{"xml", "<a/>", New(XML, Options{Proven: true}), true},
		{"torn xml", "<a>", New(XML, Options{Proven: true}), false},
		{"json", "{}", New(All(), Options{First: validate.JSON(validate.Options{})}), true},
		{"a bare number", "12", New(All(), Options{First: validate.JSON(validate.Options{})}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _ = tt.c.Write([]byte(tt.text))
			if got := tt.c.Proven(); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// Whatever comes, a judge gives a place within the document, and does not keep
// or change it.
func TestJudgesNeverPanic(t *testing.T) {
	words := []string{"a", ":", " ", "\n", "- ", "[", "]", "{", "}", "=", "\"", "'", "<a>", "</a>", "<!DOCTYPE x>", "<?xml", "&x;", ",", ";", "#", "\t", "\xff", "\x00", "|", "%", "...", "---", "*a", "&a"}
	judges := map[string]Judge{"yaml": YAML(true), "toml": TOML, "xml": XML, "csv": CSV(true), "ini": INI(true)}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 30).Draw(t, "words"), "")
		for name, j := range judges {
			content := []byte(text)
			fault := j(content)
			if string(content) != text {
				t.Fatalf("%s changed the document", name)
			}
			if fault != nil && (fault.Offset < 0 || fault.Offset > int64(len(text)) || fault.Line < 1 || fault.Column < 1 || fault.Reason == "") {
				t.Fatalf("%s: %+v", name, fault)
			}
		}
	})
}
