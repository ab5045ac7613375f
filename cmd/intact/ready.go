package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// readyFD is the descriptor on which a daemon tells its parent that it
// serves: the first of exec.Cmd.ExtraFiles.
const readyFD = 3

// relayed is the error of a daemon as its parent passes it on.
type relayed struct {
	Code    int    `json:"code"` // 0: it serves
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Warning string `json:"warning,omitempty"` // it serves, but not as asked
}

func (e relayed) Error() string { return e.Message }

// readyPipe tells the parent once; without a parent it tells nobody.
type readyPipe struct{ w *os.File }

func openReady(fd int) readyPipe {
	if fd <= 0 {
		return readyPipe{}
	}
	return readyPipe{os.NewFile(uintptr(fd), "ready")}
}

// serving tells the parent, which passes the warning on.
func (r readyPipe) serving(warning string) { r.send(relayed{Warning: warning}) }

func (r readyPipe) failed(err error) {
	r.send(relayed{Code: exitCode(err), Message: err.Error(), Hint: hintFor(err)})
}

// send may meet a parent that has gone: the daemon serves all the same.
func (r readyPipe) send(message relayed) {
	if r.w == nil {
		return
	}
	_ = json.NewEncoder(r.w).Encode(message)
	_ = r.w.Close()
}

// startDaemon runs this program again as the daemon, in a session of its own,
// and returns when it serves. A daemon that could not serve has ended, and
// its error is returned.
func (a *app) startDaemon(ctx context.Context, dir, point string, f *mountFlags) (*exec.Cmd, error) {
	args := append([]string{"mount", "--foreground", fmt.Sprintf("--ready-fd=%d", readyFD)}, f.args()...)
	// The daemon works in the root directory: it keeps no other busy.
	places := []string{dir, point, f.logPath}
	for i, place := range places {
		abs, err := fromHere(place)
		if err != nil {
			return nil, err
		}
		places[i] = abs
	}
	if f.logPath != "" {
		args = append(args, "--log-file="+places[2])
	}
	args = append(args, "--", places[0], places[1])
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	// The link is the program that runs, also when its file was replaced.
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = "intact"
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	defer stop()
	warning, err := readReady(r)
	if err != nil {
		_ = cmd.Wait()
		return nil, err
	}
	if warning != "" {
		a.tell("warning: %s", warning)
	}
	return cmd, nil
}

// maxReady bounds what a daemon may say.
const maxReady = 64 << 10

// readReady is the error of a daemon that could not serve, or the warning of
// one that does.
func readReady(r io.Reader) (warning string, err error) {
	var message relayed
	err = json.NewDecoder(io.LimitReader(r, maxReady)).Decode(&message)
	if err != nil {
		return "", hint(errors.New("the daemon ended before it served"), "intact mount -f shows why")
	}
	if message.Code == 0 {
		return message.Warning, nil
	}
	if message.Hint != "" {
		return "", hint(message, "%s", message.Hint)
	}
	return "", message
}

// waitLock waits until nobody holds the lock of a directory any more: its
// daemon has written everything and ended.
func waitLock(ctx context.Context, dir string, patience time.Duration) error {
	f, err := os.Open(dir + "/.intact/lock")
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	deadline := time.Now().Add(patience)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon of %s has not ended after %v", dir, patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
