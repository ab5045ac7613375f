package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"intactfs/control"
	"intactfs/fs"
	"intactfs/store"
)

// target is a path that the user named, and the directory it belongs to.
type target struct {
	dir   string   // the directory that intact looks after, absolute
	path  string   // below it; "" is the directory itself
	mount *mounted // the mount it was seen through; nil if it was not
}

// locate finds the directory that a path belongs to: through the mount it
// lies in, or as the nearest directory above with .intact in it.
func locate(arg string) (target, error) {
	abs, mounts, err := absolute(arg)
	if err != nil {
		return target{}, err
	}
	if m, ok := mountOf(mounts, abs); ok {
		rel, err := below(m.point, abs)
		return target{dir: m.dir, path: rel, mount: &m}, err
	}
	for dir := abs; ; dir = filepath.Dir(dir) {
		if st, err := os.Lstat(filepath.Join(dir, store.Dir)); err == nil && st.IsDir() {
			rel, err := below(dir, abs)
			return target{dir: dir, path: rel}, err
		}
		if dir == "/" {
			break
		}
	}
	if _, err := os.Lstat(abs); err != nil {
		return target{}, err
	}
	return target{}, fmt.Errorf("%s: %w", arg, store.ErrUninitialized)
}

func below(dir, path string) (string, error) {
	rel, err := filepath.Rel(dir, path)
	if rel == "." {
		rel = ""
	}
	return filepath.ToSlash(rel), err
}

// intent is what a session is for.
type intent int

const (
	toRead intent = iota
	toWrite
)

// intentOf is what a command is for that changes something, or only looks what
// it would change.
func intentOf(changes bool) intent {
	if changes {
		return toWrite
	}
	return toRead
}

// callPatience is how long a daemon may be silent within a call.
const callPatience = 2 * time.Minute

// lockPatience is how long to wait for another command to be done with the
// directory.
const lockPatience = 3 * time.Second

// session reaches the daemon of the target, or opens the directory itself.
func (a *app) session(ctx context.Context, t target, what intent, purpose string) (control.Caller, error) {
	if t.mount == nil {
		return a.openHere(ctx, t, what, purpose)
	}
	c, err := a.reach(ctx, *t.mount)
	switch {
	case !isDead(err):
		return c, err
	case t.mount.point == t.dir:
		return nil, hint(fmt.Errorf("%s is a dead mount that a crash left", t.mount.point),
			"clear it with: intact unmount %s", t.mount.point)
	}
	return a.openHere(ctx, t, what, purpose)
}

// reach connects to the daemon of a mount. Nothing in it waits for ever: a
// daemon may hang from one question to the next.
func (a *app) reach(ctx context.Context, m mounted) (control.Caller, error) {
	socket, err := m.ask(ctx, a.silent)
	if err != nil && !errors.Is(err, control.ErrSilent) {
		err = fmt.Errorf("ask the mount %s for its daemon: %w", m.point, err)
	}
	if err != nil {
		return nil, err
	}
	c, err := a.dial(ctx, socket, m.point)
	if errors.Is(err, control.ErrGone) { // just now: the mount knows
		if _, mountErr := m.askMount(ctx, a.silent); isDead(mountErr) {
			err = mountErr
		}
	}
	return c, err
}

// dead tells whether nobody serves a mount any more.
func (a *app) dead(m mounted) bool {
	c, err := a.reach(context.Background(), m)
	if err == nil {
		_ = c.Close()
	}
	return isDead(err)
}

// answers fails for a path in a mount whose daemon hangs: to write there would
// be to wait for ever.
func (a *app) answers(ctx context.Context, path string) error {
	path, mounts, err := absolute(path)
	if err != nil {
		return err
	}
	m, ok := mountOf(mounts, path)
	if !ok {
		return nil
	}
	c, err := a.reach(ctx, m)
	switch {
	case err == nil:
		return c.Close()
	case errors.Is(err, control.ErrSilent):
		return err
	}
	return nil
}

// dial connects to the daemon of a directory or mount, if it answers at all.
func (a *app) dial(ctx context.Context, socket, place string) (control.Caller, error) {
	c, err := control.Dial(ctx, socket, a.patience)
	if err != nil {
		return nil, err
	}
	if err = c.Ping(ctx, a.silent); err == nil {
		return c, nil
	}
	_ = c.Close()
	if errors.Is(err, control.ErrSilent) {
		err = fmt.Errorf("%s: %w", place, err)
	}
	return nil, err
}

// openHere talks to a daemon that serves the directory on another mount
// point, or takes the lock and does without.
func (a *app) openHere(ctx context.Context, t target, what intent, purpose string) (control.Caller, error) {
	dir, err := os.Open(t.dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if c, err := a.dialDir(ctx, dir); err == nil || !errors.Is(err, control.ErrNoDaemon) {
		return c, err
	}
	s, err := store.Open(dir, store.Options{
		Purpose: purpose, ReadOnly: what == toRead, Patience: lockPatience, Now: a.now, Log: a.plainLog(),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.dir, err)
	}
	v := control.Service{Store: s, Dir: t.dir, Version: version()}
	return control.NewLocal(v.Handlers(), s.Close), nil
}

// dialDir looks for the daemon of an open directory: one of this user's, or
// root's.
func (a *app) dialDir(ctx context.Context, dir *os.File) (control.Caller, error) {
	own := control.RuntimeOfProcess()
	for _, r := range []control.Runtime{own, {UID: 0}} {
		socket, err := r.Socket(dir)
		if err != nil {
			return nil, err
		}
		c, err := a.dial(ctx, socket, dir.Name())
		if err == nil || !errors.Is(err, control.ErrNoDaemon) {
			return c, err
		}
	}
	return nil, control.ErrNoDaemon
}

// with runs f on the session of a path and closes it.
func (a *app) with(ctx context.Context, arg string, what intent, f func(target, control.Caller) error) error {
	t, err := locate(arg)
	if err != nil {
		return err
	}
	return a.withTarget(ctx, t, what, f)
}

func (a *app) withTarget(ctx context.Context, t target, what intent, f func(target, control.Caller) error) error {
	work := func() error {
		c, err := a.session(ctx, t, what, "intact command")
		if err != nil {
			return err
		}
		return errors.Join(f(t, c), c.Close())
	}
	if what == toRead {
		return promptly(ctx, work)
	}
	return work()
}

// promptGrace is how long what only reads may go on after a signal, to end by
// itself.
const promptGrace = 500 * time.Millisecond

// promptly runs f, and gives it up a moment after ctx has ended: it may compute
// for long, and nothing in it knows of ctx. f goes on until the process ends, so
// that it must not change anything that somebody keeps.
func promptly(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(promptGrace):
		return ctx.Err()
	}
}

// me is who a command's commits are from.
func me() fs.Writer {
	return fs.Writer{PID: uint32(os.Getpid()), UID: uint32(os.Getuid()), Program: "intact"}
}

// versions is the log of a target, oldest first.
func versions(ctx context.Context, c control.Caller, path string) ([]store.Entry, error) {
	var log []store.Entry
	err := c.Call(ctx, control.OpLog, control.PathArgs{Path: path}, &log, control.Sink{})
	return log, err
}
