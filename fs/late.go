package fs

import (
	"errors"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"intactfs/fs/stage"
)

// A file that no rule protects may be renamed onto a protected name while it is
// still open. What it held is then the newest version, and its open handles go
// on with the inode that held it, which has no name beneath any more. What they
// write there is committed when they close.

// commitLate commits what was written through the handle after the rename.
func (p *plainFile) commitLate(in *fuse.InHeader) error {
	d := p.n.doc.Load()
	if d == nil || !p.late.Swap(false) {
		return nil
	}
	rule := d.rule.Load()
	content, err := p.s.contentOf(p.fd, rule)
	if err != nil {
		p.late.Store(true)
		return err
	}
	defer content.Discard()
	res, err := content.Judge()
	if err != nil {
		return err
	}
	if res.Verdict != stage.Whole {
		p.s.refuseContent(d.name(), content, res, p.s.writerOf(in), "written after a rename")
		return errInvalid
	}
	err = d.commitContent(content, p.s.writerOf(in), "written after a rename")
	if err == nil {
		d.invalidate(false)
	}
	return err
}

// commitContent commits a content that came without a handle of the document.
func (d *document) commitContent(content *stage.Stage, who Writer, note string) error {
	s := d.s
	d.commit.Lock()
	defer d.commit.Unlock()
	s.commits.RLock()
	defer s.commits.RUnlock()
	path, named := s.tree.path(d.node)
	if !named || d.rule.Load() == nil {
		return nil
	}
	attr, err := d.attrForCommit(0)
	if err != nil {
		return err
	}
	return d.publish(content, Commit{Path: path, Attr: attr, Base: d.headTx(), Who: who, Note: note})
}

// contentOf reads an open file beneath into a stage that nobody else has.
func (s *fileSystem) contentOf(fd int, rule *Rule) (*stage.Stage, error) {
	content := stage.New(s.stageOptions(rule))
	if err := s.fillFrom(content, fd); err != nil {
		content.Discard()
		return nil, err
	}
	return content, nil
}

func (s *fileSystem) fillFrom(content *stage.Stage, fd int) error {
	// Anew, for a descriptor that may only write.
	own, err := openat(unix.AT_FDCWD, procPath(fd), unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	file, err := newBackingContent(own)
	if err != nil {
		return err
	}
	buf := make([]byte, min(max(file.Size(), 1), 1<<20))
	for off := int64(0); ; {
		n, err := readAt(file, buf, off)
		if err != nil {
			return errors.Join(err, file.Close())
		}
		if n == 0 {
			return file.Close()
		}
		if _, err := content.Append(buf[:n]); err != nil {
			return errors.Join(err, file.Close())
		}
		off += int64(n)
	}
}

// refuseContent keeps a copy of a content that has no handle in quarantine.
func (s *fileSystem) refuseContent(path string, content *stage.Stage, res stage.Result, who Writer, why string) {
	r := Refusal{Path: path, Who: who, Reason: why}
	if f := res.Fault; f != nil {
		r = r.at(&Fault{f.Reason, f.Line, f.Column, f.Offset})
	}
	copied, err := s.copyOf(content)
	if err != nil {
		s.log.Error("a refused content can't be kept", "path", path, "error", err)
		return
	}
	r.Inline, r.Size = copied.Inline, copied.Size
	if copied.File != nil {
		r.Inline, r.Stage = nil, copied.File.(Stage)
	}
	s.refuse(r)
}
