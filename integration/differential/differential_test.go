package differential

import (
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"intactfs/integration/harness"
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleVar) {
	case "worker":
		work()
		os.Exit(0)
	case "holder":
		hold()
	}
	_ = flag.Set("rapid.nofailfile", "true") // the failure prints the sequence
	os.Exit(harness.Main(m))
}

// numberVar asks for a number of sequences of each kind.
const numberVar = "INTACT_DIFFERENTIAL"

// fixedSeed stands for a random one in the short form.
const fixedSeed = 3

// number is how many sequences a test runs.
func number(t *testing.T, short, long int) int {
	t.Helper()
	v := os.Getenv(numberVar)
	if v == "" {
		return harness.Scale(short, long)
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatalf("%s: %v", numberVar, err)
	}
	return n
}

// check runs n sequences from a seed, 0 for a random one in the long form,
// unless the command line says. The short form decides about changes: what it
// runs must not change by itself.
func check(t *testing.T, seed uint64, n int, prop func(*rapid.T)) {
	t.Helper()
	if seed == 0 && os.Getenv(numberVar) == "" && !harness.Long() {
		seed = fixedSeed
	}
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{"rapid.seed": strconv.FormatUint(seed, 10), "rapid.checks": strconv.Itoa(n)} {
		f := flag.Lookup(name)
		if given[name] && !set[name] {
			continue
		}
		set[name] = true
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = flag.Set(name, f.DefValue) }()
	}
	rapid.Check(t, prop)
}

// set are the flags that were not given, but set by check.
var set = map[string]bool{}

// TestAnything runs sequences of anything: several writers at once, torn
// content, killed processes.
func TestAnything(t *testing.T) {
	for _, mount := range []struct {
		name, delay string
		seed        uint64
	}{
		{"published at once", "1ms", 1},
		{"published later", "1h", 2},
		{"published some time", "20ms", 0},
	} {
		t.Run(mount.name, func(t *testing.T) {
			e := newEnv(t, "--publish-delay="+mount.delay)
			check(t, mount.seed, number(t, 25, 300), func(t *rapid.T) {
				r := e.begin(t, false)
				defer r.cleanup()
				for _, o := range before {
					r.step(o)
				}
				t.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) {}, "operation": func(t *rapid.T) {
					r.step(wild.Draw(t, "operation"))
				}})
				r.finish()
			})
		})
	}
}

// sequence is what the file of a failure holds.
type sequence struct {
	Same bool
	Ops  []op
}

// TestReplay runs the sequence in the file that INTACT_REPLAY names; without
// one, what other sequences begin with, written and read as such a file is.
func TestReplay(t *testing.T) {
	b, err := json.Marshal(sequence{Ops: before})
	if file := os.Getenv("INTACT_REPLAY"); file != "" {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	var s sequence
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	r := newEnv(t).begin(t, s.Same)
	defer r.cleanup()
	for _, o := range s.Ops {
		r.step(o)
	}
	r.finish()
}
