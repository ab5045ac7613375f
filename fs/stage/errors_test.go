package stage

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
)

func TestPoison(t *testing.T) {
	tests := []struct {
		name  string
		start int64
		arm   func(d *disk)
		do    func(s *Stage) error
	}{
		{"no file", 10, func(d *disk) { d.failNew = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"spill fails", 10, func(d *disk) { d.failWrite = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"spill short", 10, func(d *disk) { d.short = true }, func(s *Stage) error { return s.Truncate(1 << 20) }},
		{"write fails", 1 << 20, func(d *disk) { d.failWrite = true }, func(s *Stage) error { _, err := s.WriteAt([]byte("ab"), 5); return err }},
		{"write short", 1 << 20, func(d *disk) { d.short = true }, func(s *Stage) error { _, err := s.WriteAt([]byte("ab"), 5); return err }},
		{"append fails", 1 << 20, func(d *disk) { d.failWrite = true }, func(s *Stage) error { _, err := s.Append([]byte("ab")); return err }},
		{"cut fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Truncate(3) }},
		{"extend fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Truncate(2 << 20) }},
		{"allocate fails", 1 << 20, func(d *disk) { d.failTrunc = true }, func(s *Stage) error { return s.Allocate(0, 0, 2<<20) }},
		{"sync fails", 1 << 20, func(d *disk) { d.failSync = true }, func(s *Stage) error { return s.Sync() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, o, _ := setup()
			s := New(o)
			mustWrite(t, s, 0, bytes.Repeat([]byte("["), int(tt.start)))
			tt.arm(d)
			if err := tt.do(s); err == nil {
				t.Fatal("no error")
			}
			*d = disk{live: d.live, made: d.made} // the disk is well again
			for name, f := range map[string]func() error{
				"WriteAt":  func() error { _, err := s.WriteAt([]byte("a"), 0); return err },
				"Append":   func() error { _, err := s.Append([]byte("a")); return err },
				"Truncate": func() error { return s.Truncate(0) },
				"Allocate": func() error { return s.Allocate(0, 0, 1) },
				"Judge":    func() error { _, err := s.Judge(); return err },
				"Seal":     func() error { _, err := s.Seal(Result{}); return err },
				"Sync":     s.Sync,
				"Poisoned": s.Poisoned,
			} {
				if err := f(); !errors.Is(err, ErrPoisoned) {
					t.Errorf("%s = %v, want ErrPoisoned", name, err)
				}
			}
			if err := s.Poisoned(); !errors.Is(err, errDisk) && !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("Poisoned() = %v, without the cause", err)
			}
			out, err := s.Salvage()
			if err != nil || out.Size < tt.start/2 {
				t.Errorf("Salvage() = %d bytes, %v", out.Size, err)
			}
			if out.File != nil {
				_ = out.File.Close()
			}
			if n := d.open(); n != 0 {
				t.Errorf("%d files left open", n)
			}
		})
	}
}

func TestUnreadableBase(t *testing.T) {
	_, o, _ := setup()
	base := &countedBase{b: bytes.Repeat([]byte("b"), 100)}
	base.fail.Store(true)
	s := NewOn(o, Base{Content: base, Size: 100})
	if _, err := s.ReadAt(make([]byte, 1), 0); !errors.Is(err, errDisk) {
		t.Errorf("ReadAt = %v", err)
	}
	if _, err := s.Judge(); !errors.Is(err, errDisk) || s.Poisoned() != nil {
		t.Errorf("Judge = %v, poisoned %v", err, s.Poisoned())
	}
	if _, err := s.WriteAt([]byte("x"), 50); !errors.Is(err, errDisk) {
		t.Errorf("WriteAt = %v", err)
	}
	if err := s.Poisoned(); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Poisoned() = %v", err)
	}

	short := NewOn(o, Base{Content: bytes.NewReader([]byte("ab")), Size: 100})
	if _, err := short.Append([]byte("x")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("append to a base that ends early: %v", err)
	}
	out, err := short.Salvage()
	if !errors.Is(err, io.ErrUnexpectedEOF) || out.Size > 2 {
		t.Errorf("Salvage() = %d bytes, %v", out.Size, err)
	}
}

func TestBadArguments(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	defer s.Discard()
	const top = int64(1<<63 - 1)
	tests := []struct {
		name string
		do   func() error
		want error
	}{
		{"write before 0", func() error { _, err := s.WriteAt([]byte("a"), -1); return err }, syscall.EINVAL},
		{"write beyond the top", func() error { _, err := s.WriteAt([]byte("ab"), top-1); return err }, syscall.EFBIG},
		{"read before 0", func() error { _, err := s.ReadAt(nil, -1); return err }, syscall.EINVAL},
		{"negative size", func() error { return s.Truncate(-1) }, syscall.EINVAL},
		{"allocate nothing", func() error { return s.Allocate(0, 0, 0) }, syscall.EINVAL},
		{"allocate beyond the top", func() error { return s.Allocate(0, top, 2) }, syscall.EFBIG},
		{"collapse", func() error { return s.Allocate(8, 0, 1) }, syscall.EOPNOTSUPP},
		{"punch without keep", func() error { return s.Allocate(2, 0, 1) }, syscall.EOPNOTSUPP},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if s.Poisoned() != nil || s.Changed() {
		t.Errorf("poisoned %v, changed %v", s.Poisoned(), s.Changed())
	}
}

func TestGone(t *testing.T) {
	_, o, _ := setup()
	s := New(o)
	mustWrite(t, s, 0, []byte("a"))
	s.Discard()
	s.Discard()
	s.Committed(Base{})
	s.Unseal()
	for name, f := range map[string]func() error{
		"WriteAt": func() error { _, err := s.WriteAt([]byte("a"), 0); return err },
		"ReadAt":  func() error { _, err := s.ReadAt(make([]byte, 1), 0); return err },
		"Judge":   func() error { _, err := s.Judge(); return err },
		"Salvage": func() error { _, err := s.Salvage(); return err },
	} {
		if err := f(); !errors.Is(err, ErrGone) {
			t.Errorf("%s = %v, want ErrGone", name, err)
		}
	}
}
