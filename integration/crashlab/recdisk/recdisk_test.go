package recdisk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/integration/crashlab/blocklog"
	"intactfs/integration/crashlab/labtest"
	"intactfs/integration/crashlab/recdisk"
	"intactfs/integration/crashlab/volume"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func start(t *testing.T) *recdisk.Server {
	t.Helper()
	server, err := recdisk.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func newDisk(t *testing.T, s *recdisk.Server, size int64) *recdisk.Disk {
	t.Helper()
	d, err := s.New(size)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func headers(t *testing.T, d *recdisk.Disk) []blocklog.Op {
	t.Helper()
	ops, err := d.Headers()
	if err != nil {
		t.Fatal(err)
	}
	return ops
}

func TestFileOperationsAreLogged(t *testing.T) {
	d := newDisk(t, start(t), 1<<20)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	steps := []error{
		second(f.WriteAt(bytes.Repeat([]byte("a"), 5000), 100)),
		d.Mark("between"),
		f.Sync(),
		unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 4096, 512),
		unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_ZERO_RANGE, 100, 1),
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, 1<<20); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("allocation of a disk: got %v, want %v", err, unix.EOPNOTSUPP)
	}
	var got []string
	for _, o := range headers(t, d) {
		got = append(got, fmt.Sprintf("%d:%d+%d%s", o.Kind, o.Off, o.Len, o.Label))
	}
	want := "1:100+5000 4:0+0between 3:0+0 2:4096+512 2:100+1"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("log:\ngot  %s\nwant %s", s, want)
	}
	p := make([]byte, 8192)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	model := make([]byte, 8192)
	copy(model[100:], bytes.Repeat([]byte("a"), 5000))
	clear(model[4096 : 4096+512])
	model[100] = 0
	if !bytes.Equal(p, model) {
		t.Error("the file reads otherwise than it was written")
	}
}

func second(_ int, err error) error { return err }

