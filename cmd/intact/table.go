package main

import (
	"strings"
	"unicode/utf8"
)

// table is lines of aligned cells. The last cell of a line may be as long as it
// likes, and empty ones at the end leave no blanks.
type table struct {
	head  []string
	rows  [][]string
	codes []string // colour of each row; "" for none
}

// row adds a line in a colour, "" for none.
func (t *table) row(code string, cells ...string) {
	t.rows, t.codes = append(t.rows, cells), append(t.codes, code)
}

// printTable writes a table to standard output.
func (a *app) printTable(t *table) error {
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	if err := a.printf("%s\n", a.paint(bold, aligned(t.head, widths))); err != nil {
		return err
	}
	for i, row := range t.rows {
		line := aligned(row, widths)
		if t.codes[i] != "" {
			line = a.paint(t.codes[i], line)
		}
		if err := a.printf("%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func aligned(row []string, widths []int) string {
	var line strings.Builder
	for i, cell := range row {
		line.WriteString(cell)
		if i < len(row)-1 {
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
	}
	return strings.TrimRight(line.String(), " ")
}
