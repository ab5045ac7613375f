package differential

import (
	"pgregory.net/rapid"
)

var (
	protectedNames = []string{"a.json", "b.json", "s/a.json", "l.jsonl", "a.json", "t/a.json"}
	plainNames     = []string{"u", "v", "s/u"}
	dirNames       = []string{"s", "t"}
	contents       = []string{
		`{"a":1}`, `{"b":[1,2,3]}`, "{\"c\":\"x\"}\n", `[]`, `12`, `3`, `true`, `"s"`,
		`{"a":`, `{"torn":[1,`, `}`, `1}`, ` `, "\n", "{\"n\":1}\n{\"n\":2}\n", "{\"n\":3}\n", "{\"n\":4}", "{\"n\":",
	}
	openWays = []string{"r", "r", "wt", "ct", "ct", "ct", "cx", "rw", "rwc", "a", "ac", "ac"}
)

// weighted are the kinds of operations, as often as they are to be drawn.
var weighted = func() []string {
	var out []string
	for _, k := range []struct {
		kind string
		n    int
	}{
		{"save", 8}, {"complete", 8}, {"open", 14}, {"write", 12}, {"pwrite", 4}, {"close", 10}, {"read", 3}, {"pread", 4}, {"ftruncate", 4},
		{"fsync", 4}, {"dup", 2}, {"end", 1}, {"fstat", 2}, {"stat", 3}, {"rename", 8}, {"unlink", 2}, {"mkdir", 1},
		{"rmdir", 1}, {"link", 1}, {"linktmp", 1}, {"chmod", 1}, {"setxattr", 1}, {"getxattr", 1}, {"readdir", 2},
		{"fork", 2}, {"exit", 2}, {"kill", 1}, {"copy", 1}, {"fallocate", 1}, {"flock", 3}, {"truncate", 2},
	} {
		for range k.n {
			out = append(out, k.kind)
		}
	}
	return out
}()

func names(t *rapid.T, label string) string {
	switch rapid.IntRange(0, 9).Draw(t, label+" kind") {
	case 0, 1, 2:
		return rapid.SampledFrom(plainNames).Draw(t, label)
	}
	return rapid.SampledFrom(protectedNames).Draw(t, label)
}

func content(t *rapid.T) string {
	c := rapid.SampledFrom(contents).Draw(t, "content")
	if rapid.IntRange(0, 5).Draw(t, "cut") == 0 {
		c = c[:rapid.IntRange(1, len(c)).Draw(t, "length")]
	}
	return c
}

// good is a content that the rule for a name takes.
func good(t *rapid.T, name string) string {
	text := rapid.SampledFrom([]string{`{"a":1}`, `[1,2]`, "{\"c\":\"x\"}\n", `"s"`, `12`, `{"long":"xxxxxxxxxxxxxxxxxxxxxxxxx"}`}).Draw(t, "good")
	if linesName(name) {
		text += "\n" + text + "\n"
	}
	return text
}

// before is what is there when a sequence of anything begins.
var before = []op{
	{Kind: "save", Name: "a.json", Data: `{"before":"a"}`}, {Kind: "save", Name: "s/a.json", Data: `[0]`},
	{Kind: "save", Name: "l.jsonl", Data: "{\"l\":1}\n"}, {Kind: "save", Name: "u", Data: `{"u":1}`},
}

// wild is any operation.
var wild = rapid.Custom(func(t *rapid.T) op {
	o := op{Kind: rapid.SampledFrom(weighted).Draw(t, "operation"), W: rapid.IntRange(0, 2).Draw(t, "worker")}
	slot := func() int { return rapid.IntRange(0, maxHandles-1).Draw(t, "slot") }
	switch o.Kind {
	case "open":
		o.How = rapid.SampledFrom(openWays).Draw(t, "how")
		o.Name = names(t, "name")
		if o.Name == linked && rapid.IntRange(0, 7).Draw(t, "link") == 0 {
			o.Name = link
		}
	case "save":
		o.Name = names(t, "name")
		o.Data = good(t, o.Name)
	case "complete":
		o.S, o.Data, o.Len = slot(), good(t, "u"), int64(rapid.IntRange(0, 2).Draw(t, "close"))
	case "write":
		o.S, o.Data = slot(), content(t)
	case "pwrite":
		o.S, o.Data, o.Off = slot(), content(t), int64(rapid.IntRange(0, 12).Draw(t, "offset"))
	case "read", "pread", "copy":
		o.S, o.S2, o.Len = slot(), slot(), int64(rapid.IntRange(1, 40).Draw(t, "length"))
		if rapid.Bool().Draw(t, "from the start") {
			break
		}
		o.Off = int64(rapid.IntRange(0, 12).Draw(t, "offset"))
	case "ftruncate", "fallocate":
		o.S, o.Len = slot(), int64(rapid.SampledFrom([]int{0, 0, 7, 2, 13, 20}).Draw(t, "length"))
	case "close", "fsync", "dup", "end", "fstat", "fork":
		o.S = slot()
	case "flock":
		o.S, o.How = slot(), rapid.SampledFrom([]string{"sh", "ex", "un", "un"}).Draw(t, "lock")
	case "exit":
		o.S, o.Len = slot(), int64(rapid.IntRange(-1, 1).Draw(t, "status"))
	case "kill":
	default:
		paths(t, &o)
	}
	return o
})

func paths(t *rapid.T, o *op) {
	switch o.Kind {
	case "rename":
		if rapid.IntRange(0, 9).Draw(t, "directories") == 0 {
			o.Name, o.To = rapid.SampledFrom(dirNames).Draw(t, "from"), rapid.SampledFrom(dirNames).Draw(t, "to")
			return
		}
		o.Name, o.To = names(t, "from"), names(t, "to")
		o.How = rapid.SampledFrom([]string{"", "", "", "", "noreplace", "exchange"}).Draw(t, "how")
	case "link":
		o.Name, o.To = rapid.SampledFrom(plainNames).Draw(t, "from"), names(t, "to")
	case "linktmp":
		o.To, o.Data = names(t, "to"), content(t)
	case "mkdir", "rmdir":
		o.Name = rapid.SampledFrom(dirNames).Draw(t, "directory")
	case "readdir":
		o.Name = rapid.SampledFrom([]string{".", "s", "t"}).Draw(t, "directory")
	case "setxattr":
		o.Name, o.Data = names(t, "name"), rapid.SampledFrom([]string{"red", "blue"}).Draw(t, "color")
	default:
		o.Name, o.Len = names(t, "name"), int64(rapid.SampledFrom([]int{0, 0, 7, 2, 9, 3}).Draw(t, "number"))
	}
}
