package journal

// stuckSegments is how many segments may pile up behind versions that can't
// be published, before these are written again at the end.
const stuckSegments = 4

// moveStuck writes the versions that keep the oldest segment from being used
// again into the newest one: a single path that can't be published, for
// whatever reason, must not hold everything that was committed since.
func (j *Journal) moveStuck() error {
	j.pubMu.Lock()
	defer j.pubMu.Unlock()
	for _, v := range j.stuck() {
		if err := j.rewrite(v); err != nil {
			return err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recycle()
	return nil
}

// stuck lists the failing versions in the oldest segment if there are too
// many behind it, and if nothing else is pending in it.
func (j *Journal) stuck() []*version {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.segs) <= stuckSegments {
		return nil
	}
	var vs []*version
	for path := range j.failing {
		for _, v := range j.index.paths[path] {
			if v.seg == j.segs[0] {
				vs = append(vs, v)
			}
		}
	}
	if len(vs) < j.segs[0].pending {
		return nil // the rest may still be published
	}
	return vs
}

// rewrite appends the record of v once more, with the same number.
func (j *Journal) rewrite(v *version) error {
	r := newRequest(recordCommit)
	defer r.release()
	r.version, r.again, r.sync, r.internal = v, true, true, true
	if v.appended {
		r.typ = recordAppend
	}
	p := &commitPayload{Version: v.Version, stage: v.stage, baseSize: v.baseSize}
	if v.stage == "" {
		var err error
		if r.tail, err = j.ownBytes(v); err != nil {
			return err
		}
	}
	p.content = r.tail
	r.payload = appendCommit(r.payload, p)
	return j.submit(r)
}
