package integration

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "intactfs"

// arrows says for each package which packages it must not import, directly or
// by way of another. A trailing /... means the package and all below it.
var arrows = []struct {
	from string
	deny []string
	why  string
}{
	{"validate/...", []string{"fs/...", "journal/...", "backup/...", "store/...", "control/...", "cmd/..."}, "validate judges bytes and knows nothing else"},
	{"journal/disk", []string{"..."}, "the disk interface stands below everything"},
	{"journal", []string{"fs/...", "backup/...", "validate/...", "store/...", "control/...", "cmd/..."}, "journal knows only the disk interface"},
	{"backup/...", []string{"fs/...", "journal", "validate/...", "store/...", "control/...", "cmd/..."}, "backup knows only the disk interface"},
	{"fs/...", []string{"journal/...", "backup/...", "validate/...", "store/...", "control/...", "cmd/..."}, "fs speaks through its own ports"},
	{"store/...", []string{"control/...", "cmd/..."}, "commands stand above the store"},
	{"integration/...", []string{"cmd/..."}, "integration drives the binary"},
}

// fuseBelow are the packages that may speak FUSE, by import or by way of one.
var fuseBelow = []string{"fs/...", "store/...", "control/...", "cmd/...", "integration/..."}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Imports,Deps", module+"/...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// covers reports whether a pattern such as fs/... stands for the package.
func covers(pattern, pkg string) bool {
	rel, ours := strings.CutPrefix(pkg, module+"/")
	if !ours {
		return false
	}
	if pattern == "..." {
		return true
	}
	tree, whole := strings.CutSuffix(pattern, "/...")
	return rel == tree || whole && strings.HasPrefix(rel, tree+"/")
}

func coveredByAny(patterns []string, pkg string) bool {
	for _, p := range patterns {
		if covers(p, pkg) {
			return true
		}
	}
	return false
}

func TestArrows(t *testing.T) {
	packages := listPackages(t)
	if len(packages) == 0 {
		t.Fatal("go list found no package")
	}
	for _, p := range packages {
		for _, a := range arrows {
			if !covers(a.from, p.ImportPath) {
				continue
			}
			for _, dep := range p.Deps {
				if dep != p.ImportPath && coveredByAny(a.deny, dep) {
					t.Errorf("%s reaches %s: %s", p.ImportPath, dep, a.why)
				}
			}
		}
	}
}

func TestOnlySomeSpeakFUSE(t *testing.T) {
	for _, p := range listPackages(t) {
		if coveredByAny(fuseBelow, p.ImportPath) {
			continue
		}
		for _, dep := range p.Deps {
			if strings.HasPrefix(dep, "github.com/hanwen/go-fuse/") {
				t.Errorf("%s reaches %s: only fs speaks FUSE", p.ImportPath, dep)
			}
		}
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		pattern, pkg string
		want         bool
	}{
		{"fs/...", "intactfs/fs", true},
		{"fs/...", "intactfs/fs/stage", true},
		{"fs/...", "intactfs/fsx", false},
		{"journal", "intactfs/journal", true},
		{"journal", "intactfs/journal/disk", false},
		{"...", "intactfs/fs", true},
		{"...", "os", false},
	}
	for _, tt := range tests {
		if got := covers(tt.pattern, tt.pkg); got != tt.want {
			t.Errorf("covers(%q, %q) = %v, want %v", tt.pattern, tt.pkg, got, tt.want)
		}
	}
}
