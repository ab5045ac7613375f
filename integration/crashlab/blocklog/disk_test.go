package blocklog

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// filled is n bytes of b.
func filled(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// write is WriteAt for a test.
func write(t rapid.TB, d *Disk, p []byte, off int64) {
	t.Helper()
	if n, err := d.WriteAt(p, off); n != len(p) || err != nil {
		t.Fatalf("WriteAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
	}
}

// content reads a whole disk or view.
func content(p Pages, size int64) []byte {
	out := make([]byte, size)
	spread(0, size, func(page, at, from, n int64) {
		copyPage(out[from:from+n], p.Page(page), at)
	})
	return out
}

func whole(t testing.TB, d *Disk) []byte {
	t.Helper()
	out := make([]byte, d.Size())
	if n, err := d.ReadAt(out, 0); n != len(out) || err != nil {
		t.Fatalf("ReadAt = %d, %v", n, err)
	}
	return out
}

func TestDiskReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 5 * PageSize
		d, want := NewDisk(size, nil), make([]byte, size)
		for range rapid.IntRange(1, 20).Draw(t, "operations") {
			off := rapid.Int64Range(0, size-1).Draw(t, "offset")
			n := rapid.Int64Range(1, size-off).Draw(t, "length")
			if rapid.Bool().Draw(t, "zero") {
				d.ZeroAt(off, n)
				clear(want[off : off+n])
				continue
			}
			p := filled(rapid.Byte().Draw(t, "byte"), int(n))
			if _, err := d.WriteAt(p, off); err != nil {
				t.Fatalf("WriteAt: %v", err)
			}
			copy(want[off:], p)
		}
		got := make([]byte, size)
		if _, err := d.ReadAt(got, 0); err != nil {
			t.Fatalf("ReadAt: %v", err)
		}
		if !bytes.Equal(got, want) {
			t.Fatal("the disk reads otherwise than it was written")
		}
		last := State{Base: d.Len(), Torn: -1}
		view, err := d.At(last)
		if err != nil {
			t.Fatalf("At: %v", err)
		}
		if !bytes.Equal(content(view, size), want) {
			t.Fatal("the state after the last operation is not the disk")
		}
	})
}

func TestDiskBounds(t *testing.T) {
	d := NewDisk(PageSize, nil)
	if _, err := d.WriteAt(filled(1, 2), PageSize-1); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("write past the end: got %v, want %v", err, io.ErrShortWrite)
	}
	if _, err := d.WriteAt(filled(1, 2), -1); err == nil {
		t.Error("write before the start: got no error")
	}
	if n, err := d.ReadAt(make([]byte, 8), PageSize-4); n != 4 || !errors.Is(err, io.EOF) {
		t.Errorf("read over the end: got %d, %v, want 4, EOF", n, err)
	}
	if n, err := d.ReadAt(make([]byte, 8), PageSize); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("read past the end: got %d, %v, want 0, EOF", n, err)
	}
	d.ZeroAt(PageSize-8, 100)
	if got := d.Headers()[0].Len; got != 8 {
		t.Errorf("zeros past the end: logged %d bytes, want 8", got)
	}
}

func TestDiskKeepsItsOwnCopy(t *testing.T) {
	d := NewDisk(PageSize, nil)
	p := filled(1, PageSize)
	write(t, d, p, 0)
	p[0] = 9
	if got := whole(t, d)[0]; got != 1 {
		t.Errorf("after the caller changed its buffer the disk reads %d, want 1", got)
	}
}

