package main

import (
	"context"

	"intactfs/integration/bench/result"
)

// scenario is a named group of measurements.
type scenario struct {
	name string
	run  func(context.Context, *place) ([]result.Result, error)
}

// scenarios in the order of a full run. Those that restart the daemon over
// the data directory come last.
var scenarios = []scenario{
	{"save", smallSaves},
	{"python", pythonSaves},
	{"large", largeSaves},
	{"read", reads},
	{"mix", mixed},
	{"append", appends},
	{"tree", tree},
	{"matrix", matrix},
	{"history", history},
	{"recovery", recovery},
	{"memory", memory},
	{"million", million},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}
