package journal

import "time"

const (
	// longFile is the size from which on appends to a file are published
	// together. Publishing means to write the file anew.
	longFile = 1 << 20
	// appendShare is the part of a long file that is worth writing it anew.
	appendShare = 16
	// appendAge is how long appends to a long file wait at most.
	appendAge = 30 * time.Second
)

// withoutWaiting leaves out the long files with so few appends pending that
// they can wait for more of them: until there is a sixteenth of the file or
// half a segment, until the oldest is 30 seconds old, or until somebody
// settles or closes. All that wait together are at most a segment, which
// bounds what is written again when their segment is needed. The caller holds
// mu.
func (j *Journal) withoutWaiting(paths []string) []string {
	clear(j.waiting)
	if j.index.bytes > j.o.MaxPending/2 {
		return paths // room is worth more than time
	}
	now, room := j.o.Now(), j.o.SegmentSize
	due := paths[:0]
	for _, path := range paths {
		weight, ok := j.mayWait(j.index.paths[path], now)
		if !ok || weight > room {
			due = append(due, path)
			continue
		}
		room -= weight
		j.waiting[path] = true
	}
	return due
}

// mayWait tells whether the pending versions of a path are a few appends to a
// long file, and how much they weigh.
func (j *Journal) mayWait(vs []*version, now time.Time) (weight int64, ok bool) {
	base := vs[0].baseSize
	age := now.Sub(vs[0].Time)
	if base < longFile || age < 0 || age >= appendAge {
		return 0, false
	}
	worth := min(base/appendShare, j.o.SegmentSize/2)
	for _, v := range vs {
		weight += v.size + versionOverhead
		if !v.appended || weight >= worth {
			return 0, false
		}
	}
	return weight, true
}
