package integration

import (
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"intactfs/integration/harness"
)

// campaign counts what many kills did and found.
type campaign struct {
	asked      int
	kills      atomic.Int64
	saves      atomic.Int64
	violations atomic.Int64
}

// killsAsked is how many kills a test makes: what INTACT_KILLS says, else by
// the form of the run.
func killsAsked(t *testing.T, short, long int) int {
	t.Helper()
	text := os.Getenv("INTACT_KILLS")
	if text == "" {
		return harness.Scale(short, long)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("INTACT_KILLS is %q, want a number of kills", text)
	}
	return n
}

// share is how many of the kills fall to the i-th of n.
func (c *campaign) share(i, n int) int { return (c.asked + n - 1 - i) / n }

// lifetime is how long a mount may serve that lives as long as the campaign.
func (c *campaign) lifetime() time.Duration {
	return 4*time.Minute + time.Duration(c.asked)*time.Second
}

// killed counts a kill, and the saves that had been acknowledged before it.
// Whoever calls it looks for them next. Now and then it tells how far it is.
func (c *campaign) killed(t testing.TB, saves int64) {
	t.Helper()
	c.saves.Add(saves)
	if n := c.kills.Add(1); n%100 == 0 {
		c.print(t, "so far")
	}
}

// counting is t, with every error counted as a violation.
func (c *campaign) counting(t *testing.T) testing.TB { return countingT{t, &c.violations} }

type countingT struct {
	testing.TB
	errors *atomic.Int64
}

func (t countingT) Errorf(format string, args ...any) {
	t.Helper()
	t.errors.Add(1)
	t.TB.Errorf(format, args...)
}

func (t countingT) Fatalf(format string, args ...any) {
	t.Helper()
	t.errors.Add(1)
	t.TB.Fatalf(format, args...)
}

// print tells the numbers.
func (c *campaign) print(t testing.TB, of string) {
	t.Helper()
	t.Logf("%s: %d of %d kills, %d acknowledged saves looked for, %d violations",
		of, c.kills.Load(), c.asked, c.saves.Load(), c.violations.Load())
}

func TestCampaignShares(t *testing.T) {
	for _, tt := range []struct {
		asked int
		want  []int
	}{{208, []int{52, 52, 52, 52}}, {10, []int{3, 3, 2, 2}}, {1, []int{1, 0, 0, 0}}} {
		c := &campaign{asked: tt.asked}
		for i, want := range tt.want {
			if got := c.share(i, len(tt.want)); got != want {
				t.Errorf("%d of %d kills: %d, want %d", i, tt.asked, got, want)
			}
		}
	}
}
