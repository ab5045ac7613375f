package caller

import "sync"

// group lets calls that come together share one look, with one rule: a call
// never gets the result of a look that began before it.
type group struct {
	mu    sync.Mutex
	slots map[uint64]*slot
}

// slot is the looks of one key: one under way, one for all who came since.
type slot struct {
	next *flight // nil while nobody waits
}

type flight struct {
	done   chan struct{}
	result look
}

// do returns the result of a call of f that began after do did.
func (g *group) do(key uint64, f func() look) look {
	g.mu.Lock()
	if s, busy := g.slots[key]; busy {
		if s.next == nil {
			s.next = &flight{done: make(chan struct{})}
		}
		fl := s.next
		g.mu.Unlock()
		<-fl.done
		return fl.result
	}
	if g.slots == nil {
		g.slots = map[uint64]*slot{}
	}
	g.slots[key] = &slot{}
	g.mu.Unlock()

	// Whatever f does, those who wait are served after it.
	defer g.pass(key, f)
	return f()
}

// pass starts the look of those who came during the last one, or ends.
func (g *group) pass(key uint64, f func() look) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.slots[key]
	fl := s.next
	if fl == nil {
		delete(g.slots, key)
		return
	}
	s.next = nil
	go func() {
		defer g.pass(key, f)
		defer close(fl.done)
		fl.result = f()
	}()
}
