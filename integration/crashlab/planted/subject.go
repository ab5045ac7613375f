// Package planted proves that the crash laboratory can fail: it runs the
// journal and the history of the product, in this process and without a
// mount, on a disk of which one step is broken. Every such bug must be
// caught, and the same code on a disk that is whole must not.
package planted

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"intactfs/backup"
	"intactfs/integration/crashlab"
	"intactfs/integration/crashlab/ledger"
	"intactfs/integration/crashlab/savers"
	"intactfs/journal"
	"intactfs/journal/disk"
)

// Subject is the journal with a bug planted in it.
type Subject struct {
	Bug Bug
}

var _ crashlab.Subject = Subject{}

const (
	publishDelay = 3 * time.Millisecond
	segmentSize  = 32 << 10 // small, so that segments are used again
	inlineMax    = 4 << 10  // less than some of the small contents
	// thinkTime is the mean pause after a save. It is longer than
	// publishDelay, so that versions are published that are the newest.
	thinkTime = 4 * time.Millisecond
)

// linkDir has the other names of the files that have two.
const linkDir = "linked"

// otherNames are the names of a file of the workload besides one.
func otherNames(w savers.Workload, name string) []string {
	for _, f := range w.Files {
		switch {
		case f.Link == "":
		case name == f.Name:
			return []string{f.Link}
		case name == f.Link:
			return []string{f.Name}
		}
	}
	return nil
}

// Workload is the saves that the bugs are tried with: contents that travel
// in a record, and contents that are staged.
func Workload(seed uint64) savers.Workload {
	var files []savers.File
	for _, name := range []string{"small-0.json", "small-1.json", "small-2.json", "small-3.json", "mid-0.json", "mid-1.json"} {
		files = append(files, savers.File{Name: name, Ways: []string{"commit"}})
	}
	for _, name := range []string{"small-4.json", "mid-2.json"} {
		files = append(files, savers.File{Name: name, Link: linkDir + "/" + name, Ways: []string{"commit"}})
	}
	return savers.Workload{Seed: seed, Saves: 8, Files: files}
}

// Run implements crashlab.Subject: it commits through the journal.
func (s Subject) Run(ctx context.Context, run crashlab.Run) error {
	h := &hooks{}
	if s.Bug.running != nil {
		s.Bug.running(h)
	}
	if err := run.Workload.Link(run.Data, run.Mark); err != nil {
		return err
	}
	return s.with(run.Data, h, run.Step, func(j *journal.Journal, _ *backup.Store) error {
		err := run.Workload.Run(ctx, run.Mark, func(_, name string, n int) error {
			time.Sleep(time.Duration(rand.Int64N(int64(2 * thinkTime))))
			return commit(ctx, j, name, otherNames(run.Workload, name), ledger.Content(name, n))
		})
		if s.Bug.fails && err != nil {
			return nil // the journal noticed the bug before any crash did
		}
		return err
	})
}

// commit saves one content as the product does.
func commit(ctx context.Context, j *journal.Journal, name string, links []string, content []byte) error {
	put := journal.Put{
		Path: name, Links: links, Size: int64(len(content)), SHA256: sha256.Sum256(content),
		Attr: disk.Attr{Mode: 0o644},
	}
	if len(content) <= inlineMax {
		put.Inline = content
	} else {
		stage, f, err := j.NewStage()
		if err != nil {
			return err
		}
		_, err = f.WriteAt("stage:write", content, 0)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		put.Stage = stage
	}
	_, err := j.Commit(ctx, put)
	return err
}

// with opens the directory, and closes it again.
func (s Subject) with(data string, h *hooks, step savers.Step, do func(*journal.Journal, *backup.Store) error) error {
	real, err := disk.Open(data)
	if err != nil {
		return err
	}
	d := brokenDisk{Disk: real, hooks: h, step: step}
	err = s.on(d, do)
	return errors.Join(err, real.Close())
}

