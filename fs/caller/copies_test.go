package caller

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestCopyOf(t *testing.T) {
	for _, tc := range []struct {
		name         string
		info, opened uint32
		want         bool
	}{
		{"the same", unix.O_WRONLY, unix.O_WRONLY, true},
		{"what open alone knows", unix.O_WRONLY, unix.O_WRONLY | unix.O_TRUNC | unix.O_CREAT, true},
		{"what fcntl may change", unix.O_RDWR | unix.O_NONBLOCK, unix.O_RDWR, true},
		{"close-on-exec", unix.O_RDWR | unix.O_CLOEXEC, unix.O_RDWR, true},
		{"an appender", unix.O_WRONLY | unix.O_APPEND, unix.O_WRONLY, false},
		{"beside an appender", unix.O_WRONLY, unix.O_WRONLY | unix.O_APPEND, false},
		{"another access", unix.O_RDWR, unix.O_WRONLY, false},
		{"a reader", unix.O_RDONLY, unix.O_RDONLY | unix.O_TRUNC, false},
		{"a path only", unix.O_PATH | unix.O_RDWR, unix.O_RDWR, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := (openFile{flags: uint64(tc.info)}).copyOf(tc.opened); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

// checkScan looks for the descriptors of one process among all.
func checkScan(t *testing.T, tab *Table, pid uint32, ino uint64, want int) {
	t.Helper()
	for flags, want := range map[uint32]int{unix.O_WRONLY: want, unix.O_RDWR: 0, unix.O_WRONLY | unix.O_APPEND: 0} {
		if s := tab.CopyHolders(ino, flags); s.Counts[pid] != want || !s.InTime {
			t.Errorf("flags %o: CopyHolders = %+v, want %d of %d", flags, s, want, pid)
		}
	}
}
