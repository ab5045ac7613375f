package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/control"
	"intactfs/fs"
	"intactfs/store"
)

// daemon is a process that serves a directory. It never touches its own
// mount: a request to itself could wait for itself.
type daemon struct {
	app   *app
	flags *mountFlags
	dir   string
	point string

	dirFile *os.File
	log     *slog.Logger
	logEnd  io.Closer // nil: logging to stderr
	store   *store.Store
	control *control.Server
	server  *fs.Server
	note    control.Note  // left for who looks for this daemon; zero: none
	minor   int           // of the mount's device
	gone    chan struct{} // closed when the mount is gone
	asked   chan struct{} // told when the mount was taken away on request
	warning string        // what the parent has to tell whoever mounts
}

// settled marks an error that a signal has nothing to do with.
type settled struct{ error }

func (e settled) Unwrap() error { return e.error }

// serve mounts and serves until the mount is gone or a signal comes. What
// keeps it from serving goes to the parent, if there is one that waits.
func (a *app) serve(ctx context.Context, dirArg, pointArg string, f *mountFlags) error {
	ready := openReady(f.readyFD)
	d, err := a.newDaemon(ctx, dirArg, pointArg, f)
	if err != nil {
		ready.failed(err)
		return err
	}
	// The first line opens the log, before anybody can do what goes wrong.
	d.log.Info("serving", "dir", d.dir, "mount", d.point, "pid", os.Getpid(), "replayed", d.store.Recovered().Records)
	ready.serving(d.warning)
	if err := d.run(ctx); err != nil {
		return settled{err}
	}
	return nil
}

// newDaemon does everything up to the point where the mount answers.
func (a *app) newDaemon(ctx context.Context, dirArg, pointArg string, f *mountFlags) (*daemon, error) {
	dir, point, err := a.preflight(dirArg, pointArg)
	if err != nil {
		return nil, err
	}
	d := &daemon{app: a, flags: f, dir: dir, point: point, gone: make(chan struct{}), asked: make(chan struct{}, 1)}
	if err := d.start(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *daemon) start(ctx context.Context) error {
	var err error
	if d.dirFile, err = os.Open(d.dir); err != nil {
		return refused{explainOpen(d.dir, err)}
	}
	if err := d.openLog(); err != nil {
		return refused{err}
	}
	d.store, err = store.Open(d.dirFile, store.Options{
		Purpose: "mounted on " + d.point, Create: true, Fallback: true, Background: true,
		Patience: lockPatience, Override: d.flags.override, Now: d.app.now, Log: d.log,
	})
	if err != nil {
		return refused{explainOpen(d.dir, err)}
	}
	if err := d.listen(); err != nil {
		return refused{err}
	}
	return d.mount(ctx)
}

// openLog logs to the file that was asked for, in the background to one below
// the directory, else to stderr.
func (d *daemon) openLog() error {
	path := d.flags.logPath
	switch {
	case path == "" && d.flags.readyFD == 0:
		d.log = newLog(d.app.stderr, d.app.terminal, d.flags.level())
		return nil
	case path == "":
		root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", d.dirFile.Fd()))
		if err != nil {
			return fmt.Errorf("open log: %w", err)
		}
		file := &logFile{root: root, name: logName, max: maxLog}
		d.log, d.logEnd = newLog(file, false, d.flags.level()), file
		return nil
	}
	abs, err := fromHere(path)
	if err != nil {
		return err
	}
	file, err := openLogDir(abs)
	if err != nil {
		return err
	}
	d.log, d.logEnd = newLog(file, false, d.flags.level()), file
	return nil
}

func (d *daemon) listen() error {
	r := control.RuntimeOfProcess()
	socket, err := r.Socket(d.dirFile)
	if err != nil {
		return err
	}
	v := control.Service{
		Store: d.store, Dir: d.dir, Mount: d.point, Version: version(),
		Stop: d.stop, Changed: d.changed,
	}
	d.control, err = control.Listen(r, socket, v.Handlers(), d.log)
	return err
}

// idleCommit is the configured quiet time as fs has it: 0 means never.
func idleCommit(configured store.Duration) time.Duration {
	if configured == 0 {
		return -1
	}
	return time.Duration(configured)
}

func (d *daemon) mount(ctx context.Context) error {
	o := fs.Options{
		Root: d.dirFile, RootPath: d.dir, MountPoint: d.point,
		Store: d.store, Rules: d.store, Log: d.log, Control: d.control.Path(),
		IdleCommit: idleCommit(*d.store.Config().IdleCommit), Now: d.app.now, Debug: d.flags.debug,
		PrivateToUser: os.Geteuid() != 0, Past: d.store.PastView(), PastTime: d.app.pastTime,
	}
	for _, option := range d.flags.options {
		switch option {
		case "allow_other":
			o.PrivateToUser = false
		case "":
		default:
			o.FuseOptions = append(o.FuseOptions, option)
		}
	}
	if reason, readOnly := d.store.ReadOnly(); readOnly {
		d.warn("mounted read-only: " + reason)
		if !slices.Contains(o.FuseOptions, "ro") {
			o.FuseOptions = append(o.FuseOptions, "ro")
		}
	}
	server, err := fs.Mount(ctx, o)
	if err != nil {
		return refused{explainMount(err, d.flags.options)}
	}
	d.server = server
	keepDescriptors()
	d.leaveNote()
	go func() {
		defer close(d.gone)
		server.Serve()
	}()
	return nil
}

// leaveNote says beside the socket which mount is this daemon's. Without it the
// mount is asked.
func (d *daemon) leaveNote() {
	mounts, err := intactMounts()
	if m, ok := mountOf(mounts, d.point); ok && m.point == d.point {
		d.minor = m.minor
		d.note = control.Note{Socket: d.control.Path(), Dir: d.dir, Mount: d.point}
		err = control.RuntimeOfProcess().Leave(d.minor, d.note)
	}
	if err != nil {
		d.log.Warn("leave a note of the mount", "err", err)
	}
}

// keepDescriptors keeps what is open from the commands that judge contents. The
// library leaves the connection to the kernel open for them: one that outlives
// the daemon would keep its mount from dying, and could answer for it.
func keepDescriptors() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // kernels before 5.11 can't
}

