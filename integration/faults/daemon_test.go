package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"intactfs/control"
	"intactfs/fs"
	"intactfs/journal/disk"
	"intactfs/store"
)

// daemonEnv carries the order for a process of this binary that is a daemon.
const daemonEnv = "INTACT_FAULTS_DAEMON"

// order says what the daemon does.
type order struct {
	Dir     string        `json:"dir"`
	Point   string        `json:"point"` // empty: recover Dir and end, as intact recover does
	Plan    string        `json:"plan"`  // the file
	Trace   string        `json:"trace"`
	Files   uint64        `json:"files,omitempty"`   // limit of open descriptors
	Publish time.Duration `json:"publish,omitempty"` // publish delay; 0: as configured
}

// daemonMain is main of such a process; it returns in every other.
func daemonMain() {
	text := os.Getenv(daemonEnv)
	if text == "" {
		return
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = serve(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		if errors.Is(err, store.ErrDamaged) {
			os.Exit(exitDamaged)
		}
		os.Exit(exitFailed)
	}
	os.Exit(exitDone)
}

// serve wires what intact mount wires, with a director before the disk.
func serve(o order) error {
	trace, err := os.OpenFile(o.Trace, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	dir, err := os.Open(o.Dir)
	if err != nil {
		return err
	}
	if o.Files > 0 {
		limit := unix.Rlimit{Cur: o.Files, Max: o.Files}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	d := &director{path: o.Plan, trace: trace, root: int(dir.Fd()), seen: map[disk.Step]int{}}
	options := store.Options{
		Purpose: "mounted on " + o.Point, Create: true, Fallback: true, Background: true, Patience: 10 * time.Second,
		Now: time.Now, Log: log,
		Wrap: func(under disk.Disk) disk.Disk { return faultyDisk{under, d} },
		Override: func(c *store.Config) {
			if o.Publish > 0 {
				c.PublishDelay = store.Duration(o.Publish)
			}
		},
	}
	if o.Point == "" {
		options.Purpose, options.Create, options.Fallback, options.Background = "recover", false, false, false
	}
	s, err := store.Open(dir, options)
	if err != nil {
		return err
	}
	if o.Point == "" {
		return errors.Join(s.Checkpoint(context.Background()), s.Close())
	}
	err = serveMount(o, dir, s, log)
	return errors.Join(err, s.Close())
}

func serveMount(o order, dir *os.File, s *store.Store, log *slog.Logger) error {
	r := control.RuntimeOfProcess()
	socket, err := r.Socket(dir)
	if err != nil {
		return err
	}
	service := control.Service{Store: s, Dir: o.Dir, Mount: o.Point, Version: "faults",
		Stop: func(bool) error {
			err := syscall.Unmount(o.Point, 0)
			if errors.Is(err, unix.EBUSY) {
				return fmt.Errorf("%w: %w", control.ErrBusy, err)
			}
			return err
		},
		Changed: func(string) {},
	}
	c, err := control.Listen(r, socket, service.Handlers(), log)
	if err != nil {
		return err
	}
	mount := fs.Options{
		Root: dir, RootPath: o.Dir, MountPoint: o.Point, Store: s, Rules: s, Log: log, Control: c.Path(),
		IdleCommit: time.Duration(*s.Config().IdleCommit), Now: time.Now, Past: s.PastView(),
	}
	if _, readOnly := s.ReadOnly(); readOnly {
		mount.FuseOptions = append(mount.FuseOptions, "ro")
	}
	server, err := fs.Mount(context.Background(), mount)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	server.Serve()
	return c.Close()
}
