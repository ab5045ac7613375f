package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	iofs "io/fs"
	"os"
	"testing"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/store"
)

// service is the operations on a store in a fresh directory.
func service(t *testing.T) (*Service, Caller) {
	t.Helper()
	path := t.TempDir()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{Create: true, Override: func(c *store.Config) {
		c.PublishDelay = store.Duration(time.Hour)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), dir.Close()); err != nil {
			t.Error(err)
		}
	})
	v := &Service{Store: s, Dir: path, Version: "test"}
	return v, NewLocal(v.Handlers(), func() error { return nil })
}

func commit(t *testing.T, s *store.Store, path, content string) uint64 {
	t.Helper()
	v, err := s.Commit(context.Background(), fs.Commit{
		Path: path, Inline: []byte(content), Size: int64(len(content)), SHA256: sha256.Sum256([]byte(content)),
		Attr: fs.Attr{Mode: 0o644, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), Mtime: time.Now(), Atime: time.Now()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v.Tx
}

func TestOperations(t *testing.T) {
	v, c := service(t)
	var changed []string
	v.Changed = func(path string) { changed = append(changed, path) }
	one := commit(t, v.Store, "a.json", `{"n":1}`)
	commit(t, v.Store, "a.json", `{"n":2}`)
	if err := v.Store.Refuse(context.Background(), fs.Refusal{Path: "a.json", Inline: []byte(`{"n":[3`), Size: 7, Reason: "torn"}); err != nil {
		t.Fatal(err)
	}
	call := func(op string, args, result any) string {
		t.Helper()
		var content bytes.Buffer
		sink := Sink{Content: func(p []byte) error { content.Write(p); return nil }, Progress: func(int64, int64) {}}
		if err := c.Call(context.Background(), op, args, result, sink); err != nil {
			t.Errorf("%s: %v", op, err)
		}
		return content.String()
	}
	var status StatusResult
	call(OpStatus, nil, &status)
	if status.Dir != v.Dir || status.PID != os.Getpid() || status.Store.Commits != 2 || status.Store.Counts[store.Refused] != 1 {
		t.Errorf("status is %+v", status)
	}
	call(OpCheckpoint, nil, nil)
	var log []store.Entry
	call(OpLog, PathArgs{"a.json"}, &log)
	if len(log) != 2 || log[0].Tx != one {
		t.Errorf("log is %+v", log)
	}
	if call(OpRecent, RecentArgs{"", 1}, &log); len(log) != 1 || log[0].Tx == one {
		t.Errorf("recent is %+v", log)
	}
	if call(OpAt, AtArgs{"", time.Now().Add(time.Hour)}, &log); len(log) != 1 {
		t.Errorf("at is %+v", log)
	}
	var paths []string
	if call(OpPaths, PathsArgs{"a", 5}, &paths); len(paths) != 1 {
		t.Errorf("paths are %q", paths)
	}
	var e store.Entry
	if got := call(OpShow, VersionArgs{Path: "a.json", Tx: one}, &e); got != `{"n":1}` || e.Tx != one {
		t.Errorf("show is %q, %+v", got, e)
	}
	var n int64
	if got := call(OpCurrent, PathArgs{"a.json"}, &n); got != `{"n":2}` || n != 7 {
		t.Errorf("current is %q, %d", got, n)
	}
	var made Committed
	if call(OpRestore, VersionArgs{Path: "a.json", Tx: one}, &made); made.Version == "" || len(changed) != 1 {
		t.Errorf("restore made %+v, changed %q", made, changed)
	}
	call(OpPin, PinArgs{"a.json", one, true}, nil)
	var plans []backup.PlanResult
	if call(OpPrune, PruneArgs{"a.json", true}, &plans); len(plans) != 1 {
		t.Errorf("plans are %+v", plans)
	}
	var report store.VerifyReport
	if call(OpVerify, nil, &report); report.Files != 1 || len(report.Problems) > 0 {
		t.Errorf("verify found %+v", report)
	}
	var rejected []backup.Rejected
	if call(OpRejected, PathArgs{}, &rejected); len(rejected) != 1 {
		t.Fatalf("rejected are %+v", rejected)
	}
	id := rejected[0].ID
	var r backup.Rejected
	if got := call(OpRejShow, RejectedArgs{ID: id}, &r); got != `{"n":[3` || r.ID != id {
		t.Errorf("rejected is %q, %+v", got, r)
	}
	var salvaged Salvaged
	if got := call(OpSalvage, SalvageArgs{ID: id, Dry: true}, &salvaged); got == "" || salvaged.Committed != nil || salvaged.Path != "a.json" {
		t.Errorf("salvage is %q, %+v", got, salvaged)
	}
	if call(OpSalvage, SalvageArgs{ID: id}, &salvaged); salvaged.Committed == nil || salvaged.Report.Closed != 2 {
		t.Errorf("salvage is %+v", salvaged)
	}
	if call(OpSalvage, SalvageArgs{Path: "a.json", Dry: true}, &salvaged); salvaged.Report.Fault != nil {
		t.Errorf("salvage of a whole file is %+v", salvaged)
	}
	if call(OpRejAccept, RejectedArgs{ID: id}, &made); made.Path != "a.json" {
		t.Errorf("accept made %+v", made)
	}
	call(OpRejDrop, RejectedArgs{ID: id}, &r)
	if len(changed) != 3 {
		t.Errorf("changed %q, want three times", changed)
	}
}

func TestOperationErrors(t *testing.T) {
	v, c := service(t)
	busy := errors.New("busy")
	tests := []struct {
		op   string
		args any
		want error
	}{
		{OpLog, PathArgs{"no.json"}, store.ErrNoHistory},
		{OpShow, VersionArgs{Path: "no.json", Tx: 16}, store.ErrNoHistory},
		{OpRestore, VersionArgs{Path: "no.json", Tx: 16}, store.ErrNoHistory},
		{OpRejShow, RejectedArgs{ID: "no"}, store.ErrNotRejected},
		{OpRejAccept, RejectedArgs{ID: "no"}, store.ErrNotRejected},
		{OpRejDrop, RejectedArgs{ID: "no"}, store.ErrNotRejected},
		{OpSalvage, SalvageArgs{ID: "no"}, store.ErrNotRejected},
		{OpSalvage, SalvageArgs{Path: "no.json"}, iofs.ErrNotExist},
		{OpCurrent, PathArgs{"no.json"}, iofs.ErrNotExist},
		{OpStop, nil, ErrNoDaemon},
	}
	for _, tt := range tests {
		t.Run(tt.op, func(t *testing.T) {
			if err := c.Call(context.Background(), tt.op, tt.args, nil, Sink{}); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	v.Stop = func(force bool) error {
		if force {
			return nil
		}
		return busy
	}
	if err := c.Call(context.Background(), OpStop, nil, nil, Sink{}); !errors.Is(err, busy) {
		t.Errorf("stop: %v", err)
	}
	if err := c.Call(context.Background(), OpStop, StopArgs{Force: true}, nil, Sink{}); err != nil {
		t.Errorf("stop by force: %v", err)
	}
}
