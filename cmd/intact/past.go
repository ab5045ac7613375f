package main

import (
	"strings"
	"time"
)

// pastTime reads a time that is a file name, in the zone of the daemon: what
// parseTime reads, with - or _ where a blank would have to be quoted, as in
// 2h-ago and yesterday_14:00.
func (a *app) pastTime(name string) (time.Time, error) {
	now := a.now()
	t, err := parseTime(name, now, a.zone)
	for _, blanks := range []string{"_", "_-"} {
		if err == nil {
			return t, nil
		}
		t, err = parseTime(strings.Map(func(r rune) rune {
			if strings.ContainsRune(blanks, r) {
				return ' '
			}
			return r
		}, name), now, a.zone)
	}
	return t, err
}
