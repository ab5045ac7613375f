package faults

import (
	"fmt"
	"testing"
)

func TestReference(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			r := newRig(t, "")
			s.prepare(r)
			before := len(r.trace())
			r.plan.set(t, s.faults...)
			for _, err := range s.perform(r) {
				t.Errorf("%v", err)
			}
			count := map[string]int{}
			var order []string
			for _, l := range r.trace()[before:] {
				if count[l]++; count[l] == 1 {
					order = append(order, l)
				}
			}
			for _, l := range order {
				fmt.Println(s.name, l, count[l])
			}
		})
	}
}
