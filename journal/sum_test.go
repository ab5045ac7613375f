package journal

import (
	"errors"
	"hash/crc32"
	"strings"
	"syscall"
	"testing"

	"intactfs/journal/disk/disktest"
)

// A staged content may come without its checksum, so that a large save need
// not wait for it: history gets the computed one, at once or after a crash.
func TestStagedContentWithoutAChecksum(t *testing.T) {
	for _, crash := range []bool{false, true} {
		name := "published by who committed"
		if crash {
			name = "published by recovery"
		}
		t.Run(name, func(t *testing.T) {
			d := freshDisk()
			h := newHistory(d)
			j := mustOpen(t, d, small(h))
			content := text("large", 9000)
			stage, f, err := j.NewStage()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt("test:stage", []byte(content), 0); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			p := put("a.json", content)
			p.Inline, p.Stage, p.SHA256 = nil, stage, [32]byte{}
			v, err := j.Commit(background0, p)
			if err != nil {
				t.Fatal(err)
			}
			if crash {
				d = d.AfterCrash(nil, 0)
				h = newHistory(d)
				j = mustOpen(t, d, small(h))
			}
			mustCheckpoint(t, j)
			// The history of the harness refuses what its sum does not match.
			if !h.has("a.json", v.Tx) {
				t.Error("the version is not in history")
			}
			if got, ok := current(t, j, d, "a.json"); !ok || got != content {
				t.Errorf("got %s, want the content", brief(got))
			}
		})
	}
}

// stagedCommit commits a content in a stage, without its SHA-256, and shapes
// the Put before.
func stagedCommit(t *testing.T, j *Journal, path, content string, shape func(*Put)) (stage string, v Version) {
	t.Helper()
	stage, f, err := j.NewStage()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt("test:stage", []byte(content), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p := put(path, content)
	p.Inline, p.Stage, p.SHA256 = nil, stage, [32]byte{}
	if shape != nil {
		shape(&p)
	}
	v, err = j.Commit(background0, p)
	if err != nil {
		t.Fatal(err)
	}
	return stage, v
}

// TestChangedStageIsNotServed flips a byte of a stage between the commit and
// its publication: nobody gets it, whoever computed the checksum.
func TestChangedStageIsNotServed(t *testing.T) {
	content := text("large", 9000)
	for name, shape := range map[string]func(*Put){
		"checksum of the journal": nil,
		"checksum of the writer":  func(p *Put) { p.CRC32C, p.HasCRC = crc32.Checksum([]byte(content), castagnoli), true },
	} {
		t.Run(name, func(t *testing.T) {
			for _, off := range []int64{0, 4096, int64(len(content)) - 1} {
				d := freshDisk()
				stage, _ := stagedCommit(t, mustOpen(t, d, small(newHistory(d))), "a.json", content, shape)
				d = d.AfterCrash(nil, 0)
				before := userTree(d)
				d.Corrupt(stage, off, 0x10)
				report, err := Check(background0, d)
				if err != nil || len(report.Damage) != 1 || report.Damage[0].Segment != stage {
					t.Errorf("check: %+v, %v", report, err)
				}
				h := newHistory(d)
				j := mustOpen(t, d, small(h))
				for range 2 {
					if _, _, _, err := j.OpenPending("a.json"); !errors.Is(err, ErrDamaged) {
						t.Errorf("served: %v", err)
					}
				}
				if err := j.Checkpoint(background0); !errors.Is(err, ErrDamaged) {
					t.Errorf("published: %v", err)
				}
				if got := userTree(d); got["a.json"] != before["a.json"] {
					t.Errorf("the file is %s", brief(got["a.json"]))
				}
				if got := h.contents("a.json"); contains(got, content) || len(got) > 1 {
					t.Errorf("history has %d versions", len(got))
				}
				if st := j.Stats(); st.Pending != 1 {
					t.Errorf("%d versions are pending: it must not be forgotten", st.Pending)
				}
			}
		})
	}
}

// TestChangedStageIsNotPublished flips a byte while the process that committed
// lives: it finds out when it files the version.
func TestChangedStageIsNotPublished(t *testing.T) {
	d := freshDisk()
	h := newHistory(d)
	j := mustOpen(t, d, small(h))
	stage, _ := stagedCommit(t, j, "a.json", text("large", 9000), nil)
	before := userTree(d)
	d.Corrupt(stage, 100, 1)
	if err := j.Checkpoint(background0); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want damage", err)
	}
	if got := userTree(d); got["a.json"] != before["a.json"] {
		t.Errorf("the file is %s", brief(got["a.json"]))
	}
}

// TestStageIsComparedOnce reads a stage that recovery found only once more
// than it is read.
func TestStageIsComparedOnce(t *testing.T) {
	d := freshDisk()
	content := text("large", 9000)
	stagedCommit(t, mustOpen(t, d, small(nil)), "a.json", content, nil)
	d = d.AfterCrash(nil, 0)
	j := mustOpen(t, d, small(nil))
	if v := j.index.newest("a.json"); !v.unread || !v.crc.known {
		t.Fatalf("recovered as %+v", v.crc)
	}
	for range 2 {
		if got, ok := current(t, j, d, "a.json"); !ok || got != content {
			t.Errorf("got %s", brief(got))
		}
		if j.index.newest("a.json").unread {
			t.Error("it is to be compared again")
		}
	}
}

// TestStageWithoutAChecksum is a journal of a program that wrote none.
func TestStageWithoutAChecksum(t *testing.T) {
	p := commitPayload{stage: stagePrefix + "1-0"}
	p.Path, p.Size = "a.json", 3
	old := appendCommit(nil, &p)
	got, err := decodeCommit(1, old)
	if err != nil || got.crc.known {
		t.Errorf("got %+v, %v", got, err)
	}
	p.crc = stageSum{0x01020304, true}
	now := appendCommit(nil, &p)
	if got, err = decodeCommit(1, now); err != nil || got.crc != p.crc {
		t.Errorf("got %+v, %v", got, err)
	}
	if len(now) != len(old)+4 || !strings.HasPrefix(string(now), string(old)) {
		t.Error("the checksum is not just 4 bytes more")
	}
	for n := 1; n < 4; n++ {
		if _, err := decodeCommit(1, now[:len(old)+n]); !errors.Is(err, errPayload) {
			t.Errorf("with %d bytes of a checksum: %v", n, err)
		}
	}
	p.stage, p.crc, p.content = "", stageSum{}, []byte("abc")
	if _, err := decodeCommit(1, append(appendCommit(nil, &p), 1, 2, 3, 4)); !errors.Is(err, errPayload) {
		t.Errorf("a checksum behind a content in the record: %v", err)
	}
}

// TestUnreadableStageIsNotCommitted fails the read for the checksum.
func TestUnreadableStageIsNotCommitted(t *testing.T) {
	for _, manual := range []bool{true, false} {
		d := freshDisk()
		o := small(nil)
		o.Manual = manual
		j := mustOpen(t, d, o)
		stage, f, err := j.NewStage()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt("test:stage", []byte("abc"), 0); err != nil {
			t.Fatal(err)
		}
		d.Heal(disktest.FailReadAt(2, syscall.EIO, true)) // the first is its size
		p := put("a.json", "abc")
		p.Inline, p.Stage = nil, stage
		if _, err := j.Commit(background0, p); !errors.Is(err, syscall.EIO) {
			t.Errorf("manual %v: got %v, want EIO", manual, err)
		}
		if _, ok := j.Pending("a.json"); ok {
			t.Errorf("manual %v: it is committed", manual)
		}
		d.Heal()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}
