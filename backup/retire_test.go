package backup

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"intactfs/journal/disk/disktest"
)

func TestExpireHeld(t *testing.T) {
	v := docs(5)
	for _, tt := range []struct {
		name   string
		policy Policy
		before func(t *testing.T, s *Store)
		held   bool
	}{
		{"free", Policy{Last: 1}, nil, false},
		{"asked", Policy{Last: 1, Hold: true}, nil, true},
		{"disk nearly full", Policy{Last: 1, MinFree: 1 << 20}, nil, true},
		{"burst", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(time.Duration(i)*time.Minute), fmt.Sprint(i))
			}
		}, true},
		{"the same again", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(time.Duration(i)*time.Second), "x")
			}
		}, true},
		{"burst long ago", Policy{Last: 1, Burst: 3}, func(t *testing.T, s *Store) {
			for i := range 3 {
				mustRefuse(t, s, "f", t0.Add(-2*time.Hour), fmt.Sprint(i))
			}
		}, false},
		{"burst elsewhere", Policy{Last: 1, Burst: 1}, func(t *testing.T, s *Store) { mustRefuse(t, s, "g", t0, "x") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t, disktest.New(disktest.Capacity(1<<20)))
			mustAdd(t, s, "f", v.items(1, 2, 3, 4, 5)...)
			if tt.before != nil {
				tt.before(t, s)
			}
			res, err := s.Expire(context.Background(), "f", tt.policy, t0.Add(5*time.Minute), false)
			if errors.Is(err, ErrHeld) != tt.held || !tt.held && err != nil {
				t.Fatalf("got %v, want held %v", err, tt.held)
			}
			want := 1
			if tt.held {
				want = 5
			}
			if n := len(mustList(t, s, "f")); n != want || res.Dropped != 5-want {
				t.Errorf("%d are left, %d dropped; want %d", n, res.Dropped, want)
			}
		})
	}
}

func TestExpireFreesSpace(t *testing.T) {
	series := newBigSeries(300 << 10)
	d := disktest.New()
	s := openStore(t, d)
	want := versions{}
	for tx := uint64(1); tx <= 40; tx++ {
		doc := series.next(2000)
		want[tx] = string(doc)
		mustAdd(t, s, "f", bytesItem(tx, doc))
	}
	before := stored(d)
	dry, err := s.Expire(context.Background(), "f", keepLast(2), t0, true)
	if err != nil || dry.Dropped != 38 || stored(d) != before {
		t.Fatalf("dry: dropped %d, %v", dry.Dropped, err)
	}
	res, err := s.Expire(context.Background(), "f", keepLast(2), t0, false)
	if err != nil || res.Dropped != 38 || res.Freed != before-stored(d) || res.Freed <= 0 {
		t.Errorf("dropped %d, freed %d of %d, %v", res.Dropped, res.Freed, before-stored(d), err)
	}
	mustAdd(t, s, "f", bytesItem(41, series.next(100)))
	for _, s := range []*Store{s, openStore(t, d)} {
		wantVersion(t, s, "f", 39, want[39])
		wantVersion(t, s, "f", 40, want[40])
		if n := len(mustList(t, s, "f")); n != 3 {
			t.Errorf("%d entries are left, want 3", n)
		}
	}
	verifyClean(t, openStore(t, d))
}

func TestSlackPutsOffRewriting(t *testing.T) {
	v := docs(20)
	d := disktest.New()
	s := openStore(t, d)
	for tx := range uint64(20) {
		mustAdd(t, s, "f", v.items(tx+1)...)
		p := keepLast(5)
		p.Slack = 0.75
		if _, err := s.Expire(context.Background(), "f", p, t0, false); err != nil {
			t.Fatal(err)
		}
		entries := mustList(t, s, "f")
		newest := []uint64{}
		for _, e := range entries[max(0, len(entries)-5):] {
			newest = append(newest, e.Tx)
		}
		if len(newest) != min(5, int(tx)+1) || newest[len(newest)-1] != tx+1 {
			t.Fatalf("after %d: the newest are %v", tx+1, newest)
		}
	}
	rewritten := 0
	for _, step := range d.Steps() {
		if step == "expire:rename" {
			rewritten++
		}
	}
	if rewritten == 0 || rewritten > 5 {
		t.Errorf("rewritten %d times in 20 saves", rewritten)
	}
}
