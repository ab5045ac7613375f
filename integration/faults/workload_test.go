package faults

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"

	"intactfs/integration/harness"
)

// op is one thing that a program or a person does. It returns what they saw.
type op func(r *rig) error

// save replaces a file as most programs do.
func save(name string, size int) op {
	return func(r *rig) error {
		text, n := r.document(size)
		err := os.WriteFile(r.file(name), []byte(text), 0o644)
		if err == nil {
			r.saved(name, n)
		}
		return err
	}
}

// saveSynced saves in pieces, with an fsync in the middle and one at the end,
// and with a ftruncate of what was written too much.
func saveSynced(name string, size int) op {
	return func(r *rig) error {
		text, n := r.document(size)
		f, err := os.OpenFile(r.file(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		half := len(text) / 2
		_, err = f.WriteString(text[:half])
		if err == nil {
			err = f.Sync()
		}
		if err == nil {
			_, err = f.WriteString(text[half:] + "too much")
		}
		if err == nil {
			err = f.Truncate(int64(len(text)))
		}
		if err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
		if err == nil {
			r.saved(name, n)
		}
		return err
	}
}

// replace writes a file beside and renames it over.
func replace(name string, size int) op {
	return func(r *rig) error {
		text, n := r.document(size)
		temp := r.file(name + ".tmp")
		err := os.WriteFile(temp, []byte(text), 0o644)
		if err == nil {
			err = os.Rename(temp, r.file(name))
		}
		if err == nil {
			r.saved(name, n)
		}
		return err
	}
}

// appendLines appends to a JSON Lines file.
func appendLines(name string, count int) op {
	return func(r *rig) error {
		f, err := os.OpenFile(r.file(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		var b strings.Builder
		for i := range count {
			b.WriteString(line(r.lines[name] + i + 1))
		}
		_, err = f.WriteString(b.String())
		err = errors.Join(err, f.Close())
		if err == nil {
			r.lines[name] += count
		}
		return err
	}
}

// writeInvalid saves what must be refused.
func writeInvalid(name, why string, size int) op {
	return func(r *rig) error {
		return os.WriteFile(r.file(name), []byte(`{"`+why+`": "`+filler(len(why), size)+`"`+"]"), 0o644)
	}
}

// saveInvalid is writeInvalid, with the refusal expected.
func saveInvalid(name, why string, size int) op {
	return func(r *rig) error {
		err := writeInvalid(name, why, size)(r)
		if errors.Is(err, syscall.EBADMSG) {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%s: invalid content was saved", name)
		}
		return err
	}
}

// link gives a file another name.
func link(from, to string) op {
	return func(r *rig) error {
		r.loose[to] = true
		if err := os.Link(r.file(from), r.file(to)); err != nil {
			return err
		}
		delete(r.loose, to)
		r.acked[to] = r.acked[from]
		r.links[from], r.links[to] = []string{to}, []string{from}
		return nil
	}
}

func mkdir(name string) op {
	return func(r *rig) error { return os.MkdirAll(r.file(name), 0o755) }
}

// move renames a file through the mount.
func move(from, to string) op {
	return func(r *rig) error {
		r.loose[from], r.loose[to] = true, true
		if err := os.Rename(r.file(from), r.file(to)); err != nil {
			return err
		}
		n := r.acked[from]
		delete(r.acked, from)
		delete(r.loose, from)
		delete(r.loose, to)
		r.acked[to] = n
		return nil
	}
}

// moveDir renames a directory through the mount.
func moveDir(from, to string) op {
	return func(r *rig) error {
		var names []string
		for name := range r.acked {
			if path.Dir(name) == from {
				names = append(names, name)
				r.loose[name] = true
			}
		}
		if err := os.Rename(r.file(from), r.file(to)); err != nil {
			return err
		}
		for _, name := range names {
			r.acked[path.Join(to, path.Base(name))] = r.acked[name]
			delete(r.acked, name)
			delete(r.loose, name)
		}
		return nil
	}
}

func unlink(name string) op {
	return func(r *rig) error {
		r.loose[name] = true
		if err := os.Remove(r.file(name)); err != nil {
			return err
		}
		delete(r.acked, name)
		delete(r.loose, name)
		return nil
	}
}

// command runs intact, whatever it says: the daemon may die under it.
func command(args ...string) op {
	return func(r *rig) error {
		own := make([]string, len(args))
		for i, a := range args {
			own[i] = strings.ReplaceAll(a, "MNT", r.Point)
		}
		if res := r.intact(own...); res.Code != 0 {
			return fmt.Errorf("intact %s: exit %d: %s", args[0], res.Code, res.Stderr)
		}
		return nil
	}
}

// checkpoint has everything published: verify of a mount does that first.
func checkpoint(r *rig) error {
	if res := r.intact("verify", r.Point); res.Code != 0 {
		return fmt.Errorf("intact verify: exit %d: %s%s", res.Code, res.Stdout, res.Stderr)
	}
	return nil
}

// unfinished leaves a large save open that is in the middle.
func unfinished(name string) op {
	return func(r *rig) error {
		f, err := os.OpenFile(r.file(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		_, err = f.WriteString(`{"unfinished": "` + filler(1, 600_000))
		r.t.Cleanup(func() { _ = f.Close() })
		return err
	}
}

// scenario is a piece of work, from the mount to the unmount.
type scenario struct {
	name    string
	failing bool   // some of it fails, for the faults
	faults  []rule // beside the kill: what leads to the steps in question
	prepare func(r *rig)
	ops     []op
}

// perform does the work until the daemon is gone, and returns the errors that
// were seen.
func (s scenario) perform(r *rig) []error {
	if !r.start() {
		return nil
	}
	var seen []error
	for _, do := range s.ops {
		if r.proc.Exited() {
			return seen
		}
		if err := do(r); err != nil {
			seen = append(seen, err)
		}
	}
	if r.proc.Exited() {
		return seen
	}
	if res := r.stop(); res.Code > 0 {
		seen = append(seen, fmt.Errorf("the daemon: exit %d: %s", res.Code, res.Stderr))
	}
	return seen
}

const (
	small = 200
	large = 600_000 // staged
)

// plainFile puts a file in the directory before it was ever mounted.
func plainFile(r *rig, name string) {
	text, n := r.document(small)
	if err := os.WriteFile(r.backing(name), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.saved(name, n)
}

// scenarios reach every step of the journal, the history and the quarantine.
func scenarios() []scenario {
	withOld := func(r *rig) { plainFile(r, "a.json") }
	return []scenario{
		{name: "saves", prepare: withOld, ops: []op{
			save("a.json", small), mkdir("sub/deep"), save("sub/deep/a.json", small), saveSynced("b.json", large),
			replace("a.json", small), replace("c.json", large), save("c.json", large), appendLines("log.jsonl", 400),
			checkpoint, save("a.json", small), appendLines("log.jsonl", 2),
		}},
		{name: "refusals", prepare: prepareRefusals, ops: []op{
			save("a.json", small), saveInvalid("a.json", "one", small), saveInvalid("a.json", "one", small),
			saveInvalid("a.json", "two", large), saveInvalid("a.json", "three", small), save("a.json", small),
			mkdir("sub"), save("sub/moved.json", small), saveInvalid("sub/moved.json", "four", small),
			unlink("sub/moved.json"), save("a.json", small), move("a.json", "sub/moved.json"),
		}},
		{name: "retention", prepare: prepareRetention, ops: []op{
			command("prune", "MNT/a.json"), save("a.json", small), checkpoint, command("pin", "MNT/b.json@~1"),
			save("c.json", small), checkpoint, unlink("c.json"), command("prune", "MNT"),
		}},
		{name: "renames", prepare: withOld, ops: []op{
			mkdir("one"), mkdir("two"), mkdir("three"), save("three/c.json", small), save("a.json", small),
			save("b.json", small), save("one/c.json", small), checkpoint, unlink("three/c.json"), unlink("three"),
			move("a.json", "b.json"), save("b.json", small), moveDir("one", "three"), move("b.json", "two/d.json"),
			save("a.json", small), unlink("a.json"), unlink("two/d.json"), unlink("two"),
			command("restore", "MNT/two/d.json"), checkpoint,
		}},
		{name: "links", prepare: withOld, ops: []op{
			mkdir("sub"), save("a.json", small), link("a.json", "sub/twin.json"), save("a.json", small), checkpoint,
			save("sub/twin.json", large), checkpoint, save("a.json", small),
		}},
		{name: "recovery", prepare: prepareRecovery, ops: []op{save("a.json", small)}},
		{name: "removed-beneath", ops: []op{
			mkdir("sub"), save("sub/a.json", small), removeBeneath("sub"), checkpoint,
		}},
		{name: "failed-writes", prepare: withOld, failing: true, faults: []rule{
			{Step: "segment:fill", Nth: 20, Act: fail, Errno: syscall.ENOSPC},
			{Step: "commit:append", Nth: 2, Act: fail, Errno: syscall.ENOSPC},
			{Step: "publish:sync", Nth: 1, Act: fail, Errno: syscall.EIO},
			{Step: "publish:sync-dir", Nth: 1, Act: fail, Sticky: true, Errno: syscall.EIO},
			{Step: "history:sync", Nth: 3, Act: fail, Errno: syscall.EIO},
			{Step: "refuse:sync", Nth: 1, Act: fail, Errno: syscall.EIO},
		}, ops: []op{
			save("a.json", small), save("a.json", small), save("b.json", small), checkpoint, checkpoint,
			saveInvalid("a.json", "one", small), save("a.json", small),
		}},
		{name: "failed-spare", prepare: withOld, failing: true,
			faults: []rule{{Step: "segment:header", Nth: 2, Act: fail, Errno: syscall.ENOSPC}},
			ops:    []op{save("a.json", small), checkpoint, save("a.json", small)}},
		{name: "failed-rewrite", prepare: prepareRetention, failing: true,
			faults: []rule{{Step: "expire:sync", Nth: 1, Act: fail, Errno: syscall.EIO}},
			ops:    []op{command("prune", "MNT/a.json"), command("prune", "MNT/a.json")}},
	}
}

// prepareRefusals leaves a refused content whose note a kill prevented.
func prepareRefusals(r *rig) {
	r.configure("[quarantine]\nmax_files = 2\n")
	plainFile(r, "a.json")
	r.plan.set(r.t, rule{Step: "refuse:note", Nth: 1, Act: killBefore})
	r.mustStart()
	_ = saveInvalid("a.json", "zero", small)(r) // it can't be told
	r.proc.Wait(r.t, 0)
}

// removeBeneath removes a directory under the feet of the daemon.
func removeBeneath(name string) op {
	return func(r *rig) error { return os.RemoveAll(r.backing(name)) }
}

// prepareRetention makes histories that retention shortens.
func prepareRetention(r *rig) {
	r.pruned = true
	r.configure("[retention]\nlast = 2\nhourly = \"0s\"\ndaily = \"0s\"\nweekly = \"0s\"\nmonthly = \"0s\"\nyearly = \"0s\"\nforget = \"1ms\"\n")
	r.mustStart()
	for range 3 {
		for range 3 {
			for _, name := range []string{"a.json", "b.json"} {
				if err := save(name, small)(r); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		if err := checkpoint(r); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := command("pin", "MNT/a.json@~8")(r); err != nil { // its base is a frame of its own
		r.t.Fatal(err)
	}
	r.plan.set(r.t, rule{Step: "expire:rename", Nth: 1, Act: killBefore})
	_ = command("prune", "MNT/a.json")(r) // leaves its new file behind
	r.proc.Wait(r.t, 0)
	r.clear()
}

// prepareRecovery leaves what a kill leaves: commits that only the journal
// has, a large one among them, and a save that was in the middle.
func prepareRecovery(r *rig) {
	plainFile(r, "a.json")
	r.mustStart()
	for _, do := range []op{save("a.json", small), mkdir("sub"), save("sub/b.json", large), appendLines("log.jsonl", 4),
		save("a.json", small), unfinished("c.json")} {
		if err := do(r); err != nil {
			r.t.Fatal(err)
		}
	}
	r.kill()
	// A segment whose making was interrupted.
	if err := os.WriteFile(r.backing(".intact/journal/00000009.seg"), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// mustIntact runs intact, which has to exit with 0.
func (r *rig) mustIntact(args ...string) harness.Result {
	r.t.Helper()
	res := r.intact(args...)
	if res.Code != 0 {
		r.t.Errorf("intact %s: exit %d\n%s%s", strings.Join(args, " "), res.Code, res.Stdout, res.Stderr)
	}
	return res
}
