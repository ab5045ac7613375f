package backup

import (
	"fmt"
	"time"
)

// A shrink is drastic when it takes more than 90 % and more than 1 KiB.
func drasticShrink(from, to int64) bool {
	lost := from - to
	return lost > 1<<10 && lost*10 > from*9
}

// maxShrinks is how many drastic shrinks of a path, the newest, retention
// remembers: a program that empties its file before every save would otherwise
// keep all of its versions for ever. What came before older ones is kept by
// the rules, as anything else.
const maxShrinks = 20

// Plan decides what retention does with the entries of one path, oldest
// first. Calendar rules follow the time zone of now. What is kept whatever p
// says: the newest entry, the last known good version, both sides of the
// newest 20 drastic shrinks, and pins. Planning again for what a plan keeps
// keeps all of it, with two exceptions: MaxBytes once deltas have been encoded
// anew, and a shrink that only shows when what lay between was dropped, which
// may take the place of the oldest of the 20.
func Plan(entries []Entry, p Policy, now time.Time) []Decision {
	plan := make([]Decision, len(entries))
	for i := range entries {
		plan[i].Entry = entries[i]
	}
	if p.forgets(entries, now) {
		forget(plan)
		return plan
	}
	guard(plan)
	byRule(plan, p, now)
	for i := range plan {
		plan[i].Keep = len(plan[i].Reasons) > 0
	}
	boundSize(plan, p.MaxBytes)
	keepTombstones(plan)
	return plan
}

func (d *Decision) because(r Reason) { d.Reasons = append(d.Reasons, r) }

// forgets reports whether the path was removed so long ago that nothing of it
// is wanted.
func (p *Policy) forgets(entries []Entry, now time.Time) bool {
	if p.Forget == 0 || len(entries) == 0 {
		return false
	}
	last := &entries[len(entries)-1]
	return last.Removed && now.Sub(last.Time) >= p.Forget
}

func forget(plan []Decision) {
	for i := range plan {
		if d := &plan[i]; d.Entry.Pinned {
			d.Keep = true
			d.because(Pinned)
		}
	}
	keepTombstones(plan)
	for i := range plan {
		if d := &plan[i]; !d.Keep {
			d.because(Forgotten)
		}
	}
}

// guard gives reasons to what no rule may drop.
func guard(plan []Decision) {
	if len(plan) == 0 {
		return
	}
	plan[len(plan)-1].because(Newest)
	var good, before *Decision
	var shrinks [][2]*Decision
	for i := range plan {
		d := &plan[i]
		if d.Entry.Removed {
			continue
		}
		if !d.Entry.Invalid || good == nil || good.Entry.Invalid {
			good = d
		}
		if d.Entry.Pinned {
			d.because(Pinned)
		}
		if before != nil && drasticShrink(before.Entry.Size, d.Entry.Size) {
			shrinks = append(shrinks, [2]*Decision{before, d})
		}
		before = d
	}
	for _, sides := range shrinks[max(0, len(shrinks)-maxShrinks):] {
		// The small side is kept too: it is what makes the other one a
		// version before a shrink when the next plan looks at them.
		sides[0].because(BeforeShrink)
		sides[1].because(AfterShrink)
	}
	if good != nil {
		good.because(LastGood)
	}
}

// byRule gives reasons to what the rules of p keep.
func byRule(plan []Decision, p Policy, now time.Time) {
	rules := []struct {
		reason Reason
		within time.Duration
		slot   func(time.Time) string
	}{
		{Hourly, p.Hourly, func(t time.Time) string { return t.Format("2006-01-02 15") }},
		{Daily, p.Daily, func(t time.Time) string { return t.Format("2006-01-02") }},
		{Weekly, p.Weekly, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprintf("%d W%d", y, w) }},
		{Monthly, p.Monthly, func(t time.Time) string { return t.Format("2006-01") }},
		{Yearly, p.Yearly, func(t time.Time) string { return t.Format("2006") }},
	}
	slots := map[string]bool{}
	for i, n := len(plan)-1, 0; i >= 0; i-- {
		d := &plan[i]
		if d.Entry.Removed {
			continue
		}
		if n < p.Last {
			d.because(Last)
		}
		n++
		if d.Entry.Invalid {
			continue // it must not take the place of a good one
		}
		at := d.Entry.Time.In(now.Location())
		for _, r := range rules {
			if now.Sub(at) >= r.within || r.within == 0 {
				continue
			}
			if slot := string(r.reason) + r.slot(at); !slots[slot] {
				slots[slot] = true
				d.because(r.reason)
			}
		}
	}
}

// boundSize drops the oldest of what rules alone keep until the stored bytes
// of all that is kept are within bound; 0 is no bound.
func boundSize(plan []Decision, bound int64) {
	if bound == 0 {
		return
	}
	var sum int64
	for i := range plan {
		if plan[i].Keep {
			sum += plan[i].Entry.Stored
		}
	}
	for i := range plan {
		if sum <= bound {
			return
		}
		if d := &plan[i]; d.Keep && !d.guarded() {
			d.Keep, d.Reasons = false, []Reason{OverSize}
			sum -= d.Entry.Stored
		}
	}
}

// guarded reports whether something else than a rule keeps the entry.
func (d *Decision) guarded() bool {
	for _, r := range d.Reasons {
		switch r {
		case Newest, LastGood, BeforeShrink, AfterShrink, Pinned:
			return true
		}
	}
	return false
}

// keepTombstones keeps those that say when a kept version ended.
func keepTombstones(plan []Decision) {
	alive := false
	for i := range plan {
		d := &plan[i]
		if !d.Entry.Removed {
			alive = alive || d.Keep
			continue
		}
		if alive {
			d.Keep = true
			d.because(EndsKept)
		}
		alive = false
	}
}
