package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"
)

// holder is a process that keeps a mount busy.
type holder struct {
	pid     int
	program string
	how     string // "has files open", "works in it"
}

// busyPatience bounds the look through /proc: a process in the middle of an
// exec makes a reader of some of its files wait.
const busyPatience = 3 * time.Second

// holders finds who keeps a mount busy, as far as this user may see.
func holders(m mounted) []holder {
	found := make(chan []holder, 1)
	go func() { found <- scanHolders("/proc", m) }()
	select {
	case h := <-found:
		return h
	case <-time.After(busyPatience):
		return nil
	}
}

func scanHolders(proc string, m mounted) []holder {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var found []holder
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if how := holds(filepath.Join(proc, e.Name()), m); how != "" {
			comm, _ := os.ReadFile(filepath.Join(proc, e.Name(), "comm"))
			found = append(found, holder{pid, strings.TrimSpace(string(comm)), how})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].pid < found[j].pid })
	return found
}

// holds tells how a process uses the mount, "" if it does not.
func holds(dir string, m mounted) string {
	infos, _ := os.ReadDir(dir + "/fdinfo")
	for _, fd := range infos {
		text, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if err == nil && mountID(text) == m.id {
			return "has files open"
		}
	}
	if cwd, err := os.Readlink(dir + "/cwd"); err == nil && within(m.point, cwd) {
		return "works in it"
	}
	return ""
}

// mountID is the mnt_id of an fdinfo file, -1 if it has none.
func mountID(text []byte) int {
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "mnt_id:"); ok {
			if id, err := strconv.Atoi(strings.TrimSpace(rest)); err == nil {
				return id
			}
		}
	}
	return -1
}

// describe is a list of holders for a hint.
func describe(list []holder) string {
	var parts []string
	for i, h := range list {
		if i == 5 {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (process %d) %s", h.program, h.pid, h.how))
	}
	return strings.Join(parts, ", ")
}
