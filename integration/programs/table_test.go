package programs

import (
	"fmt"
	"strings"
)

// makeTable is the table of all programs that ran, in Markdown.
func makeTable(rows []row) string {
	var b strings.Builder
	b.WriteString(`# Programs

Each of these ran unmodified, natively and through a mount. *Same*: exit
status, content and directory listing are those of the native file system.
*Whole*: how often a reader beside it read a whole version, and it never read
anything else. *Killed*: how often it was killed at a random instant of a save,
and the file was whole each time. *Kept*: versions that the history had after
three saves. ` + "`make programs`" + ` runs them and writes this page.

| Program | Way of saving | Same | Whole | Killed | Kept |
|---|---|---|---|---|---|
`)
	for _, r := range rows {
		if r.name == "" {
			continue
		}
		if r.failed {
			fmt.Fprintf(&b, "| %s | %s | FAILED | | | |\n", r.group, r.name)
			continue
		}
		if r.plain {
			fmt.Fprintf(&b, "| %s | %s (not protected) | yes | – | – | – |\n", r.group, r.name)
			continue
		}
		note := ""
		if r.gap {
			note = " ¹"
		}
		if r.native != "" {
			note = " ²"
		}
		fmt.Fprintf(&b, "| %s | `%s`%s | yes | %d | %d | %d |\n", r.group, strings.ReplaceAll(r.name, "|", "\\|"), note, r.reads, r.kills, r.versions)
	}
	b.WriteString(`
¹ removes the old name before it makes the new one: in between a reader finds
no file, as natively; the old version is in the history.
² natively this loses the file; in the mount it does what was meant.
`)
	return b.String()
}
