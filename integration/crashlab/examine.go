package crashlab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/ledger"
	"intactfs/integration/crashlab/volume"
)

// Phase is the moment of an examination at which something was wrong.
type Phase string

// The phases, in their order.
const (
	PhaseMount   Phase = "mount"            // the file system itself is lost
	PhaseBare    Phase = "before recovery"  // the plain directory
	PhaseRecover Phase = "recovery"         // Subject.Recover
	PhaseAfter   Phase = "after recovery"   // the directory then
	PhaseInspect Phase = "inspection"       // what verifies, and what can be had back
	PhaseAgain   Phase = "second recovery"  // recovering again changed something
	PhaseSame    Phase = "crashed recovery" // a crash during recovery changed the result
)

// Violation is what is wrong in one state.
type Violation struct {
	State  blocklog.State
	Phase  Phase
	Parent *blocklog.State // the state in whose recovery the crash came
	Err    error
	Log    string // file with the log that leads to State, for Replay; may be empty

	want digest // what the recovery should have led to, for Replay
}

// Error implements error.
func (v *Violation) Error() string {
	text := fmt.Sprintf("%v: %s: %v", v.State, v.Phase, v.Err)
	if v.Parent != nil {
		text = fmt.Sprintf("in the recovery of %v: %s", *v.Parent, text)
	}
	if v.Log != "" {
		text += fmt.Sprintf("\nreplay with: -log %s -replay %d", v.Log, v.State.Number)
	}
	return text
}

// Unwrap gives the cause.
func (v *Violation) Unwrap() error { return v.Err }

// patience bounds the examination of one state; it takes milliseconds.
const patience = 2 * time.Minute

// exam is one crash to look at.
type exam struct {
	kind    volume.Type
	subject Subject
	ledger  ledger.Ledger
	end     int    // the crash came before this operation of the ledger's log
	want    digest // what recovery must lead to; nil: not known
}

// result is what an examination that found nothing wrong leaves.
type result struct {
	digest digest
	loss   time.Duration // how old the oldest save was that is lost, and may be
}

// digest is the checksum of each file below a directory, by path.
type digest map[string][sha256.Size]byte

// examine mounts the crash image in a file and asks everything. It writes to
// the image, as recovery does. The error is a *Violation or one of the
// laboratory.
func (l *Lab) examine(ctx context.Context, image string, x exam) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	defer l.watch(ctx)()
	v, err := l.mount(x.kind, image)
	if errors.Is(err, volume.ErrMount) {
		return result{}, &Violation{Phase: PhaseMount, Err: err}
	}
	if err != nil {
		return result{}, err
	}
	found, err := x.ask(ctx, filepath.Join(v.Dir, dataName))
	return found, errors.Join(err, l.unmount(v))
}

// ask asks the questions in order and stops at the first bad answer.
func (x exam) ask(ctx context.Context, data string) (result, error) {
	var found result
	for _, q := range []struct {
		phase Phase
		ask   func() error
	}{
		{PhaseBare, func() error { return checkFiles(data, x.ledger.Bare(x.end)) }},
		{PhaseRecover, func() error { return x.subject.Recover(ctx, data) }},
		{PhaseAfter, func() (err error) {
			err = errors.Join(checkFiles(data, x.ledger.After(x.end)), x.together(data))
			if err == nil && x.ledger.Grace > 0 {
				found.loss, err = x.loss(data)
			}
			return err
		}},
		{PhaseInspect, func() error { return x.inspect(ctx, data) }},
		{PhaseSame, func() (err error) {
			found.digest, err = digestOf(data)
			if err == nil && x.want != nil {
				err = compare(found.digest, x.want)
			}
			return err
		}},
		{PhaseAgain, func() error { return x.again(ctx, data, found.digest) }},
	} {
		if err := q.ask(); err != nil {
			return result{}, &Violation{Phase: q.phase, Err: err, want: x.want}
		}
	}
	return found, nil
}

// together checks that all names of a file are one file.
func (x exam) together(data string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(x.ledger.Links)) {
		other, err := os.Stat(filepath.Join(data, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // what is missing is told of elsewhere
		}
		file, ferr := os.Stat(filepath.Join(data, filepath.Base(name)))
		if err = errors.Join(err, ferr); err == nil && !os.SameFile(file, other) {
			err = fmt.Errorf("%s and %s: %w", filepath.Base(name), name, errParted)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// errParted says that names of one file became those of two.
var errParted = errors.New("are two files")

// loss tells how old the oldest save is that is not there.
func (x exam) loss(data string) (time.Duration, error) {
	found := map[string]int{}
	for name := range x.ledger.After(x.end) {
		content, err := os.ReadFile(filepath.Join(data, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			found[name], err = ledger.Identify(name, content)
		}
		if err != nil {
			return 0, err
		}
	}
	return x.ledger.Loss(x.end, found), nil
}

func (x exam) again(ctx context.Context, data string, before digest) error {
	if err := x.subject.Recover(ctx, data); err != nil {
		return err
	}
	after, err := digestOf(data)
	if err != nil {
		return err
	}
	return compare(after, before)
}

// checkFiles holds every protected file of the directory to what is allowed.
func checkFiles(data string, allowed map[string]ledger.Allowed) error {
	var errs []error
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, ok := allowed[e.Name()]; !ok && ledger.Protected(e.Name()) {
			errs = append(errs, fmt.Errorf("%s: nobody saved it", e.Name()))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(allowed)) { // a replay must say the same
		content, err := os.ReadFile(filepath.Join(data, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, allowed[name].Check(name, content, err == nil))
	}
	return errors.Join(errs...)
}

// inspect asks for every acknowledged version.
func (x exam) inspect(ctx context.Context, data string) error {
	kept := x.ledger.Kept(x.end)
	names := slices.Sorted(maps.Keys(kept))
	got, err := x.subject.Inspect(ctx, data, names)
	if errors.Is(err, ErrNoHistory) {
		return nil
	}
	errs := []error{err}
	for _, name := range names {
		for _, n := range kept[name] {
			if err == nil && !ledger.Has(name, got[name], n) {
				errs = append(errs, fmt.Errorf("%s: version %d is not in history, which has %v: %w", name, n, got[name], ledger.ErrLost))
			}
		}
	}
	return errors.Join(errs...)
}

// stable are the directories that hold the same bytes however often, and
// through whatever crashes, a directory was recovered: all but the journal
// and what is only staged.
func stable(path string) bool {
	return !strings.HasPrefix(path, ".intact/") || strings.HasPrefix(path, ".intact/quarantine/")
}

// digestOf sums up the files of a directory.
func digestOf(data string) (digest, error) {
	out := digest{}
	err := filepath.WalkDir(data, func(path string, e iofs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(data, path)
		if err != nil || !stable(name) {
			return err
		}
		content, err := os.ReadFile(path)
		out[name] = sha256.Sum256(content)
		return err
	})
	return out, err
}

// compare says which files differ.
func compare(got, want digest) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if other, ok := got[name]; !ok {
			errs = append(errs, fmt.Errorf("%s: is gone", name))
		} else if other != want[name] {
			errs = append(errs, fmt.Errorf("%s: has other bytes", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			errs = append(errs, fmt.Errorf("%s: is new", name))
		}
	}
	return errors.Join(errs...)
}
