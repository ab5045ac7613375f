package programs

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"intactfs/integration/harness"
)

var tablePath = flag.String("table", "", "write the table of programs to this file")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

// config protects what has no format of its own here against emptiness and
// killed writers.
const config = `
[[rule]]
glob = "*.yaml"
format = "opaque"

[[rule]]
glob = "*.conf"
format = "opaque"

[[rule]]
glob = "` + nodePersistFile + `"
format = "json"
`

// all reports whether every program of the list has to run.
func all() bool { return os.Getenv("INTACT_PROGRAMS") == "all" }

// row is what the table says of a program.
type row struct {
	program
	reads, kills, versions int
	failed                 bool
}

// TestPrograms drives the programs of the list.
func TestPrograms(t *testing.T) {
	m := harness.New(t, harness.Options{Lifetime: 20 * time.Minute})
	write(t, m.Backing(".intact/config.toml"), config)
	m.Start()
	b := prepare(t, m)
	rows := make([]row, len(list))
	t.Run("list", func(t *testing.T) {
		for i, p := range list {
			if !all() && !p.core {
				continue
			}
			t.Run(p.group+"/"+p.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = row{program: p, failed: true}
				b.drive(t, i, &rows[i])
				rows[i].failed = t.Failed()
			})
		}
	})
	m.Unmount()
	table := makeTable(rows)
	t.Logf("\n%s", table)
	if *tablePath != "" {
		if err := os.WriteFile(*tablePath, []byte(table), 0o644); err != nil {
			t.Error(err)
		}
	}
}

// bench is what the programs work with.
type bench struct {
	m      *harness.Mount
	native string
	src    string
	data   string
	bin    string
	home   string
}

func prepare(t *testing.T, m *harness.Mount) *bench {
	t.Helper()
	data, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{m: m, native: t.TempDir(), src: t.TempDir(), bin: t.TempDir(), home: t.TempDir(), data: data}
	for n := range 4 {
		doc := source(n)
		write(t, filepath.Join(b.src, fmt.Sprintf("%d.json", n)), doc)
		write(t, filepath.Join(b.src, fmt.Sprintf("%d.txt", n)), strings.Repeat(fmt.Sprintf("text of version %d ", n), 300))
		state := filepath.Join(b.src, "state.json")
		write(t, state, doc)
		for tool, args := range map[string][]string{
			"tar": {"-C", b.src, "-cf", fmt.Sprintf("%s/%d.tar", b.src, n), "state.json"},
			"zip": {"-qj", fmt.Sprintf("%s/%d.zip", b.src, n), state},
		} {
			if have(tool) {
				harness.Must(t, append([]string{tool}, args...)...)
			}
		}
	}
	if have("gcc") && all() {
		for _, name := range []string{"save", "mapread"} {
			harness.Must(t, "gcc", "-O1", "-o", filepath.Join(b.bin, name), filepath.Join(data, "c", name+".c"))
		}
	}
	if have("javac") && all() {
		harness.Must(t, "javac", "-d", b.bin, filepath.Join(data, "java", "Write.java"))
	}
	return b
}

// source is version n of the document that tools copy and edit: one row a
// line, the version in the first.
func source(n int) string {
	var s strings.Builder
	fmt.Fprintf(&s, "{\"version\": %d,\n\"rows\": [\n", n)
	for i := range 900 {
		fmt.Fprintf(&s, "{\"id\": %d, \"text\": \"row %d of the rows that every version has\"},\n", i, i)
	}
	s.WriteString("{}]}\n")
	return s.String()
}

func have(tool string) bool {
	return syscall.Access("/usr/bin/"+tool, 1) == nil || lookPath(tool)
}

func lookPath(tool string) bool {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if info, err := os.Stat(filepath.Join(dir, tool)); err == nil && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}

// interpreter finds a Python that has the module.
func interpreter(t *testing.T, module string) string {
	t.Helper()
	first := harness.Tool(t, "python3")
	if module == "" {
		return first
	}
	for _, python := range []string{first, "/usr/bin/python3"} {
		if harness.Run(t, python, "-c", "import "+module).Code == 0 {
			return python
		}
	}
	harness.Lacks(t, "no Python here has the module %s: run make programs", module)
	return ""
}

// subject is one program on one directory.
type subject struct {
	b      *bench
	p      program
	dir    string
	python string
}

func (s subject) file() string {
	if s.p.file != "" {
		return s.p.file
	}
	return "state.json"
}

func (s subject) path() string { return filepath.Join(s.dir, s.file()) }

func (s subject) command(n int, script string) harness.Cmd {
	return harness.Cmd{Args: []string{"sh", "-c", script}, Dir: s.dir, Timeout: 2 * harness.Patience, Env: []string{
		"FILE=" + s.file(), fmt.Sprintf("N=%d", n), "SRC=" + s.b.src, "DATA=" + s.b.data, "BIN=" + s.b.bin,
		"PYTHON=" + s.python, "HOME=" + s.b.home, "GIT_CONFIG_GLOBAL=/dev/null", "NO_COLOR=1",
	}}
}

// seed puts version 0 there.
func (s subject) seed(t *testing.T) {
	t.Helper()
	if s.p.fresh {
		return
	}
	doc := source(0)
	if s.file() == "package.json" {
		doc = `{"name": "x", "version": "1.0.0"}`
	}
	write(t, s.path(), doc)
}

