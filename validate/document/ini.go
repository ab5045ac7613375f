package document

import (
	"bytes"
	"strings"

	"gopkg.in/ini.v1"

	"intactfs/validate"
)

// INI returns the judge of sections of keys and values. Strict wants a value
// for every key, as most programs do.
func INI(strict bool) Judge {
	o := ini.LoadOptions{
		AllowBooleanKeys: !strict, AllowShadows: true, AllowNonUniqueSections: true,
		AllowPythonMultilineValues: true, IgnoreInlineComment: true, IgnoreContinuation: true,
		PreserveSurroundedQuote: true,
	}
	return func(content []byte) *validate.Error {
		if i := bytes.IndexByte(content, 0); i >= 0 {
			return at(content, int64(i), "a NUL byte in a text")
		}
		_, err := ini.LoadSources(o, content)
		if err == nil {
			return nil
		}
		return at(content, iniPlace(content, err.Error()), "INI: "+err.Error())
	}
}

// iniPlace finds the line that the library quotes, and gives no number of, at
// the end of its message.
func iniPlace(content []byte, message string) int64 {
	_, quoted, ok := strings.Cut(message, ": ")
	quoted = strings.TrimSpace(quoted)
	if !ok || quoted == "" {
		return 0
	}
	off := int64(0)
	for line := range bytes.Lines(content) {
		if trimmed := strings.TrimSpace(string(line)); trimmed == quoted {
			return off + int64(bytes.Index(line, []byte(trimmed)))
		}
		off += int64(len(line))
	}
	return 0
}
