package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"
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

func (r *report) markdown() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintln(&b, r.sections)
	return b.String()
}

// cell makes a text fit for a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
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
