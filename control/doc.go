// Package control is how the command line talks to the process that serves a
// directory: a Unix socket that only root and the daemon's own user may use.
//
// A request is one line of JSON, {"op": "log", "args": {...}}. It is answered
// by any number of lines of the kinds "chunk" (a piece of a content, base64)
// and "progress", and one last line of the kind "result" or "error". A
// connection carries one request after the other. Both sides give up on a
// peer that neither sends nor takes anything for a while.
//
// The same operations work without a daemon, through Local, on a store that
// the command opened itself: a command does not care which it talks to.
package control
