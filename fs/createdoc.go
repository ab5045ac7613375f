package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/stage"
)

// createDoc makes a protected name. Others don't see it before something is
// committed to it, or its maker closes it empty.
func (s *fileSystem) createDoc(dir *node, name string, rule *Rule, in *fuse.CreateIn, out *fuse.CreateOut) error {
	n, err := s.newDoc(dir, name, rule, &in.InHeader, in.Mode, in.Umask, in.Flags&unix.O_EXCL != 0)
	if err != nil {
		return err
	}
	w := s.newWriter(n.doc.Load(), &in.InHeader, in.Flags, true)
	if err := s.entry(n, &in.InHeader, &out.EntryOut); err != nil {
		w.drop()
		return err
	}
	s.openedWriter(w, &out.OpenOut)
	return nil
}

// newDoc makes the node of a protected name that nothing is beneath of, with
// one lookup counted.
func (s *fileSystem) newDoc(dir *node, name string, rule *Rule, in *fuse.InHeader, mode, umask uint32, exclusive bool) (*node, error) {
	s.names.RLock()
	defer s.names.RUnlock()
	if err := s.free(dir, name); err != nil && exclusive {
		return nil, err
	}
	parent, err := s.dirFD(dir)
	if err != nil {
		return nil, err
	}
	c, err := s.newcomerIn(parent, in.Owner, mode, umask)
	if err != nil {
		return nil, err
	}
	born, err := s.bornIn(parent, c)
	if err != nil {
		return nil, err
	}
	n := s.tree.enterDoc(dir, name, func() *document { return s.newDocument(rule, freshIno()) })
	d := n.doc.Load()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.exists && !d.shown && len(d.writers) == 0 {
		d.born, d.ctime = born, born.Mtime
	}
	return n, nil
}

// bornIn is the metadata of a new protected name. Where the directory has a
// default ACL the file system beneath is asked what it makes of it.
func (s *fileSystem) bornIn(parent int, c newcomer) (Attr, error) {
	now := s.now()
	a := Attr{Mode: c.mode, UID: c.uid, GID: c.gid, Atime: now, Mtime: now}
	if !c.acl {
		return a, nil
	}
	fd, err := openat(parent, ".", unix.O_TMPFILE|unix.O_RDWR, c.raw)
	if err != nil {
		return a, err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := c.settleIn(fd, "", unix.S_IFREG); err != nil {
		return a, err
	}
	return readAttr(fd)
}

// makeDraft answers mknod of a regular file with a protected name; done is
// false if no rule protects it.
func (s *fileSystem) makeDraft(in *fuse.MknodIn, name string, out *fuse.EntryOut) (done bool, err error) {
	dir, err := s.directory(in.NodeId)
	if err != nil {
		return true, err
	}
	s.names.RLock()
	_, rule, err := s.childPath(dir, name)
	s.names.RUnlock()
	if err != nil || rule == nil || s.reserved(dir, name) {
		return err != nil, err
	}
	n, err := s.newDoc(dir, name, rule, &in.InHeader, in.Mode, in.Umask, true)
	if err != nil {
		return true, err
	}
	d := n.doc.Load()
	d.mu.Lock()
	d.draft = true
	d.mu.Unlock()
	d.show()
	d.keepEmpty(s.writerOf(&in.InHeader))
	return true, s.entry(n, &in.InHeader, out)
}

// stageOptions is what stages need from the store and the rule.
func (s *fileSystem) stageOptions(rule *Rule) stage.Options {
	o := stage.Options{
		NewFile: func() (stage.File, error) { return s.store.NewStage() },
		DiscardFile: func(f stage.File) {
			if private, ok := f.(Stage); ok {
				s.store.Discard(private)
			}
		},
	}
	if rule != nil && rule.NewValidator != nil {
		o.NewValidator = func() stage.Validator { return judge{rule.NewValidator()} }
	}
	return o
}

// judge is a rule's validator as a stage wants it.
type judge struct{ Validator }

// Verdict translates; the verdicts are the same in the same order.
func (j judge) Verdict() stage.Verdict { return stage.Verdict(j.Validator.Verdict()) }

// Fault translates.
func (j judge) Fault() *stage.Fault {
	f := j.Validator.Fault()
	if f == nil {
		return nil
	}
	return &stage.Fault{Reason: f.Reason, Line: f.Line, Column: f.Column, Offset: f.Offset}
}

// AtEnd implements stage.Deferred.
func (j judge) AtEnd() bool {
	d, ok := j.Validator.(Deferred)
	return ok && d.AtEnd()
}

// Clone translates.
func (j judge) Clone() stage.Validator { return judge{j.Validator.Clone()} }

// drop ends a writer that never became a handle.
func (w *writer) drop() {
	w.stopIdle()
	w.mu.Lock()
	w.detach()
	w.mu.Unlock()
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	delete(w.d.writers, w)
}

// writerOf is who makes a request.
func (s *fileSystem) writerOf(in *fuse.InHeader) Writer {
	p, ok := s.who.Who(in.Pid)
	if !ok {
		return Writer{UID: in.Uid}
	}
	return Writer{PID: p.TGID, UID: in.Uid, Program: p.Program}
}

// name is the path of a document for people.
func (d *document) name() string {
	path, ok := d.s.tree.path(d.node)
	if !ok {
		return "(removed)"
	}
	return path
}
