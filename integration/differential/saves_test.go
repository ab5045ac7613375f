package differential

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Saves that are complete and don't overlap have to end as they do natively:
// the same answers to every call, the same bytes, modes and names. Each of
// these generators is one such save, or a look at what is there.

// saver makes a save; its handle is always the only one that is open.
type saver func(t *rapid.T, w int, name, text string) []op

func ops(w int, all ...op) []op {
	for i := range all {
		all[i].W = w
	}
	return all
}

var savers = []saver{
	func(t *rapid.T, w int, name, text string) []op { // open('w')
		n := rapid.IntRange(1, len(text)-1).Draw(t, "pieces")
		steps := ops(w, op{Kind: "open", Name: name, How: "ct"}, op{Kind: "write", Data: text[:n]}, op{Kind: "write", Data: text[n:]})
		if rapid.Bool().Draw(t, "fsync") {
			steps = append(steps, ops(w, op{Kind: "fsync"}, op{Kind: "fstat"})...)
		}
		return append(steps, ops(w, op{Kind: "close"})...)
	},
	func(_ *rapid.T, w int, name, text string) []op { // open('r+'), shortened at the end
		return ops(w, op{Kind: "open", Name: name, How: "rwc"}, op{Kind: "pread", Len: 40},
			op{Kind: "pwrite", Data: text}, op{Kind: "ftruncate", Len: int64(len(text))}, op{Kind: "end"}, op{Kind: "close"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // emptied, then written
		return ops(w, op{Kind: "open", Name: name, How: "rwc"}, op{Kind: "flock", How: "ex"}, op{Kind: "ftruncate"},
			op{Kind: "write", Data: text}, op{Kind: "flock", How: "un"}, op{Kind: "close"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // a shell's redirection
		return ops(w, op{Kind: "open", Name: name, How: "ct"}, op{Kind: "dup"}, op{Kind: "close"},
			op{Kind: "write", Data: text}, op{Kind: "close"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // : > f; cmd >> f
		return ops(w, op{Kind: "open", Name: name, How: "ct"}, op{Kind: "close"},
			op{Kind: "open", Name: name, How: "ac"}, op{Kind: "write", Data: text}, op{Kind: "close"})
	},
	func(t *rapid.T, w int, name, text string) []op { // a temporary name
		how := rapid.SampledFrom([]string{"", "", "noreplace", "exchange"}).Draw(t, "how")
		return ops(w, op{Kind: "unlink", Name: "u"}, op{Kind: "open", Name: "u", How: "cx"}, op{Kind: "write", Data: text}, op{Kind: "fsync"},
			op{Kind: "chmod", Name: "u", Len: int64(len(text) % 4)}, op{Kind: "close"}, op{Kind: "rename", Name: "u", To: name, How: how})
	},
	func(_ *rapid.T, w int, name, text string) []op { // a temporary name that is still open
		return ops(w, op{Kind: "unlink", Name: "u"}, op{Kind: "open", Name: "u", How: "cx"}, op{Kind: "write", Data: text},
			op{Kind: "rename", Name: "u", To: name}, op{Kind: "pwrite", Data: text}, op{Kind: "close"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // a protected temporary name
		to := map[bool]string{true: "b.json", false: "l.jsonl"}[strings.HasSuffix(name, ".json")]
		return ops(w, op{Kind: "open", Name: name, How: "ct"}, op{Kind: "write", Data: text}, op{Kind: "close"},
			op{Kind: "rename", Name: name, To: to})
	},
	func(_ *rapid.T, w int, name, text string) []op { // no name at first
		return ops(w, op{Kind: "unlink", Name: name}, op{Kind: "linktmp", To: name, Data: text})
	},
	func(_ *rapid.T, w int, name, text string) []op { // removed, then made anew
		return ops(w, op{Kind: "unlink", Name: name}, op{Kind: "open", Name: name, How: "cx"},
			op{Kind: "write", Data: text}, op{Kind: "close"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // a program that inherits it
		return ops(w, op{Kind: "open", Name: name, How: "ct"}, op{Kind: "write", Data: text}, op{Kind: "fork"},
			op{Kind: "close"}, op{Kind: "exit"})
	},
	func(_ *rapid.T, w int, name, text string) []op { // synced before it is cut
		return ops(w, op{Kind: "open", Name: name, How: "rwc"}, op{Kind: "write", Data: text}, op{Kind: "fsync"},
			op{Kind: "ftruncate", Len: int64(len(text))}, op{Kind: "fstat"}, op{Kind: "close"})
	},
}

// save is a save of a random kind, or a change of what is there.
func save(t *rapid.T, serial int) []op {
	w := rapid.IntRange(0, 2).Draw(t, "worker")
	json := rapid.SampledFrom([]string{"a.json", "s/a.json", "b.json", "t/a.json"})
	name := json.Draw(t, "name")
	text := fmt.Sprintf(`{"n":%d,"x":"%s"}`+"\n", serial, strings.Repeat("x", rapid.IntRange(0, 9).Draw(t, "size")))
	switch rapid.IntRange(0, 14).Draw(t, "what") {
	case 0:
		return ops(w, op{Kind: "open", Name: "l.jsonl", How: "ac"}, op{Kind: "write", Data: text},
			op{Kind: "write", Data: text}, op{Kind: "close"})
	case 1:
		return ops(w, op{Kind: "unlink", Name: name}, op{Kind: "stat", Name: name})
	case 2:
		return ops(w, op{Kind: "rename", Name: name, To: json.Draw(t, "to"), How: rapid.SampledFrom([]string{"", "noreplace", "exchange"}).Draw(t, "how")})
	case 3:
		return ops(w, op{Kind: "rename", Name: name, To: "v"}, op{Kind: "stat", Name: "v"}, op{Kind: "open", Name: "v", How: "r"},
			op{Kind: "read", Len: 40}, op{Kind: "close"}, op{Kind: "rename", Name: "v", To: name})
	case 4:
		return ops(w, op{Kind: "chmod", Name: name, Len: int64(serial % 4)}, op{Kind: "setxattr", Name: name, Data: "red"})
	case 5:
		return ops(w, op{Kind: "mkdir", Name: "t"}, op{Kind: "rename", Name: "s", To: "t"}, op{Kind: "mkdir", Name: "s"}, op{Kind: "rmdir", Name: "t"})
	case 6:
		return ops(w, op{Kind: "open", Name: link, How: "ct"}, op{Kind: "write", Data: text}, op{Kind: "close"})
	}
	return rapid.SampledFrom(savers).Draw(t, "saver")(t, w, name, text)
}

// look reads what is there.
func look(w int) []op {
	var out []op
	for _, dir := range []string{".", "s", "t"} {
		out = append(out, op{Kind: "readdir", Name: dir})
	}
	for _, name := range []string{"a.json", "s/a.json", "l.jsonl", "u"} {
		out = append(out, op{Kind: "stat", Name: name}, op{Kind: "getxattr", Name: name},
			op{Kind: "open", Name: name, How: "r"}, op{Kind: "end"}, op{Kind: "pread", Len: 2000}, op{Kind: "close"})
	}
	return ops(w, out...)
}

// TestSaves runs complete saves, one after the other.
func TestSaves(t *testing.T) {
	e := newEnv(t, "--publish-delay=20ms")
	for _, seed := range []uint64{1, 0} {
		check(t, seed, number(t, 7, 100), func(t *rapid.T) {
			r := e.begin(t, true)
			defer r.cleanup()
			serial := 0
			t.Repeat(map[string]func(*rapid.T){"": func(*rapid.T) {}, "save": func(t *rapid.T) {
				serial++
				for _, o := range save(t, serial) {
					r.step(o)
				}
				if serial%4 == 0 {
					for _, o := range look(serial % 3) {
						r.step(o)
					}
				}
			}})
			r.finish()
		})
	}
}
