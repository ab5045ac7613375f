package faults

import (
	"go/ast"
	"go/parser"
	"go/token"
	iofs "io/fs"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// unreached are the steps that no scenario gets to.
var unreached = map[string]string{
	"open:make-dirs": "the store has made the directories before; the journal makes them as a library",
	"open:sync-dirs": "as open:make-dirs",
	"history:cut":    "comes after a failed write of a version so large that history streams it",
	"segment:remove": "comes after tens of MiB of commits that could not be published",
}

var labelShape = regexp.MustCompile(`^[a-z]+:[a-z][a-z-]*$`)

// labels are all step labels in the source of what goes through the disk.
func labels(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, dir := range []string{"journal", "backup", "store"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, e iofs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case e.IsDir() && (e.Name() == "disk" || e.Name() == "testdata" || e.Name() == "campaign"):
				return iofs.SkipDir
			case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if s, err := strconv.Unquote(lit.Value); err == nil && labelShape.MatchString(s) {
						found[s] = true
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	all := make([]string, 0, len(found))
	for label := range found {
		all = append(all, label)
	}
	sort.Strings(all)
	return all
}
