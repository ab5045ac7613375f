package journal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"syscall"

	"intactfs/journal/disk"
)

// AppendPut is bytes to follow the newest version of Path. They travel in a
// record of their own: what it costs follows them, not the size of the file.
type AppendPut struct {
	Path string
	// Links are the other names of the file, which get the version too.
	Links []string
	Attr  disk.Attr
	Bytes []byte // at most Options.MaxInline; not changed after Append began
	// BaseSize is the size of the version they follow, in bytes.
	BaseSize int64
	// BaseTx is its number; 0: whatever has that size.
	BaseTx TxID
	// SHA256 of the whole new content; zero: computed when published.
	SHA256 [32]byte
	Who    Writer
	Note   string
}

// Append makes the newest version of the path and p.Bytes behind it the
// newest version, as durable as by Commit. It returns ErrMoved if the base is
// no longer the newest: the caller looks again and repeats. Longer appends
// than fit in a record get ErrTooLarge and are a matter for Commit.
//
// The history gets the last of a run of appends: it begins with all others.
func (j *Journal) Append(ctx context.Context, p AppendPut) (Version, error) {
	v, err := j.append(ctx, p)
	if err != nil {
		return Version{}, fmt.Errorf("append to %s: %w", p.Path, err)
	}
	return v, nil
}

func (j *Journal) append(ctx context.Context, p AppendPut) (Version, error) {
	whole := Put{Path: p.Path, Links: p.Links, Attr: p.Attr, Inline: p.Bytes, Size: int64(len(p.Bytes)), Who: p.Who, Note: p.Note}
	if err := j.checkPut(whole); err != nil {
		return Version{}, err
	}
	switch {
	case p.BaseSize < 0:
		return Version{}, fmt.Errorf("base of %d bytes: %w", p.BaseSize, syscall.EINVAL)
	case int64(len(p.Bytes)) > j.o.MaxInline:
		return Version{}, ErrTooLarge
	}
	if err := j.admit(ctx); err != nil {
		return Version{}, err
	}
	r := newRequest(recordAppend)
	defer r.release()
	r.version = &version{
		Version: Version{Time: j.o.Now(), Path: p.Path, Links: p.Links, Size: p.BaseSize + int64(len(p.Bytes)), SHA256: p.SHA256,
			Attr: p.Attr, Base: p.BaseTx, Who: p.Who, Note: p.Note},
		baseSize: p.BaseSize,
		appended: true,
	}
	r.tail = p.Bytes
	r.payload = appendCommit(r.payload, &commitPayload{Version: r.version.Version, baseSize: p.BaseSize, content: p.Bytes})
	if r.size() > j.maxRecord() {
		return Version{}, ErrTooLarge
	}
	if err := j.submitVersion(ctx, r); err != nil {
		return Version{}, err
	}
	j.mu.Lock() // the checkpointer may be filling in the checksum
	defer j.mu.Unlock()
	return r.version.Version, nil
}

// checkBase compares the newest version of the path with the base of v. The
// caller holds mu.
func (j *Journal) checkBase(v *version) error {
	if newest := j.index.newest(v.Path); newest != nil {
		if newest.Size != v.baseSize || (v.Base != 0 && newest.Tx != v.Base) {
			return ErrMoved
		}
		return nil
	}
	info, err := j.d.Stat(v.Path)
	switch {
	case errors.Is(err, syscall.ENOENT):
		info.Size = 0
	case err != nil:
		return err
	}
	if info.Size != v.baseSize {
		return ErrMoved
	}
	return nil
}

// onItsWay tells whether a version of path waits or is being written.
func (j *Journal) onItsWay(path string) bool {
	for _, list := range [][]*request{j.queue, j.writing} {
		for _, r := range list {
			if r.version != nil && r.version.Path == path {
				return true
			}
		}
	}
	return false
}

// pieces is a content in several parts. ends are the offsets behind each.
type pieces struct {
	parts []Content
	ends  []int64
}

func (p *pieces) add(c Content, size int64) {
	p.parts = append(p.parts, c)
	p.ends = append(p.ends, p.Size()+size)
}

// Size implements Content.
func (p *pieces) Size() int64 {
	if len(p.ends) == 0 {
		return 0
	}
	return p.ends[len(p.ends)-1]
}

