package backup

import (
	"context"
	"errors"
	"io"
	"testing"

	"intactfs/journal/disk/disktest"
)

// cancelling ends a context when it is read.
type cancelling struct {
	io.ReaderAt
	cancel context.CancelFunc
}

func (c cancelling) ReadAt(p []byte, off int64) (int, error) {
	c.cancel()
	return c.ReaderAt.ReadAt(p, off)
}

// TestAddEndedBetweenItems: a context that ends while an item is added keeps
// the next ones from being tried, and nil would say that they are kept.
func TestAddEndedBetweenItems(t *testing.T) {
	s := openStore(t, disktest.New())
	ctx, cancel := context.WithCancel(context.Background())
	items := []Item{item(1, "one"), item(2, "two"), item(3, "three")}
	items[0].Content = cancelling{items[0].Content, cancel}
	if err := s.Add(ctx, "a.json", items); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	items[0] = item(1, "one")
	mustAdd(t, s, "a.json", items...)
	for tx, want := range []string{"one", "two", "three"} {
		wantVersion(t, s, "a.json", uint64(tx+1), want)
	}
}
