package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/cli.md anew")

func TestDocs(t *testing.T) {
	var b bytes.Buffer
	if err := writeDocs(&b, newApp().root()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("..", "..", "docs", "cli.md")
	if *update {
		if err := os.WriteFile(name, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("docs/cli.md is not what the commands say (-file +commands); write it anew with -update:\n%s", diff)
	}
}

func TestEveryCommandIsDescribed(t *testing.T) {
	root := newApp().root()
	for _, c := range root.Commands() {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short != strings.ToLower(c.Short[:1])+c.Short[1:] {
			t.Errorf("%s is described as %q", c.Name(), c.Short)
		}
	}
}