// warn tells whoever mounts: the parent of a daemon in the background, which
// has no terminal itself.
func (d *daemon) warn(text string) {
	d.log.Warn(text)
	if d.flags.readyFD > 0 {
		d.warning = text
		return
	}
	d.app.tell("warning: %s", text)
}

// explainMount gives the errors of mounting their hints.
func explainMount(err error, options []string) error {
	if _, missing := os.Stat("/dev/fuse"); missing != nil {
		return hint(err, "/dev/fuse is missing: load the kernel module with: modprobe fuse")
	}
	if os.Geteuid() != 0 && errors.Is(err, os.ErrNotExist) {
		return hint(err, "install fuse3 for fusermount3, or run intact as root")
	}
	if len(options) > 0 {
		return hint(err, "perhaps an option is not one of FUSE: -o %s", strings.Join(options, ","))
	}
	return err
}

// run serves until the mount is gone.
func (d *daemon) run(ctx context.Context) error {
	select {
	case <-d.gone:
	case <-d.asked:
		d.end(graceBusy)
	case <-ctx.Done():
		d.log.Info("stopping: a signal came")
		d.leave()
	}
	err := d.close()
	if err != nil {
		d.app.tell("error: %v", err)
	}
	return err
}

// How long a signal waits for programs to let go of the mount, and then for
// what they still do in it. An unmount on request, which nobody in this mount
// namespace was in the way of, gets the first for what is in another.
const (
	graceBusy = 3 * time.Second
	graceGone = 5 * time.Second
)

// leave unmounts because the process has to end: programs that use the mount
// get a moment, then it is taken from them.
func (d *daemon) leave() {
	if err := d.store.Checkpoint(context.Background()); err != nil {
		d.log.Error("checkpoint: what is pending stays in the journal", "err", err)
	}
	deadline := time.Now().Add(graceBusy)
	err := d.unmount()
	for err != nil && time.Now().Before(deadline) {
		select {
		case <-d.gone:
			return
		case <-time.After(100 * time.Millisecond):
		}
		err = d.unmount()
	}
	if err != nil {
		d.log.Warn("detaching a mount in use", "err", err)
		if err := (mounted{point: d.point}).detach(); err != nil {
			d.log.Error("detach", "err", err)
		}
	}
	d.end(graceGone)
}

// end waits for the last request after an unmount. The mount may live on in
// another mount namespace, which is no reason to stay.
func (d *daemon) end(grace time.Duration) {
	if err := d.server.End(grace); err != nil {
		d.log.Warn("ending with files still open in the mount: what was not saved is lost", "err", err)
	}
}

// unmount is nil also when the mount is gone already.
func (d *daemon) unmount() error {
	select {
	case <-d.gone:
		return nil
	default:
		return mounted{point: d.point}.unmount()
	}
}

// stop unmounts because a person asked: who uses the mount decides, unless
// that person does.
func (d *daemon) stop(force bool) error {
	err := d.unmount()
	switch {
	case errors.Is(err, unix.EBUSY) && force:
		d.log.Warn("detaching a mount in use: as asked")
		err = mounted{point: d.point}.detach()
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%w: %w", control.ErrBusy, err)
	}
	if err == nil {
		select {
		case d.asked <- struct{}{}:
		default: // it is told
		}
	}
	return err
}

// changed is called when a command committed a path.
func (d *daemon) changed(path string) {
	if s, ok := any(d.server).(interface{ Changed(path string) }); ok {
		s.Changed(path)
	}
}

// close lets go of everything that was begun.
func (d *daemon) close() error {
	var errs []error
	if d.note.Socket != "" {
		errs = append(errs, control.RuntimeOfProcess().Unleave(d.minor, d.note))
	}
	if d.control != nil {
		errs = append(errs, d.control.Close())
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		d.log.Error("close", "err", err)
	} else if d.store != nil {
		d.log.Info("stopped", "dir", d.dir)
	}
	if d.logEnd != nil {
		errs = append(errs, d.logEnd.Close())
	}
	if d.dirFile != nil {
		errs = append(errs, d.dirFile.Close())
	}
	return errors.Join(errs...)
}
