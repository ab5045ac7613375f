package backup

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"intactfs/journal/disk/disktest"
)

// onePack returns the name of the only pack of a path, and what is in it.
func onePack(t *testing.T, d *disktest.Disk, path string) (string, string) {
	t.Helper()
	name := historyLayout.file(path) + "/0001.zst"
	content, ok := d.Tree(historyRoot)[name]
	if !ok {
		t.Fatalf("no %s", name)
	}
	return name, content
}

// TestFlippedByteIsFoundAndContained flips a byte at every offset of a pack,
// and wants it found, named, and to cost only what needs it.
func TestFlippedByteIsFoundAndContained(t *testing.T) {
	v := docs(6)
	v[7] = noise(1, 100)
	base := disktest.New()
	s := openStore(t, base)
	for tx := range uint64(7) {
		mustAdd(t, s, "f", v.items(tx+1)...)
	}
	entries := mustList(t, s, "f")
	name, pack := onePack(t, base, "f")
	for off := range int64(len(pack)) {
		d := base.Clone()
		d.Corrupt(name, off, byte(1)<<(off%8))
		s := openStore(t, d)
		rep, err := s.Verify(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		// Also in the last append, which was acknowledged as all others.
		found := rep.Damage
		if len(rep.Torn) > 0 || len(found) != 1 || found[0].File != name || found[0].Path != "f" || found[0].Offset > off {
			t.Fatalf("at %d: got %+v, want it found once in %s", off, rep, name)
		}
		// Of what is in front of the flip and what is no delta against
		// the entry that was hit, nothing may be lost.
		hit := entries[0]
		for _, e := range entries {
			if e.Offset <= off {
				hit = e
			}
		}
		for _, e := range entries {
			got, err := readVersion(s, "f", e.Tx)
			if err == nil && got != v[e.Tx] {
				t.Errorf("at %d: version %d is another content", off, e.Tx)
			}
			if needs := e.Tx == hit.Tx || e.DeltaBase == hit.Tx; err != nil && !needs {
				t.Errorf("at %d: version %d is lost with %d: %v", off, e.Tx, hit.Tx, err)
			}
			// The number of the entry whose line was hit may be unknown.
			lost := slices.Contains(found[0].Lost, e.Tx)
			if lost != (err != nil) && e.Tx != hit.Tx {
				t.Errorf("at %d: version %d: reported lost %v, read: %v", off, e.Tx, lost, err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestAddAfterDamage wants new versions to depend on nothing that is damaged.
func TestAddAfterDamage(t *testing.T) {
	v := docs(8)
	base := disktest.New()
	mustAdd(t, openStore(t, base), "f", v.items(1, 2, 3)...)
	name, pack := onePack(t, base, "f")
	for off := int64(0); off < int64(len(pack)); off += 7 {
		d := base.Clone()
		d.Corrupt(name, off, 0x40)
		s := openStore(t, d)
		mustAdd(t, s, "f", v.items(4, 5)...)
		fresh := openStore(t, d)
		wantVersion(t, fresh, "f", 4, v[4])
		wantVersion(t, fresh, "f", 5, v[5])
		// Adding again what was lost brings it back.
		mustAdd(t, fresh, "f", v.items(1, 2, 3)...)
		checkVersions(t, openStore(t, d), "f", v.only(1, 2, 3, 4, 5), nil)
		if t.Failed() {
			t.Fatalf("flip at %d", off)
		}
	}
}

func TestExpireLeavesDamageAlone(t *testing.T) {
	v := docs(6)
	d := disktest.New()
	mustAdd(t, openStore(t, d), "f", v.items(1, 2, 3, 4, 5, 6)...)
	name, pack := onePack(t, d, "f")
	d.Corrupt(name, int64(strings.Index(pack, `"tx":3`)), 1)
	damaged := d.Tree(historyRoot)[name]
	res, err := openStore(t, d).Expire(context.Background(), "f", keepLast(1), t0, false)
	if err == nil || res.Dropped != 0 {
		t.Errorf("got %+v, %v", res, err)
	}
	if got := d.Tree(historyRoot)[name]; got != damaged {
		t.Error("the pack was changed")
	}
}

func TestPinsDamage(t *testing.T) {
	v := docs(3)
	base := disktest.New()
	s := openStore(t, base)
	mustAdd(t, s, "f", v.items(1, 2, 3)...)
	if err := s.Pin("f", 1, true); err != nil {
		t.Fatal(err)
	}
	name := historyLayout.file("f") + "/" + pinsName
	for off := range int64(len(base.Tree(historyRoot)[name])) {
		d := base.Clone()
		d.Corrupt(name, off, 4)
		s := openStore(t, d)
		rep, err := s.Verify(context.Background(), nil)
		if err != nil || len(rep.Damage) != 1 || rep.Damage[0].File != name {
			t.Fatalf("at %d: got %+v, %v", off, rep, err)
		}
		if _, err := s.Expire(context.Background(), "f", keepLast(1), t0, false); err == nil {
			t.Fatalf("at %d: expired without knowing what is pinned", off)
		}
		wantVersion(t, s, "f", 1, v[1])
	}
}

// TestTornTail cuts a pack at every offset: what is whole stays, what is torn
// is ignored, and nothing is appended behind it.
func TestTornTail(t *testing.T) {
	v := docs(4)
	base := disktest.New()
	mustAdd(t, openStore(t, base), "f", v.items(1, 2, 3)...)
	entries := mustList(t, openStore(t, base), "f")
	name, pack := onePack(t, base, "f")
	for cut := range len(pack) {
		d := base.Clone()
		d.Put(name, pack[:cut])
		s := openStore(t, d)
		want := versions{}
		for _, e := range entries {
			if e.Offset+e.Stored <= int64(cut) {
				want[e.Tx] = v[e.Tx]
			}
		}
		checkVersions(t, s, "f", want, nil)
		verifyClean(t, s)
		mustAdd(t, s, "f", v.items(4)...)
		want[4] = v[4]
		checkVersions(t, openStore(t, d), "f", want, nil)
		if got := d.Tree(historyRoot)[name]; got[:cut] != pack[:cut] {
			t.Errorf("the pack was changed")
		}
		if t.Failed() {
			t.Fatalf("cut at %d", cut)
		}
	}
}

func TestScanSkipsWhatIsNoEntry(t *testing.T) {
	d := disktest.New()
	mustAdd(t, openStore(t, d), "f", docs(3).items(1, 2, 3)...)
	_, pack := onePack(t, d, "f")
	for _, junk := range []string{"", "x", "\x50\x2a\x4d\x18", strings.Repeat("\x50\x2a\x4d\x18", 50), noise(3, windowSize+3)} {
		for _, before := range []bool{true, false} {
			p := junk + pack
			if !before {
				p = pack + junk
			}
			scan := scanPack(strings.NewReader(p), int64(len(p)), "p")
			if len(scan.recs) != 3 {
				t.Errorf("%d bytes of junk: got %d entries", len(junk), len(scan.recs))
			}
			if want := min(1, len(junk)); len(scan.gaps) != want {
				t.Errorf("%d bytes of junk: got %d gaps, want %d", len(junk), len(scan.gaps), want)
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	d := disktest.New()
	s, err := Open(d, Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := s.Add(context.Background(), "f", docs(3).items(1, 2, 3)); err != nil {
		f.Fatal(err)
	}
	for _, content := range d.Tree(historyRoot) {
		f.Add([]byte(content))
		f.Add([]byte(content[:len(content)/2]))
	}
	f.Add(sealLine([]byte(`{"tx":1,"size":4611686018427387904,"sha256":"","mode":"0644","frame":3,"framecrc":"0"}`), 0))
	f.Fuzz(func(t *testing.T, p []byte) {
		scan := scanPack(bytes.NewReader(p), int64(len(p)), "p")
		at := int64(0)
		for i := range scan.recs {
			r := &scan.recs[i]
			if r.Offset < at || r.end() > int64(len(p)) || r.frameOff < r.Offset {
				t.Fatalf("entry %d lies at %d to %d, after %d of %d", i, r.Offset, r.end(), at, len(p))
			}
			at = r.end()
		}
		covered := int64(0)
		for _, r := range scan.recs {
			covered += r.end() - r.Offset
		}
		for _, g := range scan.gaps {
			covered += g.end - g.off
		}
		if covered != int64(len(p)) {
			t.Fatalf("entries and gaps cover %d of %d bytes", covered, len(p))
		}
		// Whatever a pack says, reading it ends, and returns what was
		// checked or an error.
		d := disktest.New()
		d.Put(historyLayout.file("f")+"/0001.zst", string(p))
		s, err := Open(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := s.List("f")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if c, err := s.Open(context.Background(), "f", e.Tx); err == nil {
				_ = c.Close()
			}
		}
		if _, err := s.Verify(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Add(context.Background(), "f", []Item{item(1<<40, "new")}); err != nil {
			t.Fatal(fmt.Errorf("add: %w", err))
		}
	})
}