func TestStatesAndCopies(t *testing.T) {
	server := start(t)
	d := newDisk(t, server, 1<<20)
	for i, p := range []string{"one", "two", "six"} {
		f, err := os.OpenFile(d.Path(), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(p)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
	states := blocklog.States(headers(t, d), blocklog.Plan{})
	read := func(d *recdisk.Disk) string {
		p, err := os.ReadFile(d.Path())
		if err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimRight(p, "\x00"))
	}
	var got []string
	for _, s := range states {
		copied, err := d.At(s)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, read(copied))
		if err := copied.Drop(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(copied.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Drop: stat says %v, want %v", err, os.ErrNotExist)
		}
	}
	if s, want := strings.Join(got, ","), ",one,two,six,six,six,two,two,six"; s != want {
		t.Errorf("contents of the states:\ngot  %s\nwant %s", s, want)
	}
	if sum(t, d, states[3]) != sum(t, d, states[4]) || sum(t, d, states[2]) == sum(t, d, states[3]) {
		t.Error("sums do not tell which states are equal")
	}
	log := filepath.Join(t.TempDir(), "log")
	if err := d.Save(log, "meta"); err != nil {
		t.Fatal(err)
	}
	loaded, meta, err := server.Load(log)
	if err != nil || meta != "meta" {
		t.Fatalf("Load: note %q, %v", meta, err)
	}
	if read(loaded) != "six" || sum(t, loaded, states[3]) != sum(t, d, states[3]) {
		t.Error("the loaded disk is another one")
	}
	if _, err := d.At(blocklog.State{Base: 1000}); err == nil {
		t.Error("a state outside the log: got no error")
	}
}

func sum(t *testing.T, d *recdisk.Disk, s blocklog.State) blocklog.Sum {
	t.Helper()
	got, err := d.Sum(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFileSystemOnDisk: a real file system lives on a recording disk, its
// fsync arrives as a flush, and after a crash the synced file is there and
// what was written later is not.
func TestFileSystemOnDisk(t *testing.T) {
	for _, kind := range volume.Types {
		t.Run(kind.Name, func(t *testing.T) {
			labtest.Need(t, kind)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			d := newDisk(t, start(t), kind.Size)
			if err := kind.Make(ctx, d.Path()); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			mounted(t, kind, d, dir, func() {
				save(t, filepath.Join(dir, "synced"))
				if err := d.Mark("synced"); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "later"), []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			})
			flushed, synced := 0, false
			for i, o := range headers(t, d) {
				if o.Kind == blocklog.Flush && !synced {
					flushed = i
				}
				if synced = o.Label == "synced"; !synced {
					continue
				}
				// Nothing survives but what was flushed before the mark.
				crashed, err := d.At(blocklog.State{Base: flushed, Torn: -1})
				if err != nil {
					t.Fatal(err)
				}
				mounted(t, kind, crashed, dir, func() {
					if p, err := os.ReadFile(filepath.Join(dir, "synced")); string(p) != "hello" {
						t.Errorf("after a crash the synced file reads %q, %v", p, err)
					}
					if _, err := os.Stat(filepath.Join(dir, "later")); !errors.Is(err, os.ErrNotExist) {
						t.Errorf("after a crash the later file: got %v, want %v", err, os.ErrNotExist)
					}
				})
				return
			}
			t.Fatal("the mark is not in the log")
		})
	}
}

func mounted(t *testing.T, kind volume.Type, d *recdisk.Disk, dir string, do func()) {
	t.Helper()
	v, err := kind.Mount(d.Path(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.Unmount(); err != nil {
			t.Error(err)
		}
	}()
	do()
}

// save writes a file and makes it and its name durable.
func save(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString("hello")
	err = errors.Join(err, f.Sync(), f.Close())
	dir, err2 := os.Open(filepath.Dir(path))
	if err2 == nil {
		err2 = errors.Join(dir.Sync(), dir.Close())
	}
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
}

func TestFaults(t *testing.T) {
	d := newDisk(t, start(t), 1<<20)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	write := func(text string) error { return second(f.WriteString(text)) }
	read := func() error { return second(f.ReadAt(make([]byte, 4096), 0)) }
	for _, tc := range []struct {
		name                string
		faults              []recdisk.Fault
		write, match, flush error
		read                error
	}{
		{"none", nil, nil, nil, nil, nil},
		{"writes", []recdisk.Fault{{On: recdisk.Write}}, unix.EIO, unix.EIO, nil, nil},
		{"some writes", []recdisk.Fault{{On: recdisk.Write, Holding: []byte("bad")}}, nil, unix.EIO, nil, nil},
		{"flushes", []recdisk.Fault{{On: recdisk.Flush}}, nil, nil, unix.EIO, nil},
		{"reads", []recdisk.Fault{{On: recdisk.Read}}, nil, nil, nil, unix.EIO},
		{"some reads", []recdisk.Fault{{On: recdisk.Read, Holding: []byte("goodgood")}}, nil, nil, nil, unix.EIO},
		{"other reads", []recdisk.Fault{{On: recdisk.Read, Holding: []byte("other")}}, nil, nil, nil, nil},
		{"both", []recdisk.Fault{{On: recdisk.Write}, {On: recdisk.Flush}}, unix.EIO, unix.EIO, unix.EIO, nil},
	} {
		if err := d.Break(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("goodgood"), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Seek(2048, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.Break(tc.faults...); err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct{ got, want error }{
			"write": {write("fine"), tc.write}, "matching write": {write("bad"), tc.match},
			"flush": {f.Sync(), tc.flush}, "read": {read(), tc.read},
		} {
			if !errors.Is(c.got, c.want) {
				t.Errorf("%s: %s: got %v, want %v", tc.name, what, c.got, c.want)
			}
		}
	}
	if n, err := d.Struck(); n != 9 || err != nil {
		t.Errorf("struck %d times, %v, want 9", n, err)
	}
}

func TestHang(t *testing.T) {
	d := newDisk(t, start(t), 1<<20)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.Break(recdisk.Fault{On: recdisk.Flush, Hang: true}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Sync() }()
	for n := 0; n == 0; {
		if n, err = d.Struck(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-done:
		t.Fatalf("a flush that hangs returned %v", err)
	default:
	}
	if err := d.Break(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("the flush that hung: %v", err)
	}
}

func TestKilledServerGivesErrors(t *testing.T) {
	server := start(t)
	d := newDisk(t, server, 1<<20)
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	server.Kill()
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if _, err = f.ReadAt(make([]byte, 1), 0); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("a disk of a killed server still reads")
	}
	if _, err := server.New(1); err == nil {
		t.Error("a killed server still answers")
	}
}

// TestMakeAmongDeadMounts: mkfs.btrfs gives up at a mount whose server is
// dead, and other tests of the machine leave such ones in our namespace.
func TestMakeAmongDeadMounts(t *testing.T) {
	kind, err := volume.Find("btrfs")
	if err != nil {
		t.Fatal(err)
	}
	labtest.Need(t, kind)
	dead, d := start(t), newDisk(t, start(t), kind.Size)
	path := newDisk(t, dead, 1<<20).Path()
	dead.Kill()
	deadline := time.Now().Add(time.Minute)
	for !errors.Is(statOf(path), unix.ENOTCONN) && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := kind.Make(ctx, d.Path()); err != nil {
		t.Error(err)
	}
	if err := statOf(filepath.Dir(path)); err != nil {
		t.Errorf("the dead mount is still there: %v", err)
	}
}

func statOf(path string) error {
	_, err := os.Stat(path)
	return err
}
