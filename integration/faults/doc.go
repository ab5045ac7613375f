// Package faults breaks real mounts with real faults: a daemon that is killed
// at a step, a disk that is full, read-only, hangs or fails, descriptors that
// run out, bytes that change on the disk. Each test tells what the program
// saw, what a person is told and what is left; -table writes that down.
package faults
