package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// past is what Past visits, as path=content, and what can't be had as
// path!error.
func (p *place) past(path string, at time.Time) ([]string, error) {
	p.t.Helper()
	var got []string
	last := 0
	err := p.store.Past(context.Background(), path, at, func(f PastFile, n, total int) error {
		if n <= last || n > total {
			p.t.Errorf("%s is path %d of %d after %d", f.Path, n, total, last)
		}
		last = n
		if f.Err != nil {
			got = append(got, f.Path+"!")
			if !errors.Is(f.Err, ErrDamaged) {
				p.t.Errorf("%s: %v, want it damaged", f.Path, f.Err)
			}
			return nil
		}
		text := make([]byte, f.Content.Size())
		if _, err := f.Content.ReadAt(text, 0); err != nil {
			return err
		}
		got = append(got, f.Path+"="+string(text[:min(len(text), 12)]))
		return nil
	})
	return got, err
}

func TestPast(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	// More than are looked at at once, and one that is not opened before its turn.
	var want []string
	for i := range 3 * lookAhead {
		name := fmt.Sprintf("d/f%02d.json", i)
		p.commit(name, fmt.Sprintf(`{"n":%d}`, i))
		want = append(want, fmt.Sprintf(`%s={"n":%d}`, name, i))
	}
	big := `{"pad":"` + strings.Repeat("x", ahead) + `"}`
	p.commit("e.json", big)
	want = append(want, "e.json="+big[:12])
	early := p.clock.Now()
	p.clock.advance(time.Hour)
	for i := range 3 * lookAhead {
		p.commit(fmt.Sprintf("d/f%02d.json", i), `{"later":true}`)
	}
	p.commit("d/later.json", `{}`)
	for _, tt := range []struct {
		name, path string
		at         time.Time
		want       []string
		err        error
	}{
		{"all", "", early, want, nil},
		{"a directory", "d", early, want[:3*lookAhead], nil},
		{"a file", "d/f03.json", early, want[3:4], nil},
		{"now", "d/f03.json", p.clock.Now(), []string{`d/f03.json={"later":tru`}, nil},
		{"before all", "", early.Add(-48 * time.Hour), nil, ErrNoVersion},
		{"a file that came later", "d/later.json", early, nil, ErrNoVersion},
		{"without history", "nowhere", early, nil, ErrNoHistory},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.past(tt.path, tt.at)
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPastEndsWithItsVisitor(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	for i := range 40 {
		p.commit(fmt.Sprintf("f%02d.json", i), `{}`)
	}
	enough := errors.New("enough")
	seen := 0
	err := p.store.Past(context.Background(), "", p.clock.Now(), func(PastFile, int, int) error {
		if seen++; seen == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || seen != 3 {
		t.Errorf("after %d files: %v", seen, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err = p.store.Past(ctx, "", p.clock.Now(), func(PastFile, int, int) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A damaged version must not hide the others.
func TestPastOfDamagedHistory(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	for _, name := range []string{"a.json", "b.json", "c.json"} {
		p.commit(name, `{"text":"`+strings.Repeat("abc", 50)+name+`"}`)
	}
	p.close()
	pack := filepath.Join(p.dir, Dir, "history", "b.json.versions", "0001.zst")
	content, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-3] ^= 1
	if err := os.WriteFile(pack, content, 0o600); err != nil {
		t.Fatal(err)
	}
	p.open(Options{ReadOnly: true})
	got, err := p.past("", p.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`a.json={"text":"abc`, "b.json!", `c.json={"text":"abc`}; !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
}

func TestRestoreAt(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	want := map[string]string{}
	for i := range 2 * restoresAtOnce {
		name := fmt.Sprintf("d/f%02d.json", i)
		p.commit(name, fmt.Sprintf(`{"n":%d}`, i))
		want[name] = fmt.Sprintf(`{"n":%d}`, i)
	}
	same := p.commit("d/same.json", `{"same":1}`)
	gone := p.commit("d/gone.json", `{"gone":1}`)
	early := p.clock.Now()
	p.clock.advance(time.Hour)
	for name := range want {
		p.commit(name, `{}`)
	}
	p.commit("d/later.json", `{"later":1}`)
	if err := p.store.Settle(ctx, "d"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(p.dir, "d", "gone.json")); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Removed("d/gone.json", tester); err != nil {
		t.Fatal(err)
	}
	want["d/same.json"], want["d/gone.json"] = `{"same":1}`, `{"gone":1}`
	for _, dry := range []bool{true, false} {
		last := 0
		all, err := p.store.RestoreAt(ctx, "", early, tester, dry, func(n, total int) {
			if n != last+1 || total != len(want)+1 {
				t.Errorf("progress %d of %d after %d", n, total, last)
			}
			last = n
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != len(want) {
			t.Fatalf("%d paths, want %d", len(all), len(want))
		}
		for _, r := range all {
			if changed := r.From != same.Tx; r.Err != nil || r.Changed != changed || (r.Made != 0) != (changed && !dry) {
				t.Errorf("dry %v: %+v", dry, r)
			}
			if r.Path == "d/gone.json" && r.From != gone.Tx {
				t.Errorf("%+v, want it from %d", r, gone.Tx)
			}
		}
	}
	if err := p.store.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	want["d/later.json"] = `{"later":1}`
	for name, content := range want {
		if got := p.read(name); got != content {
			t.Errorf("%s holds %q, want %q", name, got, content)
		}
	}
	p.wantSound()
	if _, err := p.store.RestoreAt(ctx, "d", early.Add(-48*time.Hour), tester, false, func(int, int) {}); !errors.Is(err, ErrNoVersion) {
		t.Errorf("before all: %v", err)
	}
}

func TestRestoreAtTellsWhatFails(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":1}`)
	early := p.clock.Now()
	p.clock.advance(time.Hour)
	p.commit("a.json", `{"n":2}`)
	p.reopen(Options{ReadOnly: true})
	all, err := p.store.RestoreAt(context.Background(), "", early, tester, false, func(int, int) {})
	if err != nil || len(all) != 1 || !errors.Is(all[0].Err, ErrReadOnly) || all[0].Made != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.store.RestoreAt(ctx, "", early, tester, true, func(int, int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestRecent(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("d/a.json", `{"pad":"`+strings.Repeat("x", 5000)+`"}`)
	p.clock.advance(time.Hour)
	p.commit("b.json", `{"n":1}`)
	p.clock.advance(time.Hour)
	p.commit("d/a.json", `{}`)
	p.clock.advance(time.Hour)
	p.commit("d/c.json", `{}`)
	for _, tt := range []struct {
		name, path string
		limit      int
		want       string
	}{
		{"all", "", 0, "d/c.json d/a.json! b.json d/a.json"},
		{"some", "", 2, "d/c.json d/a.json!"},
		{"below a directory", "d", 0, "d/c.json d/a.json! d/a.json"},
		{"of a file", "b.json", 5, "b.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			recent, err := p.store.Recent(ctx, tt.path, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range recent {
				name := e.Path
				if e.Lost {
					name += "!"
				}
				got = append(got, name)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
	if _, err := p.store.Recent(ctx, "nowhere", 3); !errors.Is(err, ErrNoHistory) {
		t.Errorf("nowhere: %v", err)
	}
	var lost []bool
	for _, e := range p.log("d/a.json") {
		lost = append(lost, e.Lost)
	}
	if !cmp.Equal(lost, []bool{false, true}) {
		t.Errorf("lost: %v", lost)
	}
	// Many more than are asked for are cut on the way.
	for i := range 1500 {
		p.clock.advance(time.Second)
		p.commit("many.json", fmt.Sprint(i))
	}
	recent, err := p.store.Recent(ctx, "", 4)
	if err != nil || len(recent) != 4 || recent[0].Path != "many.json" || !recent[0].Time.After(recent[3].Time) {
		t.Errorf("%d of many, %v", len(recent), err)
	}
}
