package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"intactfs/journal"
)

// stride is how far apart the numbers of two commits are in history. The
// journal counts commits; a file that changed beneath without a commit is
// filed between two of them, and needs a number there.
const stride = 16

// fromJournal is the number in history of a commit.
func fromJournal(tx journal.TxID) uint64 { return uint64(tx) * stride }

// toJournal is the commit that a version is, or follows.
func toJournal(tx uint64) journal.TxID { return journal.TxID(tx / stride) }

// FormatTx writes the number of a version as people see it: 12 for the 12th
// commit, 12.1 for what was found in its place afterwards.
func FormatTx(tx uint64) string {
	if rest := tx % stride; rest != 0 {
		return fmt.Sprintf("%d.%d", tx/stride, rest)
	}
	return strconv.FormatUint(tx/stride, 10)
}

// ParseTx reads what FormatTx writes.
func ParseTx(s string) (uint64, error) {
	whole, part, dotted := strings.Cut(s, ".")
	tx, err := strconv.ParseUint(whole, 10, 59)
	if err != nil {
		return 0, errNumber
	}
	if !dotted {
		return tx * stride, nil
	}
	rest, err := strconv.ParseUint(part, 10, 8)
	if err != nil || rest >= stride {
		return 0, errNumber
	}
	return tx*stride + rest, nil
}

var errNumber = errors.New("not the number of a version")
