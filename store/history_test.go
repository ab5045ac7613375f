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
	"intactfs/validate"
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
	p.store.policy.Slack = 0 // drop at once
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
	p.store.dirty.add("a.json", 1)
	p.store.retainRound(ctx)
	if got := len(p.log("a.json")); got != 2 {
		t.Errorf("%d versions after the round, want 2", got)
	}
	p.wantSound()
}

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

func TestQuarantine(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	p.commit("a.json", `{"n":1}`)
	refusal := fs.Refusal{Path: "a.json", Inline: []byte(`{"n": [1, 2`), Size: 11, Who: tester, Reason: "not complete", Line: 1, Column: 12, Offset: 11}
	if err := p.store.Refuse(ctx, refusal); err != nil {
		t.Fatal(err)
	}
	list, err := p.store.Rejected("")
	if err != nil || len(list) != 1 {
		t.Fatalf("quarantine holds %+v, %v", list, err)
	}
	r := list[0]
	if r.Path != "a.json" || r.Reason != "not complete" || r.Line != 1 || r.Program != "tester" || r.Kept == 0 {
		t.Errorf("note is %+v", r)
	}
	for _, id := range []string{r.ID, "a.json", r.ID[:len("a.json@")+4], r.ID[len("a.json@"):]} {
		got, c, err := p.store.OpenRejected(id)
		if err != nil {
			t.Errorf("open %q: %v", id, err)
			continue
		}
		if text := readAll(t, c); got.ID != r.ID || text != `{"n": [1, 2` {
			t.Errorf("%q is %s: %q", id, got.ID, text)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if st := p.store.Status(); st.Counts[Refused] != 1 || st.Events[0].ID != r.ID {
		t.Errorf("status is %+v", st)
	}

	var mended strings.Builder
	_, c, err := p.store.OpenRejected(r.ID)
	if err != nil {
		t.Fatal(err)
	}
	report, err := p.store.Salvage("a.json", c, &mended)
	if err != nil || report.Closed != 2 || mended.String() == "" {
		t.Errorf("salvage: %q, %+v, %v", mended.String(), report, err)
	}
	_, v, err := p.store.CommitSalvaged(ctx, "a.json", c, tester)
	if err != nil || v.Size != int64(mended.Len()) {
		t.Errorf("commit salvaged: %+v, %v", v, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	p.log("a.json")
	if got := p.read("a.json"); got != mended.String() {
		t.Errorf("the file holds %q, want %q", got, mended.String())
	}
	if _, err := p.store.AcceptRejected(ctx, r.ID, tester); err != nil {
		t.Fatal(err)
	}
	p.log("a.json")
	if got := p.read("a.json"); got != `{"n": [1, 2` {
		t.Errorf("after accept the file holds %q", got)
	}
	if _, err := p.store.DropRejected(r.ID); err != nil {
		t.Fatal(err)
	}
	if list, err := p.store.Rejected("a.json"); err != nil || len(list) != 0 {
		t.Errorf("after drop the quarantine holds %+v, %v", list, err)
	}
}

func TestRefuseFromAStage(t *testing.T) {
	p := newPlace(t)
	p.open(Options{Create: true})
	st, err := p.store.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	if st.Fd() < 0 {
		t.Error("the stage has no descriptor")
	}
	if _, err := st.WriteAt([]byte("{torn and more"), 0); err != nil {
		t.Fatal(err)
	}
	st.StartWriteback(0, 14)
	if err := errors.Join(st.Truncate(5), st.Sync()); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Refuse(context.Background(), fs.Refusal{Path: "a.json", Stage: st, Size: 5, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	p.store.Discard(st)
	p.store.Discard(st) // nothing left to discard: no panic, no harm
	_, c, err := p.store.OpenRejected("a.json")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if got := readAll(t, c); got != "{torn" {
		t.Errorf("quarantine holds %q", got)
	}
}

func TestVerifyFinds(t *testing.T) {
	tests := []struct {
		name   string
		harm   func(p *place)
		damage bool
		want   string
	}{
		{"changed", func(p *place) { p.write("a.json", `{"other": 1}`) }, false, "not what was last committed"},
		{"torn", func(p *place) { p.write("a.json", `{"n`) }, false, "not valid"},
		{"emptied", func(p *place) { p.write("a.json", "") }, false, "not what was last committed"},
		{"removed", func(p *place) { _ = os.Remove(filepath.Join(p.dir, "a.json")) }, false, "missing"},
		{"history", func(p *place) {
			packs, _ := filepath.Glob(filepath.Join(p.dir, historyName, "a.json*", "*.zst"))
			for _, pack := range packs {
				content, err := os.ReadFile(pack)
				if err != nil {
					p.t.Fatal(err)
				}
				content[len(content)/2] ^= 0x55
				if err := os.WriteFile(pack, content, 0o600); err != nil {
					p.t.Fatal(err)
				}
			}
		}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.write("plain.txt", "anything")
			p.write("old.json", `{"never saved": true}`)
			p.open(Options{Create: true})
			p.commit("a.json", `{"n": 1}`)
			p.commit("a.json", `{"n": 2, "text": "`+longText(500)+`"}`)
			p.commit("b.json", `{}`)
			p.wantSound()
			p.close()
			tt.harm(p)
			p.open(Options{ReadOnly: true})
			var calls int
			r, err := p.store.Verify(context.Background(), func(done, total int64) {
				calls++
				if done > total {
					t.Errorf("progress %d of %d", done, total)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			found := r.Problems
			if tt.damage {
				found = r.Damage
			}
			if len(found) == 0 || found[0].Path != "a.json" || !strings.Contains(found[0].What, tt.want) {
				t.Errorf("verify found %+v", r)
			}
			if !tt.damage && found[0].Good == "" {
				t.Errorf("no good version is offered: %+v", found[0])
			}
			if calls == 0 {
				t.Error("no progress was told")
			}
		})
	}
}

func TestVerifyWarnsOfWhatNeverWasValid(t *testing.T) {
	p := newPlace(t)
	p.write("torn.json", `{"n": 1,`)
	p.open(Options{Create: true})
	r := p.verify()
	if len(r.Problems)+len(r.Damage) > 0 || len(r.Warnings) != 1 || r.Warnings[0].Path != "torn.json" || r.Warnings[0].Line != 1 {
		t.Errorf("verify found %+v", r)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.store.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestMovedAndRemoved(t *testing.T) {
	ctx := context.Background()
	p := newPlace(t)
	p.open(Options{Create: true})
	one := p.commit("a.json", `{"n":1}`)
	if err := p.store.Settle(ctx, "a.json"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(p.dir, "a.json"), filepath.Join(p.dir, "b.json")); err != nil {
		t.Fatal(err)
	}
	if err := p.store.Moved("a.json", "b.json"); err != nil {
		t.Fatal(err)
	}
	if got := p.content("b.json", one.Tx); got != `{"n":1}` {
		t.Errorf("b.json reads %q", got)
	}
	p.wantSound()
	for _, err := range []error{p.store.Moved("no.json", "nor.json"), p.store.Removed("no.json", tester)} {
		if err != nil {
			t.Errorf("a path without history: %v", err)
		}
	}
}

// A file is renamed onto a name whose own history ended, with a removal, after
// the file's last save: what has the name now is its newest version.
func TestMovedOntoARemovedName(t *testing.T) {
	ctx := context.Background()
	for _, dir := range []string{"", "sub/"} {
		t.Run("below "+dir, func(t *testing.T) {
			p := newPlace(t)
			p.open(Options{Create: true})
			for _, d := range []string{"from", "to"} {
				if err := os.Mkdir(filepath.Join(p.dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			p.commit("from/a.json", `{"a":1}`)
			p.commit("to/a.json", `{"b":1}`)
			if err := p.store.Settle(ctx, ""); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(p.dir, "to/a.json")); err != nil {
				t.Fatal(err)
			}
			if err := p.store.Removed("to/a.json", tester); err != nil {
				t.Fatal(err)
			}
			from, to := "from/a.json", "to/a.json"
			if dir != "" {
				from, to = "from", "to"
				if err := os.Remove(filepath.Join(p.dir, to)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Rename(filepath.Join(p.dir, from), filepath.Join(p.dir, to)); err != nil {
				t.Fatal(err)
			}
			if err := p.store.Moved(from, to); err != nil {
				t.Fatal(err)
			}
			p.wantSound()
		})
	}
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

func TestSalvageAs(t *testing.T) {
	for format, want := range map[string]bool{FormatJSON: true, FormatJSONL: true, FormatOpaque: false} {
		var b strings.Builder
		_, err := SalvageAs(format, validate.Options{}, strings.NewReader("{\"a\": 1}\n{\"b"), &b)
		if (err == nil) != want {
			t.Errorf("%s: %q, %v", format, b.String(), err)
		}
	}
	for path, want := range map[string]string{"x/a.json": FormatJSON, "a.ndjson": FormatJSONL, "a.txt": FormatNone} {
		if got := FormatOf(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
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
