package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// farewell is what stays of a document after its name is gone.
type farewell struct {
	attr fuse.Attr
	kept *pinned
}

// lastSeen is what can be told of a document after its name is gone. The caller
// holds the document's commit lock and not names, and lets go of what is kept.
func (d *document) lastSeen() farewell {
	f := farewell{attr: fuse.Attr{Mode: unix.S_IFREG, Ino: d.ino, Nlink: 1}}
	if now, err := d.committed(); err == nil {
		f.attr = now.attr
	}
	f.kept, _ = d.pin()
	return f
}

// leave has the document show its last version only, from before a commit under
// its name that is to replace it until the name is gone: nobody may read the new
// version through the old file, and the old one after that. The caller holds the
// document's commit lock and not names; stay takes it back.
func (d *document) leave(end farewell) {
	kept, err := end.kept.share()
	if err != nil {
		return
	}
	_ = d.s.locked(func() error { // waits for those who look at the name
		d.kept.Swap(kept).close()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.leaving, d.last = true, end.attr
		return nil
	})
}

// stay ends leave: the name is gone, or was not replaced after all.
func (d *document) stay() {
	_ = d.s.locked(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.leaving && !d.gone {
			d.kept.Swap(nil).close()
		}
		d.leaving = false
		return nil
	})
}

// lost notes that the document's name is gone.
func (d *document) lost(s *fileSystem, end farewell) {
	last := end.attr
	last.Nlink -= min(last.Nlink, 1)
	s.tree.unshare(d.node)
	if kept, err := end.kept.share(); err == nil {
		d.kept.Swap(kept).close()
	}
	putTime(&last.Ctime, &last.Ctimensec, s.now())
	d.mu.Lock()
	shown := d.shown
	d.gone, d.last, d.shown, d.draft = true, last, false, false
	d.mu.Unlock()
	if shown {
		s.tree.unpin(d.node)
	}
}
