package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
