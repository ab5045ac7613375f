package store

import (
	"errors"
	"path"
	"strings"
)

// A glob without a slash is matched against the last element of a path, at
// any depth. With a slash it is matched against the whole path, where **
// stands for any number of directories. A leading slash only anchors.

var errGlobStars = errors.New("** must stand alone between slashes")

// checkGlob tells what is wrong with a glob.
func checkGlob(glob string) error {
	for _, elem := range strings.Split(strings.TrimPrefix(glob, "/"), "/") {
		if elem == "**" {
			continue
		}
		if strings.Contains(elem, "**") {
			return errGlobStars
		}
		if elem == "" || elem == "." || elem == ".." {
			return errors.New("empty, . and .. match nothing")
		}
		if _, err := path.Match(elem, ""); err != nil {
			return err
		}
	}
	return nil
}

// matchGlob tells whether name, a path below the root, matches a glob that
// checkGlob accepted.
func matchGlob(glob, name string) bool {
	if !strings.Contains(glob, "/") {
		ok, _ := path.Match(glob, path.Base(name))
		return ok
	}
	glob = strings.TrimPrefix(glob, "/")
	return matchElems(strings.Split(glob, "/"), strings.Split(name, "/"))
}

func matchElems(glob, name []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for skip := 0; skip <= len(name); skip++ {
				if matchElems(glob[1:], name[skip:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, _ := path.Match(glob[0], name[0]); !ok {
			return false
		}
		glob, name = glob[1:], name[1:]
	}
	return len(name) == 0
}