func (s Subject) on(d brokenDisk, do func(*journal.Journal, *backup.Store) error) error {
	if h := d.hooks.open; h != nil {
		if err := h(d.Disk); err != nil {
			return err
		}
	}
	history, err := backup.Open(d, backup.Options{})
	if err != nil {
		return err
	}
	o := journal.Options{
		PublishDelay: publishDelay, SegmentSize: segmentSize, MaxInline: inlineMax,
		Preserver: preserver{history: history, disk: d, bug: s.Bug},
	}
	if s.Bug.options != nil {
		s.Bug.options(&o)
	}
	j, _, err := journal.Open(d, o)
	if err != nil {
		return errors.Join(err, history.Close())
	}
	if h := d.hooks.opened; h != nil {
		err = h(d.Disk)
	}
	if err == nil {
		err = do(j, history)
	}
	cerr := j.Close()
	if s.Bug.fails {
		cerr = nil
	}
	return errors.Join(err, cerr, history.Close())
}

// Recover implements crashlab.Subject.
func (s Subject) Recover(ctx context.Context, data string) error {
	h := &hooks{}
	if s.Bug.recovering != nil {
		s.Bug.recovering(h)
	}
	return s.with(data, h, func() {}, func(j *journal.Journal, _ *backup.Store) error { return j.Checkpoint(ctx) })
}

// Inspect implements crashlab.Subject.
func (s Subject) Inspect(ctx context.Context, data string, names []string) (map[string][]int, error) {
	d, err := disk.Open(data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }() // only read
	report, err := journal.Check(ctx, d)
	if err == nil && (len(report.Damage) > 0 || report.Pending > 0) {
		err = fmt.Errorf("journal after recovery: %+v", report)
	}
	if err != nil {
		return nil, err
	}
	history, err := backup.Open(d, backup.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	out := map[string][]int{}
	var errs []error
	for _, name := range names {
		entries, err := history.List(name)
		errs = append(errs, err)
		for _, e := range entries {
			n, err := readEntry(ctx, history, name, e.Tx)
			out[name], errs = append(out[name], n), append(errs, err)
		}
	}
	return out, errors.Join(append(errs, history.Close())...)
}

func readEntry(ctx context.Context, history *backup.Store, name string, tx uint64) (int, error) {
	c, err := history.Open(ctx, name, tx)
	if err != nil {
		return 0, err
	}
	content, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err = errors.Join(err, c.Close()); err != nil {
		return 0, err
	}
	return ledger.Identify(name, content)
}

// preserver files versions in the history.
type preserver struct {
	history *backup.Store
	disk    disk.Disk
	bug     Bug
}

// stride leaves room between the numbers of commits for files that are
// adopted, as the product does.
const stride = 16

// Preserve implements journal.Preserver.
func (p preserver) Preserve(ctx context.Context, path string, versions []journal.Kept) error {
	if p.bug.keepNothing {
		return nil
	}
	items := make([]backup.Item, len(versions))
	for i, v := range versions {
		items[i] = backup.Item{Tx: uint64(v.Tx) * stride, Time: v.Time, Size: v.Size, SHA256: v.SHA256, Attr: v.Attr, Content: v.Content}
	}
	return p.history.Add(ctx, path, items)
}

// Adopt implements journal.Preserver.
func (p preserver) Adopt(ctx context.Context, path string) error {
	if p.bug.adoptNothing {
		return nil
	}
	f, err := p.disk.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, info.Size)); err != nil {
		return err
	}
	item := backup.Item{Tx: 1, Time: info.Mtime, Size: info.Size, SHA256: [32]byte(h.Sum(nil)), Content: f}
	entries, err := p.history.List(path)
	for _, e := range entries {
		if e.SHA256 == item.SHA256 {
			return err
		}
		item.Tx = e.Tx + 1
	}
	if err != nil {
		return err
	}
	return p.history.Add(ctx, path, []backup.Item{item})
}
