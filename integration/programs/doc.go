// Package programs drives programs that nobody changed for it through a real
// mount, and compares each with itself on the native file system: the same
// visible result, whole at every instant for a reader beside it, whole when
// it is killed at any instant, and the version before kept in history.
//
// The usual run takes what make setup installs. INTACT_PROGRAMS=all takes all
// of them; make programs installs them first and writes docs/programs.md.
package programs
