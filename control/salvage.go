package control

import (
	"context"
	"errors"

	"intactfs/fs"
	"intactfs/store"
	"intactfs/validate"
)

// Salvaged is what mending a content kept and lost.
type Salvaged struct {
	Path      string          `json:"path"`
	Report    validate.Report `json:"report"`
	Committed *Committed      `json:"committed,omitempty"` // nil for a dry run, or if nothing had to be mended
}

// salvage mends a content: a dry run sends the result, else it is committed.
func (v *Service) salvage(ctx context.Context, a SalvageArgs, sink Sink) (Salvaged, error) {
	out := Salvaged{Path: a.Path}
	var c fs.Content
	var err error
	if a.ID != "" {
		r, rc, rerr := v.Store.OpenRejected(a.ID)
		c, err, out.Path = rc, rerr, r.Path
	} else {
		c, err = v.Store.OpenCurrent(a.Path)
	}
	if err != nil {
		return out, err
	}
	defer func() { _ = c.Close() }()
	if a.Dry {
		out.Report, err = v.Store.Salvage(out.Path, c, sinkWriter(sink))
		return out, err
	}
	made, err := v.committed(out.Path, func() (fs.Version, error) {
		var commit fs.Version
		out.Report, commit, err = v.Store.CommitSalvaged(ctx, out.Path, c, a.Who)
		return commit, err
	})
	if errors.Is(err, store.ErrWhole) {
		return out, nil
	}
	out.Committed = &made
	return out, err
}

// sinkWriter sends what is written as content.
type sinkWriter Sink

func (w sinkWriter) Write(p []byte) (int, error) {
	sent := 0
	for len(p) > 0 {
		n := min(len(p), chunkSize)
		if w.Content != nil {
			if err := w.Content(p[:n]); err != nil {
				return sent, err
			}
		}
		sent, p = sent+n, p[n:]
	}
	return sent, nil
}
