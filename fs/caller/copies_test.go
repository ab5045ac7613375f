package caller

import (
	"os"
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

// checkCopies compares what is found among all processes with what is found in
// one, for a file that is open for writing there.
func checkCopies(t *testing.T, tab *Table, pid uint32, ino uint64, want int) {
	t.Helper()
	for _, flags := range []uint32{uint32(os.O_WRONLY), uint32(os.O_RDWR), uint32(os.O_WRONLY | os.O_APPEND)} {
		one := tab.Copies(pid, ino, flags)
		all, _ := tab.CopyHolders(ino, flags)
		if one.Count != all[pid] || !one.Known {
			t.Errorf("flags %o: Copies = %+v, CopyHolders = %d", flags, one, all[pid])
		}
		want -= one.Count
	}
	if want != 0 {
		t.Errorf("%d copies were not found, or found twice", want)
	}
}
