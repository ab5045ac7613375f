package document

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sh is the judge of a shell script.
func sh(script string, limit time.Duration) Judge {
	return Exec([]string{"/bin/sh", "-c", script}, limit, os.Getenv("PATH"), "conf/a.txt")
}

func TestExec(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name, script, text string
		want               string // in the reason; "" for valid
	}{
		{"valid", "exit 0", "x", ""},
		{"reads all", `[ "$(wc -c)" -eq 1048576 ]`, long, ""},
		{"reads nothing", "exec <&-; exit 0", long, ""},
		{"knows the path", `[ "$INTACT_PATH" = conf/a.txt ] && [ "$PWD" = / ]`, "x", ""},
		{"knows nothing else", `[ -z "$HOME" ]`, "x", ""},
		{"says why", "echo; echo '  line 3: bad  ' >&2; echo more >&2; exit 1", "x", "/bin/sh: line 3: bad"},
		{"says why on the wrong channel", "echo bad; exit 1", "x", "/bin/sh: bad"},
		{"says nothing", "exit 7", "x", "exit status 7"},
		{"says too much", "yes bad | head -c 10000000 >&2; exit 1", "x", "/bin/sh: bad"},
		{"dies", "kill -9 $$", "x", "can't be judged"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fault := sh(tt.script, time.Minute)([]byte(tt.text))
			switch {
			case tt.want == "" && fault != nil:
				t.Errorf("got %v, want it valid", fault)
			case tt.want != "" && (fault == nil || !strings.Contains(fault.Reason, tt.want) || strings.Contains(fault.Reason, "\n")):
				t.Errorf("got %v, want %q", fault, tt.want)
			}
		})
	}
}

func TestExecThatCannotRun(t *testing.T) {
	fault := Exec([]string{filepath.Join(t.TempDir(), "nothing")}, time.Minute, "", "")([]byte("x"))
	if fault == nil || !strings.Contains(fault.Reason, "can't be judged") {
		t.Errorf("got %v", fault)
	}
}

// What a command started goes with it when it takes too long.
func TestExecThatTakesTooLong(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	begun := time.Now()
	fault := sh("(sleep 300; echo x > "+left+") & sleep 300", 50*time.Millisecond)([]byte("x"))
	if fault == nil || !strings.Contains(fault.Reason, "gave no answer within 50ms") {
		t.Errorf("got %v", fault)
	}
	if took := time.Since(begun); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
}
