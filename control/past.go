package control

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"intactfs/store"
)

// Exported is what OpExport sent.
type Exported struct {
	Files  int      `json:"files"`
	Failed []Failed `json:"failed,omitempty"`
}

// Failed is a path that an operation on many could do nothing with.
type Failed struct {
	Path  string `json:"path"`
	Error *Error `json:"error"`
}

// RestoredPath is what OpRestoreAt did with a path.
type RestoredPath struct {
	Path    string `json:"path"`
	From    string `json:"from,omitempty"`    // the version of then
	Version string `json:"version,omitempty"` // the commit that brought it back
	Changed bool   `json:"changed"`           // what was there was something else
	Error   *Error `json:"error,omitempty"`
}

// export sends an archive of what was there at a time. Versions that can't be
// read are left out and named in the result.
func (v *Service) export(ctx context.Context, a AtArgs, sink Sink) (Exported, error) {
	var done Exported
	out := bufio.NewWriterSize(contentWriter{sink}, chunkSize)
	archive := tar.NewWriter(out)
	err := v.Store.Past(ctx, a.Path, a.Time, func(f store.PastFile, n, total int) error {
		if sink.Progress != nil {
			defer sink.Progress(int64(n), int64(total))
		}
		if f.Err != nil {
			done.Failed = append(done.Failed, Failed{f.Path, toError(f.Err)})
			return nil
		}
		done.Files++
		return appendTar(archive, f)
	})
	if err != nil {
		return done, err
	}
	return done, errors.Join(archive.Close(), out.Flush())
}

func appendTar(archive *tar.Writer, f store.PastFile) error {
	err := archive.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: f.Path, Size: f.Content.Size(), Mode: int64(f.Mode),
		Uid: int(f.UID), Gid: int(f.GID), ModTime: f.Mtime, Format: tar.FormatPAX,
	})
	if err == nil {
		_, err = io.Copy(archive, io.NewSectionReader(f.Content, 0, f.Content.Size()))
	}
	if err != nil {
		return fmt.Errorf("export %s: %w", f.Path, err)
	}
	return nil
}

// contentWriter takes what is written as content.
type contentWriter struct{ sink Sink }

func (w contentWriter) Write(p []byte) (int, error) {
	for off := 0; off < len(p) && w.sink.Content != nil; off += chunkSize {
		if err := w.sink.Content(p[off:min(len(p), off+chunkSize)]); err != nil {
			return off, err
		}
	}
	return len(p), nil
}

func (v *Service) restoreAt(ctx context.Context, a RestoreAtArgs, sink Sink) ([]RestoredPath, error) {
	done := func(n, total int) {
		if sink.Progress != nil {
			sink.Progress(int64(n), int64(total))
		}
	}
	all, err := v.Store.RestoreAt(ctx, a.Path, a.Time, a.Who, a.Dry, done)
	if err != nil {
		return nil, err
	}
	restored := make([]RestoredPath, len(all))
	for i, r := range all {
		to := &restored[i]
		to.Path, to.Changed = r.Path, r.Changed
		if r.From != 0 {
			to.From = store.FormatTx(r.From)
		}
		if r.Err != nil {
			to.Error = toError(r.Err)
		}
		if r.Made == 0 {
			continue
		}
		to.Version = store.FormatTx(r.Made)
		if v.Changed != nil {
			v.Changed(r.Path)
		}
	}
	return restored, nil
}
