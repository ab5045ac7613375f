package recdisk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/recdisk"
)

// scribble does to a disk or image what a file system might: writes, zeros
// and discards anywhere.
func scribble(t *testing.T, path string, size int64, rng *rand.Rand, writes int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		off := rng.Int64N(size/512) * 512
		n := min(size-off, 512*(1+rng.Int64N(40)))
		switch rng.IntN(5) {
		case 0:
			err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		case 1:
			_, err = f.WriteAt(make([]byte, n), off)
		case 2:
			err = f.Sync()
		default:
			_, err = f.WriteAt(bytes.Repeat([]byte{byte(1 + i%250)}, int(n)), off)
		}
		if err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// sameContent compares an image with the disk that is rebuilt by itself.
func sameContent(t *testing.T, image *recdisk.Image, d *recdisk.Disk, s blocklog.State) {
	t.Helper()
	if err := image.Lay(d, s); err != nil {
		t.Fatal(err)
	}
	rebuilt, err := d.At(s)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(image.Path())
	want, err2 := os.ReadFile(rebuilt.Path())
	if err := errors.Join(err, err2, rebuilt.Drop()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%v: the image is not what the disk holds", s)
	}
}

func TestImageIsTheState(t *testing.T) {
	const size = 2 << 20
	server := start(t)
	d := newDisk(t, server, size)
	rng := rand.New(rand.NewPCG(1, 2))
	scribble(t, d.Path(), size, rng, 150)
	image, err := server.NewImage(size)
	if err != nil {
		t.Fatal(err)
	}
	states := blocklog.States(headers(t, d), blocklog.Plan{Seed: 1, Subsets: 2, Tears: 2, Unit: 512, PerKind: 1})
	for range 60 { // one after the other, as an examination leaves them
		sameContent(t, image, d, states[rng.IntN(len(states))])
		scribble(t, image.Path(), size, rng, 10)
	}

	// A disk over another one, as the recovery of a crash is.
	above, err := d.At(states[len(states)/2])
	if err != nil {
		t.Fatal(err)
	}
	scribble(t, above.Path(), size, rng, 50)
	nested := blocklog.States(headers(t, above), blocklog.Plan{Seed: 1, Subsets: 2, PerKind: 1})
	for range 20 {
		sameContent(t, image, above, nested[rng.IntN(len(nested))])
		scribble(t, image.Path(), size, rng, 10)
	}
	sameContent(t, image, d, blocklog.State{Torn: -1}) // nothing but zeros
	if err := image.Drop(); err != nil {
		t.Fatal(err)
	}
	if err := image.Drop(); err == nil {
		t.Error("dropped twice: got no error")
	}
}

func TestImageErrors(t *testing.T) {
	server := start(t)
	d := newDisk(t, server, 1<<20)
	image, err := server.NewImage(2 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Lay(d, blocklog.State{Torn: -1}); err == nil {
		t.Error("a disk of another size: got no error")
	}
	fits, err := server.NewImage(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	if err := fits.Lay(d, blocklog.State{Base: 7, Torn: -1}); err == nil {
		t.Error("a state outside the log: got no error")
	}
	if err := d.Drop(); err != nil {
		t.Fatal(err)
	}
	if err := fits.Lay(d, blocklog.State{Torn: -1}); err == nil {
		t.Error("a disk that was dropped: got no error")
	}
	server.Kill()
	if _, err := server.NewImage(1); err == nil {
		t.Error("an image of a killed server: got no error")
	}
}
