package faults

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// row is one fault and what came of it.
type row struct {
	fault, saw, told, left string
}

// report collects the rows of all tests.
type report struct {
	mu       sync.Mutex
	sections map[string][]row
}

var table report

func (r *report) add(section string, line row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sections == nil {
		r.sections = map[string][]row{}
	}
	r.sections[section] = append(r.sections[section], line)
}

// head stands above the tables.
const head = `# Faults

What real faults do to a real mount: what the program saw, what a person is
told (by the log, unless a command is named), and what is left. Every line was
written by the test that made the fault, in a run on %s, of

    go test ./integration/faults -count=1 -table $PWD/docs/faults.md

INTACT_LONG=1 runs the long form. After each fault the plain directory was
whole without recovery, every acknowledged save was there after it, and
` + "`intact verify`" + ` exited with 0, unless the line says otherwise.
`

// sections are the tables in their order, and what is to be known of them.
var sections = []struct{ name, about string }{
	{"Killed at a step", "The daemon is killed before or after the operation with a label. What a person is told is said by `intact recover`.\nIn the middle of a rename the history may still have the old name: then `intact verify` exits with 6\nuntil the next mount, which follows the rename."},
	{"EIO, once", "One operation of the disk fails. A failed sync of the journal stops it: what is on the disk is unknown then."},
	{"No space left", "The disk, an ext4 of 96 MiB, becomes full at the moment an operation begins."},
	{"A read-only disk", "The disk below the mount can't be written any more."},
	{"No descriptors left", "The daemon may have 64 descriptors."},
	{"A disk that hangs", "One operation takes long."},
	{"A failing device", "The block device below the file system below the mount fails, or hangs, from a moment on;\nafter the fault it is healed, and the file system and intact are mounted again."},
	{"A byte changed on the disk", "In turn, bytes all over each file of a directory whose daemon was killed; `intact verify` and `intact recover` look.\nNo plain file ever had a content that nobody saved. A limit: a change in the last record before a kill can't be\ntold from a write that was not finished: that commit is not replayed; it is named, and its content, if whole,\nis in the quarantine."},
}

func (r *report) markdown() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, head, time.Now().Format(time.DateOnly))
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Fault | The program saw | A person is told | What is left |\n|---|---|---|---|\n", s.name, s.about)
		rows := slices.Clone(r.sections[s.name])
		sort.Slice(rows, func(i, k int) bool { return rows[i].fault < rows[k].fault })
		for _, line := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", cell(line.fault), cell(line.saw), cell(line.told), cell(line.left))
		}
	}
	return b.String()
}

// cell makes a text fit for a table. Names that differ from run to run, and
// what is too long to be read, are left out.
func cell(s string) string {
	words := strings.Fields(s)
	for i, w := range words {
		if at := strings.Index(w, "/tmp/"); at >= 0 {
			words[i] = w[:at] + "…"
		}
	}
	s = strings.ReplaceAll(strings.Join(words, " "), "|", `\|`)
	if len(s) > 400 {
		s = strings.ToValidUTF8(s[:400], "") + " …"
	}
	if s == "" {
		return "–"
	}
	return s
}

// unique joins different texts.
func unique(texts []string) string {
	var all []string
	for _, s := range texts {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return strings.Join(all, ", ")
}