// drive does with a program all that the suite checks.
func (b *bench) drive(t *testing.T, i int, r *row) {
	p := r.program
	for _, tool := range p.needs {
		if !have(tool) {
			harness.Lacks(t, "%s is not installed: run make programs", tool)
		}
	}
	if p.node {
		if _, err := os.Stat(filepath.Join(b.data, "node", "node_modules", ".complete")); err != nil {
			harness.Lacks(t, "the Node packages are not installed: run make programs")
		}
	}
	name := fmt.Sprintf("p%02d", i)
	native := subject{b, p, filepath.Join(b.native, name), interpreter(t, p.module)}
	mounted := subject{b, p, b.m.File(name), native.python}
	for _, s := range []subject{native, mounted} {
		if err := os.MkdirAll(filepath.Dir(s.path()), 0o755); err != nil {
			t.Fatal(err)
		}
		s.seed(t)
	}
	whole := native.referenceRun(t)
	if t.Failed() {
		return
	}
	took := mounted.sameResult(t, r, native, whole)
	if t.Failed() {
		return
	}
	r.versions = mounted.history(t, whole)
	mounted.killed(t, r, whole, took)
}

// versions are the contents a file may have.
type versions struct {
	exact map[string]bool // nil: any valid content
	final []string        // after each run, natively
	codes []int
}

func (v *versions) check(content []byte, file string) error {
	if v.exact != nil {
		if !v.exact[string(content)] {
			return fmt.Errorf("%d bytes that are no version: %.60q … %.60q", len(content), content, content[max(0, len(content)-60):])
		}
		return nil
	}
	return valid(content, file)
}

// valid judges the contents of programs whose contents can't be foreseen.
func valid(content []byte, file string) error {
	switch filepath.Ext(file) {
	case ".json":
		if !json.Valid(content) {
			return fmt.Errorf("torn: %d bytes ending in %.60q", len(content), content[max(0, len(content)-60):])
		}
	case ".jsonl":
		for line := range bytes.Lines(content) {
			if !json.Valid(line) || line[len(line)-1] != '\n' {
				return fmt.Errorf("torn line %.80q", line)
			}
		}
	}
	return nil
}

// referenceRun runs the program natively and tells what it makes.
func (s subject) referenceRun(t *testing.T) *versions {
	t.Helper()
	v := &versions{}
	if !s.p.free {
		v.exact = map[string]bool{}
		if !s.p.fresh {
			v.exact[read(t, s.path())] = true
		}
	}
	script := s.p.script
	if s.p.native != "" {
		script = s.p.native
	}
	for n := 1; n <= 3; n++ {
		r := s.command(n, script).Run(t)
		if r.Code != 0 {
			t.Fatalf("natively: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		content := read(t, s.path())
		v.final = append(v.final, content)
		v.codes = append(v.codes, r.Code)
		if v.exact != nil {
			v.exact[content] = true
		}
	}
	return v
}

// sameResult runs the program in the mount beside a reader, and compares.
func (s subject) sameResult(t *testing.T, r *row, native subject, v *versions) time.Duration {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	var reads atomic.Int64
	go func() {
		defer close(stopped)
		s.watch(t, v, &reads, stop)
	}()
	var took time.Duration
	for n := 1; n <= 3; n++ {
		start := time.Now()
		run := s.command(n, s.p.script).Run(t)
		took = time.Since(start)
		if run.Code != v.codes[n-1] {
			t.Errorf("version %d: exit %d, natively %d\n%s%s", n, run.Code, v.codes[n-1], run.Stdout, run.Stderr)
			break
		}
		content := read(t, s.path())
		if s.p.free {
			if err := v.check([]byte(content), s.file()); err != nil && !s.p.plain {
				t.Errorf("version %d: %v", n, err)
			}
		} else if content != v.final[n-1] {
			t.Errorf("version %d: %d bytes, natively %d: %.80q", n, len(content), len(v.final[n-1]), content)
		}
	}
	close(stop)
	<-stopped
	r.reads = int(reads.Load())
	if got, want := names(t, s.dir), names(t, native.dir); !s.p.free && got != want {
		t.Errorf("the directory holds %s, natively %s", got, want)
	}
	return took
}

// watch reads the file all the time.
func (s subject) watch(t *testing.T, v *versions, reads *atomic.Int64, stop <-chan struct{}) {
	var there bool
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(rand.IntN(1500)) * time.Microsecond):
		}
		content, err := os.ReadFile(s.path())
		if errors.Is(err, iofs.ErrNotExist) && (!there || s.p.gap) {
			continue
		}
		if err != nil {
			t.Errorf("a reader: %v", err)
			return
		}
		// A new file that its program only touched is there, and empty.
		if len(content) == 0 && !there && s.p.fresh {
			continue
		}
		there = true
		reads.Add(1)
		if s.p.plain {
			continue
		}
		if err := v.check(content, s.file()); err != nil {
			t.Errorf("a reader saw %v", err)
			return
		}
	}
}

// killed kills the program at random instants.
func (s subject) killed(t *testing.T, r *row, v *versions, took time.Duration) {
	t.Helper()
	rounds := 3
	if all() {
		rounds = 8
	}
	if s.p.plain {
		return
	}
	for round := range rounds {
		before := read(t, s.path())
		p := s.command(2+round%2, s.p.script).Start(t)
		time.Sleep(time.Duration(rand.Int64N(int64(took) + 1)))
		p.KillGroup()
		p.Wait(t, 0)
		r.kills++
		content, err := os.ReadFile(s.path())
		if errors.Is(err, iofs.ErrNotExist) && s.p.gap {
			write(t, s.path(), before)
			continue
		}
		if err != nil {
			t.Errorf("killed: %v", err)
			return
		}
		if err := v.check(content, s.file()); err != nil {
			t.Errorf("killed: %v", err)
			return
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v", err)
	}
	return string(content)
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// names lists a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	sort.Strings(all)
	return strings.Join(all, " ")
}
