package caller

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const fuseIno = ownInodes | 7

// seen is what the table answers inside one FLUSH.
type seen struct {
	pid    uint32
	who    Process
	fate   Fate
	holds  bool
	others int // processes that can write to it
	took   time.Duration
}

// flushed is a file system with one file, that looks at its caller in FLUSH.
type flushed struct {
	fusefs.Inode
	mu  sync.Mutex
	tab *Table
	log []seen
}

type flushedFile struct{ root *flushed }

var (
	_ fusefs.NodeLookuper  = (*flushed)(nil)
	_ fusefs.FileFlusher   = (*flushedFile)(nil)
	_ fusefs.FileWriter    = (*flushedFile)(nil)
	_ fusefs.NodeOpener    = (*flushedNode)(nil)
	_ fusefs.NodeGetattrer = (*flushedNode)(nil)
)

type flushedNode struct {
	fusefs.Inode
	root *flushed
}

func (r *flushed) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if name != "state.json" {
		return nil, syscall.ENOENT
	}
	out.Mode, out.Ino = fuse.S_IFREG|0o666, fuseIno
	return r.NewInode(ctx, &flushedNode{root: r}, fusefs.StableAttr{Mode: fuse.S_IFREG, Ino: fuseIno}), 0
}

func (n *flushedNode) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Ino = fuse.S_IFREG|0o666, fuseIno
	return 0
}

func (n *flushedNode) Open(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return &flushedFile{n.root}, fuse.FOPEN_DIRECT_IO, 0
}

func (f *flushedFile) Write(_ context.Context, p []byte, _ int64) (uint32, syscall.Errno) {
	return uint32(len(p)), 0
}

func (f *flushedFile) Flush(ctx context.Context) syscall.Errno {
	c, _ := fuse.FromContext(ctx)
	begin := time.Now()
	t := f.root.tab
	s := seen{fate: t.Fate(c.Pid)}
	s.pid, _ = t.TGID(c.Pid)
	s.who, _ = t.Who(c.Pid)
	s.holds = t.Copies(s.pid, fuseIno, syscall.O_WRONLY).Count > 0
	s.others = len(t.CopyHolders(fuseIno, syscall.O_WRONLY).Counts)
	s.took = time.Since(begin)
	f.root.mu.Lock()
	defer f.root.mu.Unlock()
	f.root.log = append(f.root.log, s)
	return 0
}

// of returns what was seen of a process, in order.
func (r *flushed) of(pid uint32) []seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []seen
	for _, s := range r.log {
		if s.pid == pid {
			all = append(all, s)
		}
	}
	return all
}

// mount serves a flushed on a new directory. This process must not touch what
// is below it. Without FUSE the test is skipped, or fails where it must not.
func mount(t *testing.T) (*flushed, string) {
	t.Helper()
	dir := t.TempDir()
	r := &flushed{}
	server, err := fuse.NewServer(fusefs.NewNodeFS(r, nil), dir, &fuse.MountOptions{DirectMount: true, FsName: "flushed"})
	if err != nil {
		if os.Getenv("CI") != "" || os.Getenv("INTACT_REQUIRE_FUSE") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			_ = syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	m, err := FindMount(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.tab = newTable(t, Options{Mount: m})
	go server.Serve()
	return r, filepath.Join(dir, "state.json")
}

// TestInsideFlush asks everything where it is asked in earnest. In the FLUSH
// of an execve a wrong read of /proc would hang this test for good.
func TestInsideFlush(t *testing.T) {
	r, path := mount(t)
	tests := []struct {
		name, mode string
		do         func(p *proc)
		fate       Fate
		holds      bool
	}{
		{"close of one of two", "dup", func(p *proc) { p.step() }, Fate{State: Alive}, true},
		{"exec closes it", "exec", func(p *proc) { p.step() }, Fate{State: Alive}, false},
		{"exit 0", "hold", func(p *proc) { _ = p.in.Close() }, Fate{State: Exited}, false},
		{"exit 3", "exit", func(p *proc) { p.step() }, Fate{Exited, 3}, false},
		{"SIGKILL", "hold", func(p *proc) { _ = p.cmd.Process.Signal(syscall.SIGKILL) }, Fate{Killed, 9}, false},
		{"SIGTERM", "hold", func(p *proc) { _ = p.cmd.Process.Signal(syscall.SIGTERM) }, Fate{Killed, 15}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t, tt.mode, path)
			tt.do(p)
			eventually(t, "a FLUSH comes", func() bool { return len(r.of(p.pid)) > 0 })
			s := r.of(p.pid)[0]
			if s.fate != tt.fate || s.holds != tt.holds || s.who.TGID != p.pid {
				t.Errorf("seen %+v, want fate %+v, holds %v", s, tt.fate, tt.holds)
			}
			t.Logf("took %v", s.took)
		})
	}
	t.Run("forked child goes on", func(t *testing.T) {
		p := start(t, "fork", path)
		_ = p.line()
		p.expect("ready")
		eventually(t, "a FLUSH of the parent comes", func() bool { return len(r.of(p.pid)) > 0 })
		if s := r.of(p.pid)[0]; s.holds || s.others == 0 || s.fate.State != Alive {
			t.Errorf("seen %+v, want the child as another holder", s)
		}
	})
	if _, err := FindMount("/" + path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is no mount: %v", err)
	}
}
