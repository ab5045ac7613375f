package store

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"intactfs/backup"
	"intactfs/fs"
)

func TestRestore(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct{ name, first string }{{"small", `{"n": 1}`}, {"large", large(1)}} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			one := p.commit("a.json", tt.first)
			two := p.commit("a.json", `{"n": 2}`)
			v, err := p.store.Restore(ctx, "a.json", one.Tx, tester)
			if err != nil {
				t.Fatal(err)
			}
			if v.Tx <= two.Tx || v.SHA256 != one.SHA256 || v.Attr.Mode != 0o640 {
				t.Errorf("restored as %+v", v)
			}
			log := p.log("a.json")
			if last := log[len(log)-1]; last.Note != "restored from "+FormatTx(one.Tx) || last.Writer != tester {
				t.Errorf("the new version is %+v", last)
			}
			if got := p.read("a.json"); got != tt.first {
				t.Errorf("the file holds %.40q", got)
			}
			if _, err := p.store.Restore(ctx, "a.json", two.Tx, tester); err != nil {
				t.Errorf("undo: %v", err)
			}
			p.log("a.json")
			if got := p.read("a.json"); got != `{"n": 2}` {
				t.Errorf("after the undo the file holds %.40q", got)
			}
			p.wantSound()
		})
	}
}

func TestRestoreOfWhatWasRemoved(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.write("sub/deep/a.json", `{"n": 1}`)
	p.open(Options{Create: true})
	one := p.commit("sub/deep/a.json", `{"n": 2}`)
	if err := p.store.Settle(ctx, "sub"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(p.dir, "sub")); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Removed("sub/deep/a.json", tester); err != nil {
		t.Fatal(err)
	}
	log := p.log("sub/deep/a.json")
	if last := log[len(log)-1]; !last.Removed || last.Writer != tester {
		t.Errorf("the last entry is %+v, want a removal", last)
	}
	p.wantSound()
	if _, err := p.store.Restore(ctx, "sub/deep/a.json", one.Tx, tester); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	if got := p.read("sub/deep/a.json"); got != `{"n": 2}` {
		t.Errorf("the file holds %q", got)
	}
	p.wantSound()
}

