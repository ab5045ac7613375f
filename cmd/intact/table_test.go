package main

import (
	"bytes"
	"testing"
)

func TestTable(t *testing.T) {
	tab := &table{head: []string{"NAME", "SIZE", "NOTE"}}
	tab.row("", "a", "1 B", "")
	tab.row(red, "größer", "", "said of it")
	tab.row("", "b", "12345 B", "x")
	for _, tt := range []struct {
		color bool
		want  string
	}{
		{false, "NAME    SIZE     NOTE\na       1 B\ngrößer           said of it\nb       12345 B  x\n"},
		{true, "\x1b[" + bold + "mNAME    SIZE     NOTE\x1b[0m\na       1 B\n\x1b[" + red + "mgrößer           said of it\x1b[0m\nb       12345 B  x\n"},
	} {
		var out bytes.Buffer
		a := &app{stdout: &out, color: tt.color}
		if err := a.printTable(tab); err != nil {
			t.Fatal(err)
		}
		if out.String() != tt.want {
			t.Errorf("got\n%swant\n%s", out.String(), tt.want)
		}
	}
}
