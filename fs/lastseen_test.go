package fs

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLastSeen(t *testing.T) {
	broken := fmt.Errorf("stat: %w", unix.EIO)
	var l lastSeen
	if _, err := l.or(unix.Stat_t{}, broken); !errors.Is(err, unix.EIO) {
		t.Errorf("nothing was seen yet: %v, want EIO", err)
	}
	if st, err := l.or(unix.Stat_t{Ino: 7}, nil); err != nil || st.Ino != 7 {
		t.Errorf("what the disk says: %d, %v", st.Ino, err)
	}
	tests := []struct {
		err  error
		want error
	}{
		{broken, nil},
		{unix.EUCLEAN, nil},
		{unix.ESHUTDOWN, nil},
		{unix.ENOENT, unix.ENOENT}, // is an answer
		{unix.EACCES, unix.EACCES},
	}
	for _, tt := range tests {
		st, err := l.or(unix.Stat_t{}, tt.err)
		if !errors.Is(err, tt.want) || err == nil && st.Ino != 7 {
			t.Errorf("after %v: inode %d, %v; want %v", tt.err, st.Ino, err, tt.want)
		}
	}
}
