// Package store joins the journal, the history and the validators into what
// package fs needs to serve one directory, and into what the command line
// needs to look after it.
//
// A Store owns DIR/.intact: its FORMAT line, its lock, its configuration. It
// is the only thing that knows both the journal and the history, so the rules
// that need both live here: what is filed before the journal may forget, what
// a drastic shrink is, how strictly a file is judged after its own past, what
// changed beneath a directory while nobody served it.
//
// All methods of Store may be called from several goroutines. Paths are
// slash-separated and relative to the directory.
package store
