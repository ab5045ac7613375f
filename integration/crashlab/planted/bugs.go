package planted

import (
	"strings"
	"sync"
	"time"

	"intactfs/journal"
	"intactfs/journal/disk"
)

// Bug is one broken step.
type Bug struct {
	Name string
	// Means says in a sentence what a careless programmer would have done.
	Means string

	running    func(*hooks) // breaks the disk of the recorded run
	recovering func(*hooks) // breaks the disk of every recovery
	options    func(*journal.Options)
	// keepNothing and adoptNothing break what the journal hands over.
	keepNothing, adoptNothing bool
	// fails says that the journal may notice during the run: saves that
	// fail then are no error of the laboratory.
	fails bool
}

// Bugs are the planted bugs. The zero Bug is none.
var Bugs = []Bug{
	{Name: "stage-unsynced", Means: "the staged content is not synced before the commit",
		running: skipSync("commit:stage-sync", "commit:stage-dir", "publish:stage-sync")},
	{Name: "record-before-data", Means: "the record is synced first, the staged content after it",
		running: recordBeforeData},
	{Name: "journal-unsynced", Means: "the record is not synced before the commit is acknowledged",
		running: skipSync("commit:sync")},
	{Name: "early-acknowledgement", Means: "the commit is acknowledged while the sync still runs",
		running: syncLater},
	{Name: "relaxed-sold-as-full", Means: "full durability is promised and relaxed is set",
		options: func(o *journal.Options) { o.Durability = journal.Relaxed }},
	{Name: "temporary-unsynced", Means: "the temporary file is not synced before it is renamed",
		running: skipSync("publish:sync", "publish:stage-sync", "commit:stage-sync")},
	{Name: "directory-unsynced", Means: "the directory is not synced after the rename",
		running: skipSync("publish:sync-dir")},
	{Name: "all-fsyncdir-swallowed", Means: "fsync of a directory does nothing anywhere",
		running: func(h *hooks) {
			h.syncDir = func(disk.Disk, disk.Step, string) error { return nil }
		}},
	{Name: "mark-before-rename", Means: "the journal marks as published what is renamed afterwards",
		running: markBeforeRename},
	{Name: "published-in-place", Means: "the published file is written over, not replaced",
		running: publishInPlace},
	{Name: "unlink-before-rename", Means: "the old file is removed before the new one takes its name",
		running: unlinkFirst},
	{Name: "stage-removed-early", Means: "the stage is removed once it is renamed, before the mark",
		running: removeStageEarly},
	{Name: "stage-name-reused", Means: "a stage takes the file of an earlier one that the journal still names",
		running: reuseStages, fails: true},
	{Name: "fsync-retried", Means: "a failed fsync of a stage is tried again and believed",
		running: retrySync("commit:stage-sync"), fails: true},
	{Name: "journal-fsync-retried", Means: "a failed fsync of the journal is tried again and believed",
		running: retrySync("commit:sync"), fails: true},
	{Name: "segment-header-lost", Means: "a segment is used again while its old header stays",
		running: dropHeaders, options: smallSegments},
	{Name: "history-unsynced", Means: "versions are not synced into history before they are forgotten",
		running: skipSync("history:sync", "history:syncdir")},
	{Name: "history-skipped", Means: "versions are forgotten without being filed", keepNothing: true},
	{Name: "adoption-skipped", Means: "a file that was there before is replaced without being filed", adoptNothing: true},
	{Name: "torn-tail-taken", Means: "recovery takes a record that was torn for whole",
		recovering: func(h *hooks) { h.read = mendRecords }},
	{Name: "link-left-out", Means: "publishing leaves the other name of a file as it was",
		running: leaveLinks, recovering: leaveLinks},
	{Name: "link-after-mark", Means: "the other name of a file gets the version after the mark",
		running: linksAfterMark},
	{Name: "recovery-forgets-first", Means: "recovery clears the journal before it published",
		recovering: func(h *hooks) { h.opened = clearJournal }},
	{Name: "recovery-in-place", Means: "recovery writes files over instead of replacing them",
		recovering: publishInPlace},
	{Name: "recovery-cleans-staging", Means: "recovery empties the staging directory before it read the journal",
		recovering: func(h *hooks) { h.open = clearStaging }},
}

// smallSegments has segments used again after a few records.
func smallSegments(o *journal.Options) { o.SegmentSize, o.MaxInline = 8<<10, 1<<10 }

