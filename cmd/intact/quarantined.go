package main

import (
	"encoding/hex"
	"time"

	"intactfs/backup"
	"intactfs/fs"
	"intactfs/store"
)

// quarantined is a content of the quarantine as --json prints it.
type quarantined struct {
	ID        string    `json:"id"`
	Path      string    `json:"path"`
	First     time.Time `json:"first"` // when it was refused first
	Last      time.Time `json:"last"`
	Count     int64     `json:"count"` // how often
	Reason    string    `json:"reason"`
	Line      int64     `json:"line,omitempty"`   // 1-based; none: the reason has no place
	Column    int64     `json:"column,omitempty"` // 1-based
	Offset    int64     `json:"offset"`           // 0-based, in bytes
	Size      int64     `json:"size"`
	Held      int64     `json:"held"` // bytes that are kept: fewer than size if truncated
	Truncated bool      `json:"truncated,omitempty"`
	SHA256    string    `json:"sha256"`         // of the bytes that are kept
	Stored    int64     `json:"stored"`         // bytes on disk
	Kept      string    `json:"kept,omitempty"` // the version that stayed
	Writer    fs.Writer `json:"writer"`
}

func quarantinedOf(r backup.Rejected) quarantined {
	kept := ""
	if r.Kept != 0 {
		kept = store.FormatTx(r.Kept)
	}
	return quarantined{
		ID: r.ID, Path: r.Path, First: r.Time, Last: r.Last, Count: r.Count,
		Reason: r.Reason, Line: r.Line, Column: r.Column, Offset: r.Offset,
		Size: r.Size, Held: r.Held, Truncated: r.Truncated, SHA256: hex.EncodeToString(r.SHA256[:]),
		Stored: r.Stored, Kept: kept, Writer: fs.Writer{PID: r.PID, UID: r.UID, Program: r.Program},
	}
}

func quarantinedList(list []backup.Rejected) []quarantined {
	out := make([]quarantined, 0, len(list))
	for i := range list {
		out = append(out, quarantinedOf(list[i]))
	}
	return out
}
