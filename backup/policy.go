package backup

import "time"

// A Policy says what retention keeps. Durations count back from now; zero
// switches a rule off.
type Policy struct {
	Last    int           // the newest N versions
	Hourly  time.Duration // within it, the newest version of every hour
	Daily   time.Duration
	Weekly  time.Duration // weeks begin on Monday
	Monthly time.Duration
	Yearly  time.Duration
	// MaxBytes bounds the stored bytes of the versions that only the rules
	// above keep: the oldest of them go first.
	MaxBytes int64
	// Forget drops everything but pins of a path removed that long ago.
	Forget time.Duration

	// Slack is the share of a pack's bytes, 0 to 1, that must be dropped
	// before Expire rewrites it. Until then its versions stay.
	Slack float64
	// MinFree is the free space that a rewrite must leave on the disk.
	MinFree int64
	// Burst holds retention when that many contents were refused for the
	// path within the last hour.
	Burst int
	// Hold drops nothing at all.
	Hold bool
}

// A Reason is why a version is kept, or, for "over the size bound" and
// "forgotten", why it is not.
type Reason string

// The reasons of Plan.
const (
	Newest       Reason = "newest"
	LastGood     Reason = "last known good"
	BeforeShrink Reason = "before a drastic shrink"
	AfterShrink  Reason = "after a drastic shrink"
	Pinned       Reason = "pinned"
	Last         Reason = "last"
	Hourly       Reason = "hourly"
	Daily        Reason = "daily"
	Weekly       Reason = "weekly"
	Monthly      Reason = "monthly"
	Yearly       Reason = "yearly"
	EndsKept     Reason = "ends a kept version"
	OverSize     Reason = "over the size bound"
	Forgotten    Reason = "forgotten"
)

// A Decision is what retention does with an entry.
type Decision struct {
	Entry   Entry
	Keep    bool
	Reasons []Reason
}

// A PlanResult is what Expire did, or would do, to a path.
type PlanResult struct {
	Path      string
	Decisions []Decision // oldest first
	Dropped   int        // versions and tombstones that went, or would go
	Freed     int64      // bytes on disk that this gave back
}

// DefaultPolicy keeps the last 20 versions, one an hour for a day, one a day
// for a month, one a week for a quarter, one a month for two years and one
// a year for ten.
func DefaultPolicy() Policy {
	const day = 24 * time.Hour
	return Policy{
		Last: 20, Hourly: day, Daily: 31 * day, Weekly: 92 * day,
		Monthly: 2 * 366 * day, Yearly: 3653 * day,
		Slack: 0.5, MinFree: 64 << 20, Burst: 5,
	}
}