// skipSync makes some steps that sync do nothing.
func skipSync(steps ...disk.Step) func(*hooks) {
	skipped := func(step disk.Step) bool {
		for _, s := range steps {
			if s == step {
				return true
			}
		}
		return false
	}
	return func(h *hooks) {
		h.sync = func(_ disk.Disk, step disk.Step, _ string, f disk.File) error {
			if skipped(step) {
				return nil
			}
			return f.Sync(step)
		}
		h.syncDir = func(d disk.Disk, step disk.Step, name string) error {
			if skipped(step) {
				return nil
			}
			return d.SyncDir(step, name)
		}
	}
}

// later are operations that a bug puts off.
type later struct {
	mu  sync.Mutex
	ops []func() error
}

func (l *later) add(op func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops = append(l.ops, op)
}

func (l *later) run() error {
	l.mu.Lock()
	ops := l.ops
	l.ops = nil
	l.mu.Unlock()
	for _, op := range ops {
		if err := op(); err != nil {
			return err
		}
	}
	return nil
}

func recordBeforeData(h *hooks) {
	var put later
	h.syncDir = func(d disk.Disk, step disk.Step, name string) error {
		if step == "commit:stage-dir" {
			return nil
		}
		return d.SyncDir(step, name)
	}
	h.sync = func(d disk.Disk, step disk.Step, name string, f disk.File) error {
		switch step {
		case "commit:stage-sync":
			put.add(func() error { return syncByName(d, step, name) })
			return nil
		case "commit:sync":
			if err := f.Sync(step); err != nil {
				return err
			}
			return put.run()
		}
		return f.Sync(step)
	}
}

func syncByName(d disk.Disk, step disk.Step, name string) error {
	f, err := d.OpenWrite(step, name)
	if err != nil {
		return nil // published and removed meanwhile
	}
	err = f.Sync(step)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// syncLater syncs the journal two milliseconds after it said so.
func syncLater(h *hooks) {
	h.sync = func(d disk.Disk, step disk.Step, name string, f disk.File) error {
		if step != "commit:sync" {
			return f.Sync(step)
		}
		go func() {
			time.Sleep(2 * time.Millisecond)
			_ = syncByName(d, step, name) // nobody waits for it: that is the bug
		}()
		return nil
	}
}

// isLink says that the journal renames to the other name of a file.
func isLink(step disk.Step, name string) bool {
	return step == "publish:rename" && strings.HasPrefix(name, linkDir+"/")
}

func leaveLinks(h *hooks) {
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if isLink(step, newName) {
			return d.Remove(step, oldName)
		}
		return d.Rename(step, oldName, newName)
	}
}

func linksAfterMark(h *hooks) {
	var put later
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if !isLink(step, newName) {
			return d.Rename(step, oldName, newName)
		}
		put.add(func() error {
			if err := d.Rename(step, oldName, newName); err != nil {
				return err
			}
			return d.SyncDir(step, linkDir)
		})
		return nil
	}
	h.sync = func(_ disk.Disk, step disk.Step, _ string, f disk.File) error {
		if err := f.Sync(step); err != nil || step != "commit:sync" {
			return err
		}
		return put.run()
	}
}

func markBeforeRename(h *hooks) {
	var put later
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if step != "publish:rename" {
			return d.Rename(step, oldName, newName)
		}
		put.add(func() error {
			if err := d.Rename(step, oldName, newName); err != nil {
				return err
			}
			return d.SyncDir(step, "")
		})
		return nil
	}
	h.sync = func(_ disk.Disk, step disk.Step, _ string, f disk.File) error {
		if err := f.Sync(step); err != nil || step != "commit:sync" {
			return err
		}
		return put.run()
	}
}

func unlinkFirst(h *hooks) {
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if step == "publish:rename" {
			_ = d.Remove(step, newName) // it need not exist
			_ = d.SyncDir(step, "")     // the moment that shows
		}
		return d.Rename(step, oldName, newName)
	}
}

func removeStageEarly(h *hooks) {
	h.rename = func(d disk.Disk, step disk.Step, oldName, newName string) error {
		if err := d.Rename(step, oldName, newName); err != nil || step != "publish:rename" {
			return err
		}
		entries, err := d.ReadDir(stagingDir)
		if err != nil {
			return err
		}
		target, err := d.Stat(newName)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := stagingDir + "/" + e.Name
			if info, err := d.Stat(name); err == nil && info.Ino == target.Ino && strings.HasPrefix(e.Name, "s-") {
				return d.Remove(step, name)
			}
		}
		return nil
	}
}
