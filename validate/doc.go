// Package validate says, for bytes that arrive in order, whether they are a
// whole and valid document, a valid start of one, or wrong, and where.
//
// # Contract
//
// A Checker starts before the first byte of an empty document. Write takes
// the next bytes, cut anywhere: the verdict after n bytes depends on those n
// bytes alone, never on how they were cut. Verdict, Err and Proven answer at
// any moment and change nothing. Clone is cheap, so that a caller may keep
// checkpoints and resume from one when the tail is overwritten, or judge an
// append without reading the start again. Memory is bounded: a bit for each
// level of nesting, nothing for the length of a document, key or string.
// Write allocates only when nesting passes another multiple of 64 levels.
//
// The verdicts:
//
//	Unfinished  a valid start; more bytes may make it whole. Empty input and
//	            white space alone are unfinished.
//	Whole       a whole document; more bytes may still follow or spoil it
//	Invalid     no continuation is valid; stays so
//
// # Formats
//
// JSON is RFC 8259 in UTF-8, plus what writers emit all the same: NaN,
// Infinity, -Infinity, and a UTF-8 byte order mark at the start.
// [Options.Strict] takes these out. Invalid UTF-8 inside a string is invalid.
// Duplicate keys are valid, and so is an escaped surrogate without its
// partner, as in encoding/json. Nesting is bounded by [Options.MaxDepth].
// [Options.Comments] allows // and /* */ comments and a comma before a
// closing bracket.
//
// JSONLines is one JSON value on each line; a value never spans lines. Lines
// end with "\n" (a "\r" before it is white space); blank lines are allowed,
// but a document of blank lines only is unfinished. The last line needs no
// "\n": if its value is complete the document is Whole, otherwise Unfinished.
//
// Opaque is for content without rules: always Whole, never proven.
//
// # Proven
//
// A whole document may still be the torn start of a longer one: 12 of 123, or
// the first lines of many. Proven is true only if that is impossible: the
// top-level value is an object, an array or a string, it is closed, and only
// white space follows (with Comments also finished comments). Numbers,
// literals, JSON Lines and Opaque are never proven.
//
// # Places
//
// Offsets count bytes from 0, lines from 1, columns bytes within the line
// from 1. A fault is at the first byte that no valid document could have
// there; of an unfinished document it is where the next byte would go.
//
// # Mending
//
// [Salvage] closes what a torn JSON document left open, [SalvageLines] keeps
// the whole lines of a JSON Lines document.
//
// Checkers belong to one goroutine at a time; different ones are independent.
package validate
