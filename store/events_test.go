package store

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"intactfs/fs"
)

// TestRefusalIsLoggedOnce looks for one line with everything in it.
func TestRefusalIsLoggedOnce(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault fs.Refusal
		place []float64 // line, column, offset; nil: not told
	}{
		{"with a place", fs.Refusal{Reason: "not complete", Line: 1, Column: 12, Offset: 11}, []float64{1, 12, 11}},
		{"without", fs.Refusal{Reason: "a write failed"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var text bytes.Buffer
			p := newPlace(t)
			p.open(Options{Create: true, Log: slog.New(slog.NewJSONHandler(&text, nil))})
			r := tc.fault
			r.Path, r.Inline, r.Size, r.Who = "a.json", []byte(`{"n": [1, 2`), 11, tester
			if err := p.store.Refuse(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			list, err := p.store.Rejected("a.json")
			if err != nil || len(list) != 1 {
				t.Fatalf("quarantine holds %+v, %v", list, err)
			}
			var got map[string]any
			if err := json.Unmarshal(text.Bytes(), &got); err != nil {
				t.Fatalf("not one line: %v: %s", err, text.Bytes())
			}
			want := map[string]any{
				"level": "WARN", "msg": "refused", "path": "a.json", "program": tester.Program,
				"pid": float64(tester.PID), "uid": float64(tester.UID), "reason": r.Reason, "id": list[0].ID,
			}
			for i, key := range []string{"line", "column", "offset"} {
				if tc.place != nil {
					want[key] = tc.place[i]
				} else if v, ok := got[key]; ok {
					t.Errorf("%s is %v, want none", key, v)
				}
			}
			for key, v := range want {
				if got[key] != v {
					t.Errorf("%s is %v, want %v", key, got[key], v)
				}
			}
		})
	}
}