func TestDiskOverAnother(t *testing.T) {
	below := NewDisk(2*PageSize, nil)
	write(t, below, filled(1, 2*PageSize), 0)
	view, err := below.At(State{Base: 1, Torn: -1})
	if err != nil {
		t.Fatal(err)
	}
	above := NewDisk(below.Size(), view)
	write(t, above, filled(2, 10), PageSize)
	write(t, below, filled(3, PageSize), 0) // later than the view

	want := append(filled(1, PageSize), filled(2, 10)...)
	want = append(want, filled(1, PageSize-10)...)
	if !bytes.Equal(whole(t, above), want) {
		t.Error("the upper disk is not the view with its own write")
	}
	if got := whole(t, below)[PageSize]; got != 1 {
		t.Errorf("the lower disk took a write of the upper: reads %d, want 1", got)
	}
}

func TestHeadersHaveNoData(t *testing.T) {
	d := NewDisk(PageSize, nil)
	write(t, d, filled(1, 512), 512)
	d.Flush()
	d.Mark("hello")
	d.ZeroAt(0, 100)
	want := []Op{
		{Kind: Write, Off: 512, Len: 512},
		{Kind: Flush},
		{Kind: Mark, Label: "hello"},
		{Kind: Zero, Len: 100},
	}
	if diff := cmp.Diff(want, d.Headers()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

func TestSaveAndLoad(t *testing.T) {
	d := NewDisk(4*PageSize, nil)
	write(t, d, filled(7, 3*PageSize), 100)
	d.Mark("acknowledged a 1")
	d.Flush()
	d.ZeroAt(PageSize, 10)
	var file bytes.Buffer
	if err := d.Save(&file, "note"); err != nil {
		t.Fatal(err)
	}
	got, meta, err := Load(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if meta != "note" || got.Size() != d.Size() {
		t.Errorf("got note %q and %d bytes, want %q and %d", meta, got.Size(), "note", d.Size())
	}
	if diff := cmp.Diff(d.Headers(), got.Headers()); diff != "" {
		t.Errorf("log (-saved +loaded):\n%s", diff)
	}
	if !bytes.Equal(whole(t, got), whole(t, d)) {
		t.Error("the loaded disk reads otherwise than the saved one")
	}
	for _, cut := range []int{0, 4, file.Len() / 2, file.Len() - 1} {
		if _, _, err := Load(bytes.NewReader(file.Bytes()[:cut])); err == nil {
			t.Errorf("a file cut to %d of %d bytes loads", cut, file.Len())
		}
	}
}

func TestSaveAndLoadOverAnother(t *testing.T) {
	below := NewDisk(4*PageSize, nil)
	write(t, below, filled(7, PageSize), 2*PageSize)
	d := NewDisk(below.Size(), below.mustView(t))
	write(t, d, filled(8, 10), 2*PageSize+5)
	var file bytes.Buffer
	if err := d.Save(&file, ""); err != nil {
		t.Fatal(err)
	}
	got, _, err := Load(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(whole(t, got), whole(t, d)) {
		t.Error("the loaded disk reads otherwise than the saved one")
	}
	first, err := got.At(State{Torn: -1})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(first, d.Size()), whole(t, below)) {
		t.Error("before its first operation the loaded disk is not what lay beneath")
	}
}

func (d *Disk) mustView(t testing.TB) *View {
	t.Helper()
	v, err := d.At(State{Base: d.Len(), Torn: -1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTimes(t *testing.T) {
	now := time.Duration(0)
	d := NewDisk(PageSize, nil).Timed(func() time.Duration { now += 7; return now })
	write(t, d, filled(1, 512), 0)
	d.Mark("x")
	d.Flush()
	var file bytes.Buffer
	if err := d.Save(&file, ""); err != nil {
		t.Fatal(err)
	}
	loaded, _, err := Load(&file)
	if err != nil {
		t.Fatal(err)
	}
	for name, disk := range map[string]*Disk{"logged": d, "loaded": loaded} {
		var times []time.Duration
		for _, o := range disk.Headers() {
			times = append(times, o.Time)
		}
		if diff := cmp.Diff([]time.Duration{7, 14, 21}, times); diff != "" {
			t.Errorf("times %s (-want +got):\n%s", name, diff)
		}
	}
}
