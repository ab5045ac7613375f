package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"intactfs/fs"
	"intactfs/validate"
)

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

// What is mended is as valid as the next save has to be, and what is whole
// stays.
func TestSalvageIsHeldToThePast(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name, past, torn, want string
		err                    error
	}{
		{"a trailing comma", `{"a": 1}`, `{"a": 2,}`, `{"a": 2}`, nil},
		{"as it always was", `{"a": 1,}`, `{"a": 2,}`, "", ErrWhole},
		{"whole", `{"a": 1}`, `{"a": 2}`, "", ErrWhole},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t)
			p.write("a.json", tt.past)
			p.open(Options{Create: true})
			report, v, err := p.store.CommitSalvaged(ctx, "a.json", backing{ReaderAt: bytesAt(tt.torn), size: int64(len(tt.torn))}, tester)
			if !errors.Is(err, tt.err) || (report.Fault == nil) != (tt.err != nil) || (v.Tx == 0) != (tt.err != nil) {
				t.Fatalf("%+v, %+v, %v", report, v, err)
			}
			if err := p.store.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == "" {
				want = tt.past
			}
			if got := strings.TrimSpace(p.read("a.json")); got != want {
				t.Errorf("the file holds %q, want %q", got, want)
			}
		})
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