func TestVersionErrors(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.write("untouched.json", "{}")
	p.open(Options{Create: true})
	p.commit("a.json", "{}")
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"log-without-history", func() error { _, err := p.store.Log(ctx, "untouched.json"); return err }, ErrNoHistory},
		{"log-of-nothing", func() error { _, err := p.store.Log(ctx, "nowhere.json"); return err }, ErrNoHistory},
		{"open-wrong-number", func() error { _, _, err := p.store.OpenVersion(ctx, "a.json", 999); return err }, ErrNoVersion},
		{"restore-wrong-number", func() error { _, err := p.store.Restore(ctx, "a.json", 999, tester); return err }, ErrNoVersion},
		{"pin-wrong-number", func() error { return p.store.Pin(ctx, "a.json", 999, true) }, ErrNoVersion},
		{"at-without-history", func() error { _, err := p.store.At(ctx, "nowhere", p.clock.Now()); return err }, ErrNoHistory},
		{"accept-nothing", func() error { _, err := p.store.AcceptRejected(ctx, "a.json", tester); return err }, ErrNotRejected},
		{"drop-nothing", func() error { _, err := p.store.DropRejected("a.json@00000000"); return err }, ErrNotRejected},
		{"put-unprotected", func() error {
			_, err := p.store.PutContent(ctx, "a.txt", backing{ReaderAt: bytesAt("x"), size: 1}, tester, "")
			return err
		}, ErrNotProtected},
		{"current-of-nothing", func() error { _, err := p.store.OpenCurrent("nowhere.json"); return err }, iofs.ErrNotExist},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestAt(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("d/a.json", `{"n":1}`)
	p.clock.advance(time.Hour)
	early := p.clock.Now()
	p.clock.advance(time.Hour)
	p.commit("d/a.json", `{"n":2}`)
	p.commit("d/b.json", `{}`)
	p.clock.advance(time.Hour)
	for _, tt := range []struct {
		name string
		at   time.Time
		want string
	}{
		{"before-all", early.Add(-48 * time.Hour), ""},
		{"early", early, `d/a.json={"n":1}`},
		{"now", p.clock.Now(), `d/a.json={"n":2} d/b.json={}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			entries, err := p.store.At(ctx, "d", tt.at)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range entries {
				got = append(got, e.Path+"="+p.content(e.Path, e.Tx))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
	if got, err := p.store.Paths(ctx, "d/", 10); err != nil || len(got) != 2 {
		t.Errorf("paths are %q, %v", got, err)
	}
	if got, err := p.store.Paths(ctx, "d/b", 10); err != nil || len(got) != 1 || got[0] != "d/b.json" {
		t.Errorf("paths are %q, %v", got, err)
	}
}

func TestPinAndPrune(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.write(configName, "[retention]\nlast = 2\nhourly = \"0s\"\ndaily = \"0s\"\nweekly = \"0s\"\nmonthly = \"0s\"\nyearly = \"0s\"\n")
	p.open(Options{Create: true})
	var all []fs.Version
	for n := range 6 {
		all = append(all, p.commit("a.json", fmt.Sprintf(`{"n":%d}`, n)))
	}
	if err := p.store.Pin(ctx, "a.json", all[1].Tx, true); err != nil {
		t.Fatal(err)
	}
	dry, err := p.store.Prune(ctx, "a.json", true)
	if err != nil || len(dry) != 1 || len(p.log("a.json")) != 6 {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	if _, err := p.store.Prune(ctx, "", false); err != nil {
		t.Fatal(err)
	}
	kept := map[uint64]bool{}
	for _, e := range p.log("a.json") {
		kept[e.Tx] = true
		if len(e.Why) == 0 {
			t.Errorf("version %s is kept for nothing", e.Version)
		}
	}
	for i, want := range []bool{false, true, false, false, true, true} {
		if kept[all[i].Tx] != want {
			t.Errorf("version %d kept: %v, want %v", i, kept[all[i].Tx], want)
		}
	}
	if err := p.store.Pin(ctx, "a.json", all[1].Tx, false); err != nil {
		t.Fatal(err)
	}
	p.store.policy.Slack = 0 // for so little a round writes nothing anew
	p.store.dirty.add("a.json", 1)
	p.store.retainRound(ctx)
	if got := len(p.log("a.json")); got != 2 {
		t.Errorf("%d versions after the round, want 2", got)
	}
	p.wantSound()
}

func TestEventsAreBounded(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	for n := range maxEvents + 10 {
		p.store.Collided("a.json", fs.Version{Tx: 16}, fs.Version{Tx: uint64(n) * stride}, tester)
	}
	st := p.store.Status()
	if len(st.Events) != maxEvents || st.Counts[Collided] != maxEvents+10 {
		t.Errorf("%d events, %d counted", len(st.Events), st.Counts[Collided])
	}
	if last := st.Events[maxEvents-1]; last.Tx != (maxEvents+9)*stride || last.Kind != Collided {
		t.Errorf("the last event is %+v", last)
	}
}

func TestErrno(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", "{}")
	p.reopen(Options{ReadOnly: true})
	_, err := p.tryCommit("a.json", "{}")
	if !errors.Is(err, syscall.EROFS) {
		t.Errorf("commit: %v, want EROFS", err)
	}
	if _, err := p.store.NewStage(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("new stage: %v, want EROFS", err)
	}
	if err := p.store.Refuse(context.Background(), fs.Refusal{Path: "a.json", Reason: "x"}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("refuse: %v, want EROFS", err)
	}
	if err := p.store.kind(backup.ErrDamaged); !errors.Is(err, ErrDamaged) {
		t.Errorf("kind: %v", err)
	}
}

func TestBackground(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":1}`)
	p.close()
	p.write("a.json", `{"beneath":1}`)
	p.open(Options{Background: true})
	deadline := time.Now().Add(30 * time.Second)
	for p.store.Status().Counts[Adopted] == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the change beneath was not noticed")
		}
		time.Sleep(time.Millisecond)
	}
}
