// Package ledger knows what a crashed directory may hold: contents that say
// which version of which file they are, and the record of which versions
// were started and acknowledged when.
package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path"
	"strconv"
	"strings"
	"sync"
)

// What the checks find wrong with a content.
var (
	ErrEmpty = errors.New("empty")
	ErrTorn  = errors.New("torn")
	ErrAlien = errors.New("no version of this file")
	ErrLost  = errors.New("an acknowledged version is lost")
)

// Protected says whether the laboratory's checker judges a file, by the same
// names as the default rules of the product.
func Protected(name string) bool {
	return strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl")
}

type key struct {
	name    string
	version int
}

var contents sync.Map // key to []byte: making a large one costs a millisecond

// Content is version n of a file, counted from 1. It depends on nothing
// else. Of a path the last element counts: a file may have the same name in
// several directories. The name chooses the size: "small", "mid" (below what travels inside
// a journal record) or "large" (above it); a ".jsonl" file has one line for
// each version so far. The result must not be changed.
func Content(name string, n int) []byte {
	name = path.Base(name)
	if c, ok := contents.Load(key{name, n}); ok {
		return c.([]byte)
	}
	var c []byte
	if strings.HasSuffix(name, ".jsonl") {
		for i := 1; i <= n; i++ {
			c = append(c, Line(name, i)...)
		}
	} else {
		c = document(name, n, size(name, n))
	}
	contents.Store(key{name, n}, c)
	return c
}

// Line is the n-th line of a JSON Lines file.
func Line(name string, n int) []byte {
	name = path.Base(name)
	return append(document(name, n, 40+n%200), '\n')
}

// size is the number of random bytes in a version, half its length.
func size(name string, n int) int {
	rng := source(name, n)
	switch {
	case strings.HasPrefix(name, "large"):
		return 129<<10 + rng.IntN(20<<10)
	case strings.HasPrefix(name, "mid"):
		return 10<<10 + rng.IntN(50<<10)
	default:
		return 50 + rng.IntN(3000)
	}
}

func source(name string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return rand.New(rand.NewPCG(h.Sum64(), uint64(n)))
}

// whollyNew is how many versions come to one that has nothing in common with
// the one before it. The others differ in every sector of the smallest size
// that can be torn, and are alike between: so do programs save, and so the
// history can keep them small.
const (
	whollyNew = 4
	alike     = 240 // bytes of padding, twice as many characters
	different = 8
)

func document(name string, n, size int) []byte {
	own, common := source(name, n), source(name, 0)
	pad := make([]byte, size)
	for i := range pad {
		b := byte(common.Uint32())
		if n%whollyNew == 0 || i%(alike+different) >= alike {
			b = byte(own.Uint32())
		}
		pad[i] = b
	}
	sum := sha256.Sum256(pad)
	return fmt.Appendf(nil, `{"file":%q,"version":%d,"sha256":"%x","pad":"%s"}`, name, n, sum, hex.EncodeToString(pad))
}

// Identify says which version of the file a content is, whole and to the
// last byte. The error wraps ErrEmpty, ErrTorn or ErrAlien.
func Identify(name string, content []byte) (int, error) {
	name = path.Base(name)
	if len(content) == 0 {
		return 0, ErrEmpty
	}
	n, err := claimed(name, content)
	if err != nil {
		return 0, err
	}
	want := Content(name, n)
	if bytes.Equal(content, want) {
		return n, nil
	}
	same := 0
	for same < len(content) && same < len(want) && content[same] == want[same] {
		same++
	}
	return 0, fmt.Errorf("%w: %d bytes claim version %d of %d bytes, and differ from byte %d on", ErrTorn, len(content), n, len(want), same)
}

// claimed is the version that a content says it is: of a JSON Lines file,
// that of its last line.
func claimed(name string, content []byte) (int, error) {
	head := content
	if strings.HasSuffix(name, ".jsonl") {
		body := bytes.TrimSuffix(content, []byte("\n"))
		head = body[bytes.LastIndexByte(body, '\n')+1:]
	}
	if allZero(content) {
		return 0, fmt.Errorf("%w: %d bytes of zeros", ErrTorn, len(content))
	}
	prefix := fmt.Sprintf(`{"file":%q,"version":`, name)
	rest, ok := bytes.CutPrefix(head, []byte(prefix))
	if !ok {
		return 0, fmt.Errorf("%w: %d bytes that start with %.60q", ErrAlien, len(content), head)
	}
	digits, _, ok := bytes.Cut(rest, []byte(","))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%w: the version reads %.20q", ErrTorn, digits)
	}
	return n, nil
}

func allZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }
