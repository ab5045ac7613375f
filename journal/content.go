package journal

import (
	"bytes"
	"fmt"

	"intactfs/journal/disk"
)

// memoryContent is a content held in memory.
type memoryContent struct{ *bytes.Reader }

func (memoryContent) Close() error { return nil }

func memory(b []byte) Content { return memoryContent{bytes.NewReader(b)} }

// fileContent is a content in a file that nobody changes. The open file
// outlives its name.
type fileContent struct {
	disk.File
	size int64
}

func (f fileContent) Size() int64 { return f.size }

// OpenPending opens what Pending tells, as one step. The caller closes the
// content.
func (j *Journal) OpenPending(path string) (Version, Content, bool, error) {
	j.mu.Lock()
	v := j.index.find(path)
	if v == nil {
		j.mu.Unlock()
		return Version{}, nil, false, nil
	}
	c, err := j.openLocked(v)
	if err != nil {
		return Version{}, nil, false, fmt.Errorf("open pending %s: %w", path, err)
	}
	return v.Version, c, true, nil
}

// openLocked opens the content of a version in the index. It gives mu back:
// only what needs the version to stay in the index is done under it.
func (j *Journal) openLocked(v *version) (Content, error) {
	if v.appended {
		return j.openAppended(v)
	}
	if v.held {
		inline := v.inline
		j.mu.Unlock()
		return memory(inline), nil
	}
	if v.stage != "" {
		// The name is removed only after the version left the index.
		f, err := j.d.Open(v.stage)
		unread := v.unread
		j.mu.Unlock()
		if err == nil && unread {
			err = j.readStage(v, f)
		}
		if err != nil {
			return nil, err
		}
		return fileContent{f, v.Size}, nil
	}
	inline, err := j.pinnedBytes(v)
	if err != nil {
		return nil, err
	}
	return memory(inline), nil
}

// pinnedBytes reads the content in the record of v. The caller holds mu,
// which it gives back.
func (j *Journal) pinnedBytes(v *version) ([]byte, error) {
	seg, off := v.seg, v.off
	seg.pins++
	j.mu.Unlock()
	inline, err := readBack(seg, off, v)
	j.mu.Lock()
	seg.pins--
	j.mu.Unlock()
	return inline, err
}

// readBack reads the content in the record of v at off in seg, which must be
// pinned.
func readBack(seg *segment, off int64, v *version) ([]byte, error) {
	r, err := seg.record(off, v.size)
	if err != nil {
		return nil, err
	}
	p, err := decodeCommit(r.tx, r.payload)
	if err == nil && (p.Tx != v.Tx || p.Path != v.Path) {
		err = fmt.Errorf("%w: another version", errPayload)
	}
	if err != nil {
		return nil, &Damage{Segment: seg.name, Offset: off, Reason: err.Error()}
	}
	return p.content, nil
}

// open is openLocked for the checkpointer.
func (j *Journal) open(v *version) (Content, error) {
	j.mu.Lock()
	return j.openLocked(v)
}
