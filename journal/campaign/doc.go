// Command campaign crashes the journal and the history in memory, in as many
// ways as it is given time for, and checks every promise after each crash.
//
//	go run ./journal/campaign -states 1000000 -seed 1
//
// The workloads are every sequence of up to three operations out of small and
// big commits and appends to two paths, settling either, a checkpoint, and
// closing and opening again; and then random longer ones. In every other
// workload, those with numbers from 1000000 on, a file has two names from the
// beginning, and is committed to by all names, by one alone, by others and more
// (-links has no other workloads). Each is crashed before every operation of the
// disk, and each crash keeps different parts of what was not yet synced. After a
// crash it checks
//
//   - before any recovery, that every file is one version, whole, with its
//     attributes, and not older than what was settled, by each of its names;
//   - after the recovery, that readers find the newest acknowledged version, and
//     the same one by all its names;
//   - after a checkpoint, that the file is that version, that the names it is for
//     have one inode, and that the history of each has every version that was
//     acknowledged, and what was there before;
//   - that recovering again changes no byte of the files.
//
// A fifth of the states crash once more in the middle of the recovery. Before
// every operation the process alone is killed, too: the page cache stays, and
// the machine crashes while the next process recovers.
//
// A state has the number workload.operation.variant. With the same -seed it is
// the same state in every run, and -replay tries it alone.
package main
