package fs

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestWatch has a watcher read the file as soon as it is told that it was
// closed or replaced: it must find the new version each time.
func TestWatch(t *testing.T) {
	for _, tc := range []struct {
		name, watched string
		save          func(w *client, text string)
	}{
		{"saved in place", "f.json", func(w *client, text string) {
			w.want("ok", "save", "f.json", text)
		}},
		{"replaced by rename", ".", func(w *client, text string) {
			w.want("ok", "save", "../t", text)
			w.want("ok", "rename", "../t", "f.json")
		}},
		{"appended to", "f.json", func(w *client, _ string) {
			w.want("ok", "open", "f", "f.json", "a")
			w.want("1", "write", "f", " ")
			w.want("ok", "close", "f")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mount(t, testRules{})
			m.seed(t, "d/f.json", oldDoc)
			m.dir = filepath.Join(m.dir, "d")
			defer func(dir string) { m.dir = dir }(filepath.Dir(m.dir))
			r, w := m.client(t), m.client(t)
			r.want("ok", "watch", "i", tc.watched)
			for i := range 20 {
				before := r.do("cat", "f.json")
				tc.save(w, fmt.Sprintf("[%d]", i))
				if got := r.do("event", "i", "f.json"); got == before {
					t.Fatalf("round %d: told too early: still %q", i, got)
				}
			}
			r.end()
			w.end()
		})
	}
}

// syncBuffer is a log that a test reads while others write to it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}
