package journal

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
)

const (
	privateDir = ".intact"
	segmentDir = privateDir + "/journal"
	stagingDir = privateDir + "/staging"

	stagePrefix     = stagingDir + "/s-" // contents of transactions
	temporaryPrefix = stagingDir + "/t-" // the checkpointer's, before their rename
	segmentSuffix   = ".seg"
)

// checkPath accepts what can name a file below the mount: relative, without
// empty, "." and ".." elements, and not intact's own.
func checkPath(path string) error {
	if path == "" || len(path) > maxString || strings.IndexByte(path, 0) >= 0 {
		return fmt.Errorf("path %q: %w", path, syscall.EINVAL)
	}
	for i, elem := range strings.Split(path, "/") {
		if elem == "" || elem == "." || elem == ".." || (i == 0 && elem == privateDir) {
			return fmt.Errorf("path %q: %w", path, syscall.EINVAL)
		}
	}
	return nil
}

// isStage accepts the names that NewStage makes.
func isStage(name string) bool {
	rest, ok := strings.CutPrefix(name, stagePrefix)
	return ok && rest != "" && !strings.ContainsAny(rest, "/\x00") && len(name) <= 255
}

// uniqueName makes a name that was never used: the transaction number grows,
// and the random part tells apart what was made under one number, before and
// after a crash.
func uniqueName(prefix string, tx TxID, rand io.Reader) (string, error) {
	var r [8]byte
	if _, err := io.ReadFull(rand, r[:]); err != nil {
		return "", fmt.Errorf("random name: %w", err)
	}
	return prefix + strconv.FormatUint(uint64(tx), 16) + "-" + hex.EncodeToString(r[:]), nil
}

// segmentName is the name of a slot. Slots are numbered as they are made; the
// order of the records is that of the sequence numbers in the headers.
func segmentName(slot uint64) string {
	return fmt.Sprintf("%s/%08d%s", segmentDir, slot, segmentSuffix)
}

// slotOf reads the number from the last element of a slot's name.
func slotOf(base string) (uint64, bool) {
	digits, ok := strings.CutSuffix(base, segmentSuffix)
	slot, err := strconv.ParseUint(digits, 10, 64)
	return slot, ok && err == nil && segmentName(slot) == segmentDir+"/"+base
}

// parentOf is the directory of a path; "" is the root.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}
