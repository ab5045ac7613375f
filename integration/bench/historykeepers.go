package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"intactfs/backup"
	"intactfs/journal/disk"
)

// A keeper is a way to keep every version of a file.
type keeper interface {
	name() string
	save(ctx context.Context, n int, doc []byte) error
	restore(ctx context.Context, n int) ([]byte, error)
	stored() (int64, error) // bytes that the file system gave to it
	close() error
}

// errMissing: a contender can't be measured, because its program is missing.
var errMissing = errors.New("not measured")

// keepers make a contender that works in a directory of its own.
var keepers = []func(context.Context, string) (keeper, error){newPacks, newCopies, newGit, newRestic}

// packs is the history of intact, in this process.
type packs struct {
	dir   string
	disk  *disk.OS
	store *backup.Store
}

func newPacks(_ context.Context, dir string) (keeper, error) {
	d, err := disk.Open(dir)
	if err != nil {
		return nil, err
	}
	s, err := backup.Open(d, backup.Options{})
	return &packs{dir, d, s}, err
}

func (*packs) name() string { return mounted }

func (k *packs) save(ctx context.Context, n int, doc []byte) error {
	return k.store.Add(ctx, "f.json", []backup.Item{{
		Tx: uint64(n), Time: time.Now(), Size: int64(len(doc)), SHA256: sha256.Sum256(doc),
		Content: bytes.NewReader(doc),
	}})
}

// restore begins with an empty cache, as after a restart.
func (k *packs) restore(ctx context.Context, n int) ([]byte, error) {
	s, err := backup.Open(k.disk, backup.Options{})
	if err != nil {
		return nil, err
	}
	c, err := s.Open(ctx, "f.json", uint64(n))
	if err != nil {
		return nil, err
	}
	doc, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return doc, errors.Join(err, c.Close(), s.Close())
}

func (k *packs) stored() (int64, error) { return allocated(k.dir) }
func (k *packs) close() error           { return errors.Join(k.store.Close(), k.disk.Close()) }

// tool is a program that keeps versions.
type tool struct {
	program string
	dir     string
	env     []string
}

func newTool(program, dir string, env ...string) (tool, error) {
	if _, err := exec.LookPath(program); err != nil {
		return tool{}, fmt.Errorf("%w: %s is not here", errMissing, program)
	}
	return tool{program, dir, env}, nil
}

// run returns what the program writes to standard output.
func (t tool) run(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.program, args...)
	cmd.Dir, cmd.Env = t.dir, append(os.Environ(), t.env...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", t.program, args[0], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out, nil
}

func (t tool) name() string           { return t.program }
func (t tool) stored() (int64, error) { return allocated(t.dir) }
func (t tool) close() error           { return nil }

// copies is a compressed copy of each version.
type copies struct{ tool }

func newCopies(_ context.Context, dir string) (keeper, error) {
	t, err := newTool("zstd", dir)
	return copies{t}, err
}

func (copies) name() string { return "zstd of each version" }

func (k copies) save(ctx context.Context, n int, doc []byte) error {
	name := strconv.Itoa(n)
	if err := os.WriteFile(filepath.Join(k.dir, name), doc, 0o644); err != nil {
		return err
	}
	_, err := k.run(ctx, "-q", "--rm", name)
	return err
}

func (k copies) restore(ctx context.Context, n int) ([]byte, error) {
	return k.run(ctx, "-dqc", strconv.Itoa(n)+".zst")
}

// commits is a commit for each version, never repacked, as git does it before
// it collects garbage.
type commits struct{ tool }

func newGit(ctx context.Context, dir string) (keeper, error) {
	t, err := newTool("git", dir, gitEnvironment...)
	if err == nil {
		_, err = t.run(ctx, "init", "-q")
	}
	return commits{t}, err
}

// gitEnvironment keeps git from what the machine is configured for.
var gitEnvironment = []string{
	"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
	"GIT_AUTHOR_NAME=bench", "GIT_AUTHOR_EMAIL=bench@example.org",
	"GIT_COMMITTER_NAME=bench", "GIT_COMMITTER_EMAIL=bench@example.org",
}

func (k commits) save(ctx context.Context, n int, doc []byte) error {
	if err := os.WriteFile(filepath.Join(k.dir, "f.json"), doc, 0o644); err != nil {
		return err
	}
	if _, err := k.run(ctx, "add", "f.json"); err != nil {
		return err
	}
	if _, err := k.run(ctx, "-c", "gc.auto=0", "commit", "-q", "-m", strconv.Itoa(n)); err != nil {
		return err
	}
	_, err := k.run(ctx, "update-ref", fmt.Sprintf("refs/heads/v%d", n), "HEAD")
	return err
}

func (k commits) restore(ctx context.Context, n int) ([]byte, error) {
	return k.run(ctx, "cat-file", "blob", fmt.Sprintf("refs/heads/v%d:f.json", n))
}

func (k commits) stored() (int64, error) { return allocated(filepath.Join(k.dir, ".git", "objects")) }

// snapshots is a snapshot of restic for each version.
type snapshots struct{ tool }

func newRestic(ctx context.Context, dir string) (keeper, error) {
	t, err := newTool("restic", dir, resticEnvironment(dir)...)
	if err == nil {
		_, err = t.run(ctx, "init", "-q")
	}
	return snapshots{t}, err
}

func resticEnvironment(dir string) []string {
	return []string{
		"RESTIC_REPOSITORY=" + filepath.Join(dir, "repository"), "RESTIC_PASSWORD=bench",
		"RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache"),
	}
}

func (k snapshots) save(ctx context.Context, n int, doc []byte) error {
	if err := os.WriteFile(filepath.Join(k.dir, "f.json"), doc, 0o644); err != nil {
		return err
	}
	_, err := k.run(ctx, "backup", "-q", "--tag", fmt.Sprint("v", n), "f.json")
	return err
}

func (k snapshots) restore(ctx context.Context, n int) ([]byte, error) {
	return k.run(ctx, "dump", "-q", "--tag", fmt.Sprint("v", n), "latest", "/f.json")
}

func (k snapshots) stored() (int64, error) { return allocated(filepath.Join(k.dir, "repository")) }

// allocated is the space that the files below dir take on the disk.
func allocated(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, e iofs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, iofs.ErrNotExist) || strings.HasSuffix(path, ".lock") {
			return nil
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			sum += st.Blocks * 512
		}
		return nil
	})
	return sum, err
}
