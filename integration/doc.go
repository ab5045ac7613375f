// Package integration drives the real binary: real mounts, programs nobody
// changed for them, and kills. The tests are in their short form by default;
// INTACT_LONG=1 asks for the long one.
package integration