// ReadAt implements io.ReaderAt.
func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	done := 0
	i := sort.Search(len(p.ends), func(i int) bool { return p.ends[i] > off })
	for ; i < len(p.parts) && done < len(b); i++ {
		begin := int64(0)
		if i > 0 {
			begin = p.ends[i-1]
		}
		at := off + int64(done)
		want := b[done:min(int64(len(b)), int64(done)+p.ends[i]-at)]
		n, err := p.parts[i].ReadAt(want, at-begin)
		done += n
		if n < len(want) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // the base is shorter than it was
			}
			return done, err
		}
	}
	if done < len(b) {
		return done, io.EOF
	}
	return done, nil
}

// Close implements io.Closer.
func (p *pieces) Close() error {
	var err error
	for _, c := range p.parts {
		err = errors.Join(err, c.Close())
	}
	return err
}

// openAppended opens an appended version: what its run of appends goes on
// from, and the bytes of all. Of the backing file only the base is read: a
// round of the checkpointer that already replaced it has put the same bytes
// there. The caller holds mu, which is given back.
func (j *Journal) openAppended(v *version) (Content, error) {
	if v.joined == nil {
		return j.openPieces(v)
	}
	joined := v.joined
	p := &pieces{}
	if err := j.openBase(p, v.Path, v.root, v.joinedFrom); err != nil {
		return nil, err
	}
	p.add(memory(joined), int64(len(joined)))
	return p, nil
}

// openBase adds what an append goes on from: a version, or the backing file.
// The caller holds mu, which is given back.
func (j *Journal) openBase(p *pieces, path string, root *version, size int64) error {
	var c Content
	var err error
	switch {
	case size == 0:
		j.mu.Unlock()
		return nil
	case root != nil:
		c, err = j.openLocked(root)
	default:
		var f disk.File
		f, err = j.d.Open(path)
		j.mu.Unlock()
		c = fileContent{f, size}
	}
	if err != nil {
		return err
	}
	p.add(c, size)
	return nil
}

// openPieces opens an appended version some bytes of which are only in the
// segments.
func (j *Journal) openPieces(v *version) (Content, error) {
	var run []*version // newest first
	root := v
	for ; root != nil && root.appended; root = root.prior {
		run = append(run, root)
	}
	segs := make([]*segment, len(run))
	for i, r := range run {
		segs[i] = r.seg
		r.seg.pins++ // the record may be forgotten meanwhile
	}
	defer j.unpin(segs)
	p := &pieces{}
	if err := j.openBase(p, v.Path, root, run[len(run)-1].baseSize); err != nil {
		return nil, err
	}
	for i := len(run) - 1; i >= 0; i-- {
		b, err := j.ownBytes(run[i])
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.add(memory(b), int64(len(b)))
	}
	return p, nil
}

func (j *Journal) unpin(segs []*segment) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range segs {
		s.pins--
	}
}

// ownBytes is the content in the record of v.
func (j *Journal) ownBytes(v *version) ([]byte, error) {
	j.mu.Lock()
	if v.held {
		defer j.mu.Unlock()
		return v.inline, nil
	}
	return j.pinnedBytes(v)
}

// withoutPrefixes leaves out the versions that a later append goes on from.
func withoutPrefixes(vs []*version) []*version {
	var kept []*version
	for i, v := range vs {
		if i+1 < len(vs) && vs[i+1].appended && v.appended {
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// sumUp computes the checksum of a version that came without: an append, or a
// staged content whose writer did not wait for it. Of the latter it must not
// be computed from anything but what was committed.
func (j *Journal) sumUp(v *version, c Content) error {
	if v.SHA256 != [32]byte{} {
		return nil
	}
	sum, crc := sha256.New(), crc32.New(castagnoli)
	if _, err := io.Copy(io.MultiWriter(sum, crc), io.NewSectionReader(c, 0, v.Size)); err != nil {
		return err
	}
	if v.crc.known && crc.Sum32() != v.crc.sum {
		return v.changed()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	v.SHA256 = [32]byte(sum.Sum(nil))
	return nil
}

// linkAppends finds what each replayed append goes on from.
func (j *Journal) linkAppends(report *Report) error {
	for path, vs := range j.index.paths {
		for i, v := range vs {
			if !v.appended {
				continue
			}
			base := int64(0)
			if i > 0 {
				v.prior = vs[i-1]
				base = v.prior.Size
			} else if info, err := j.d.Stat(path); err == nil {
				base = min(info.Size, v.baseSize) // what follows was published before a crash
			} else if !errors.Is(err, syscall.ENOENT) {
				return err
			}
			if base != v.baseSize {
				report.Damage = append(report.Damage, Damage{Segment: v.seg.name, Offset: v.off,
					Reason: fmt.Sprintf("append to %s goes on from %d bytes, and there are %d", path, v.baseSize, base)})
				continue
			}
			join(v)
		}
	}
	return nil
}
