package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
)

// place is where a run works: a directory on the file system under test with
// one subdirectory for each contender.
type place struct {
	config
	fsName string
	root   string // on the file system under test
	native string // used natively
	data   string // intact is mounted over it
	source string // beneath the loopback
	mirror string // the loopback's mount point
	direct string // that of a loopback whose reads are served

	temporary string      // removed at Close
	fresh     *filesystem // mounted at root; nil for none
	daemon    *exec.Cmd
	loopbacks map[string]*exec.Cmd // by mount point
}

// imageSize is that of a loop file, in bytes. It takes no more room than is used.
const imageSize = 24 << 30

// newPlace makes the directories, the loop file system if one was asked for,
// and both mounts.
func newPlace(ctx context.Context, c config, binary string) (p *place, err error) {
	p = &place{config: c}
	p.intact = binary
	p.root = c.dir
	if p.root == "" {
		if p.temporary, err = os.MkdirTemp("", "intact-bench-"); err != nil {
			return nil, fmt.Errorf("make work directory: %w", err)
		}
		p.root = p.temporary
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if c.fsType != "" {
		if p.fresh, err = makeFileSystem(ctx, p.root, c.fsType, imageSize, c.flush); err != nil {
			return nil, err
		}
		p.root = p.fresh.point
	}
	p.fsName = fileSystemName(p.root, c.fsType)
	if c.flush != nil {
		p.fsName += fmt.Sprintf(", flushes of %v", *c.flush)
	}
	for _, d := range []struct {
		path *string
		name string
	}{{&p.native, "native"}, {&p.data, "data"}, {&p.source, "source"}, {&p.mirror, "mirror"}, {&p.direct, "direct"}} {
		*d.path = filepath.Join(p.root, d.name)
		if err := os.MkdirAll(*d.path, 0o755); err != nil {
			return nil, fmt.Errorf("make work directory: %w", err)
		}
	}
	if err := p.mount(ctx, p.data); err != nil {
		return nil, err
	}
	p.loopbacks = map[string]*exec.Cmd{}
	if err := p.mountLoopback(ctx, loopbackCommand, p.mirror); err != nil {
		return nil, err
	}
	return p, p.mountLoopback(ctx, directCommand, p.direct)
}

// mount puts intact over dir, in the foreground of a child.
func (p *place) mount(ctx context.Context, dir string, flags ...string) error {
	args := append([]string{"mount", "-f"}, flags...)
	daemon, err := startChild(p.intact, append(args, dir)...)
	if err != nil {
		return fmt.Errorf("start daemon: %w", err)
	}
	p.daemon = daemon
	return waitMounted(ctx, dir)
}

func (p *place) mountLoopback(ctx context.Context, kind, point string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	child, err := startChild(self, kind, p.source, point)
	if err != nil {
		return fmt.Errorf("start loopback: %w", err)
	}
	p.loopbacks[point] = child
	return waitMounted(ctx, point)
}

// unmount ends the daemon over dir and waits for it.
func (p *place) unmount() error {
	if p.daemon == nil {
		return nil
	}
	err := endChild(p.daemon, p.data)
	p.daemon = nil
	return err
}

// Close unmounts everything and removes what the run made.
func (p *place) Close() error {
	err := p.unmount()
	for point, child := range p.loopbacks {
		err = errors.Join(err, endChild(child, point))
	}
	p.loopbacks = nil
	if p.fresh != nil {
		err = errors.Join(err, p.fresh.Close())
		p.fresh = nil
	}
	if p.temporary != "" {
		err = errors.Join(err, os.RemoveAll(p.temporary))
	}
	return err
}

// waitMounted polls the mount table, which never blocks, until dir is a FUSE
// mount.
func waitMounted(ctx context.Context, dir string) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(dir))
		if err != nil {
			return fmt.Errorf("read mount table: %w", err)
		}
		if len(mounts) > 0 && strings.HasPrefix(mounts[0].FSType, "fuse") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s was not mounted in 30 s", dir)
}

func command(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(out))
	}
	return nil
}

// fileSystemName is the type of the file system at dir, for the report.
func fileSystemName(dir, made string) string {
	if made != "" {
		return made + " in a loop file"
	}
	mounts, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil || len(mounts) == 0 {
		return "unknown"
	}
	deepest := mounts[0]
	for _, m := range mounts {
		if len(m.Mountpoint) >= len(deepest.Mountpoint) {
			deepest = m
		}
	}
	return deepest.FSType
}
