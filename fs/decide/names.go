package decide

import "fmt"

var (
	eventNames  = []string{"flush", "fsync", "ftruncate", "unlock", "idle", "release", "rename", "truncate"}
	actionNames = []string{"ask", "nothing", "commit", "sync committed", "arm", "keep draft", "refuse",
		"conflict", "fail poisoned", "quarantine", "drop"}
)

// String names the event for a log.
func (e Event) String() string { return name(eventNames, int(e)) }

// String names the action for a log.
func (a Action) String() string { return name(actionNames, int(a)) }

func name(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return fmt.Sprintf("unknown %d", i)
	}
	return names[i]
}
