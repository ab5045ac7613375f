package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"intactfs/fs"
)

func TestAdoption(t *testing.T) {
	ctx := context.Background()
	tests := []struct {
		name    string
		beneath func(p *place)
		event   Kind
		log     int // entries afterwards
		last    string
		sound   bool
	}{
		{"nothing", func(*place) {}, "", 1, `{"n":1}`, true},
		{"touched", func(p *place) {
			now := time.Now().Add(time.Hour)
			if err := os.Chtimes(filepath.Join(p.dir, "a.json"), now, now); err != nil {
				p.t.Fatal(err)
			}
		}, "", 1, `{"n":1}`, true},
		{"valid", func(p *place) { p.write("a.json", `{"n":99}`) }, Adopted, 2, `{"n":99}`, true},
		{"same-size", func(p *place) { p.write("a.json", `{"n":7}`) }, Adopted, 2, `{"n":7}`, true},
		{"invalid", func(p *place) { p.write("a.json", `{"n":`) }, BadFile, 2, `{"n":`, false},
		{"removed", func(p *place) {
			if err := os.Remove(filepath.Join(p.dir, "a.json")); err != nil {
				p.t.Fatal(err)
			}
		}, Vanished, 2, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			first := p.commit("a.json", `{"n":1}`)
			p.close()
			tt.beneath(p)

			p.open(Options{ReadOnly: true})
			if log := p.log("a.json"); len(log) != tt.log {
				t.Errorf("read-only the log is %+v", log)
			}
			p.reopen(Options{})
			p.store.adoptAll(ctx)
			st := p.store.Status()
			if tt.event == "" && len(st.Events) > 0 || tt.event != "" && (len(st.Events) != 1 || st.Events[0].Kind != tt.event) {
				t.Errorf("events are %+v, want %s", st.Events, tt.event)
			}
			log := p.log("a.json")
			if len(log) != tt.log {
				t.Fatalf("log is %+v", log)
			}
			last := log[len(log)-1]
			if last.Removed != (tt.last == "") {
				t.Errorf("the last entry is %+v", last)
			} else if !last.Removed && p.content("a.json", last.Tx) != tt.last {
				t.Errorf("the last version reads %q", p.content("a.json", last.Tx))
			}
			if r := p.verify(); (len(r.Problems) == 0) != tt.sound {
				t.Errorf("verify found %+v", r)
			}
			if tt.event == BadFile {
				if st.Events[0].Tx != first.Tx || !strings.Contains(st.Events[0].Message, FormatTx(first.Tx)) {
					t.Errorf("the last good version is not offered: %+v", st.Events[0])
				}
				if got := verdictOf(p.store.For("a.json").NewValidator(), "{{"); got != fs.Invalid {
					t.Errorf("after a torn file the next may be torn: %v", got)
				}
			}
			next := p.commit("a.json", `{"n":3}`)
			if log := p.log("a.json"); len(log) != tt.log+1 || log[len(log)-1].Tx != next.Tx {
				t.Errorf("after a commit the log is %+v", log)
			}
			p.wantSound()
		})
	}
}

func TestAdoptionBeforeTheFirstCommit(t *testing.T) {
	p := newPlace(t)
	p.write("a.json", `{"old": true}`)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":1}`)
	p.commit("a.json", `{"n":2}`)
	log := p.log("a.json")
	if len(log) != 3 || log[0].Version != "0.1" || p.content("a.json", log[0].Tx) != `{"old": true}` {
		t.Errorf("log is %+v", log)
	}
	p.commit("b.json", `{}`)
	if log := p.log("b.json"); len(log) != 1 {
		t.Errorf("log of a new file is %+v", log)
	}
}

func TestAdoptIsRepeatable(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":0}`)
	for n := range 3 {
		p.log("a.json")
		p.write("a.json", fmt.Sprintf(`{"beneath":%d}`, n))
		for range 2 {
			if err := p.store.Adopt(ctx, "a.json"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if log := p.log("a.json"); len(log) != 4 || log[3].Version != "1.3" {
		t.Errorf("log is %+v", log)
	}
	for _, name := range []string{"nowhere.json", "unprotected.txt"} {
		if err := p.store.Adopt(ctx, name); err != nil {
			t.Errorf("adopt %s: %v", name, err)
		}
	}
}

// TestAdoptBeforeRemoval files what was there before the first mount when its
// name goes, and excuses a history that has no number left for it.
func TestAdoptBeforeRemoval(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.write("a.json", `{"n":0}`)
	if err := p.store.Adopt(ctx, "a.json"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.dir, "a.json")); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Removed("a.json", tester); err != nil {
		t.Fatal(err)
	}
	log := p.log("a.json")
	if len(log) != 2 || log[0].Size != 7 || !log[1].Removed || log[1].Writer != tester {
		t.Fatalf("log is %+v, want the file and its removal", log)
	}
	p.commit("b.json", `{"n":0}`)
	p.log("b.json")
	for n := range stride + 1 {
		p.write("b.json", fmt.Sprintf(`{"beneath":%d}`, n))
		if err := p.store.Adopt(ctx, "b.json"); err != nil {
			t.Fatal(err)
		}
	}
	events, _ := p.store.events.snapshot()
	if last := events[len(events)-1]; last.Kind != Unkept || last.Path != "b.json" {
		t.Errorf("the last event is %+v, want that b.json was not kept", last)
	}
}
