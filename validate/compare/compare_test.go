// Package compare measures validate beside other validators of JSON. It is a
// module of its own, so that they are no dependencies of the main one.
package compare

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-json"
	"github.com/tidwall/gjson"

	"intactfs/validate"
)

// validators judge a document in one piece, but for the chunks of validate.
var validators = []struct {
	name  string
	valid func([]byte) bool
}{
	{"validate", func(doc []byte) bool { return inChunks(doc, len(doc)) }},
	{"validate-4K", func(doc []byte) bool { return inChunks(doc, 4<<10) }},
	{"validate-64K", func(doc []byte) bool { return inChunks(doc, 64<<10) }},
	{"encoding-json", stdjson.Valid},
	{"gjson", gjson.ValidBytes},
	{"goccy", json.Valid},
}

func inChunks(doc []byte, size int) bool {
	c := validate.JSON(validate.Options{Strict: true})
	for i := 0; i < len(doc); i += size {
		_, _ = c.Write(doc[i:min(i+size, len(doc))])
	}
	return c.Verdict() == validate.Whole
}

// documents are the file named by COMPARE_JSON, or made ones.
func documents(t testing.TB) map[string][]byte {
	t.Helper()
	var pretty []byte
	if name := os.Getenv("COMPARE_JSON"); name != "" {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pretty = content
	} else {
		content, err := json.MarshalIndent(records(20000), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		pretty = content
	}
	var minified bytes.Buffer
	if err := stdjson.Compact(&minified, pretty); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"pretty": pretty, "minified": minified.Bytes()}
}

func records(n int) []any {
	random := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("lorem ipsum dolor sit amet consectetur adipiscing elit naïve Zürich")
	text := func(n int) string {
		var list []string
		for range 1 + random.IntN(n) {
			list = append(list, words[random.IntN(len(words))])
		}
		return strings.Join(list, " ")
	}
	list := make([]any, n)
	for i := range list {
		list[i] = map[string]any{
			"_id": fmt.Sprintf("%016x", random.Uint64()), "index": i, "active": i%3 == 0,
			"balance": float64(random.IntN(1e6)) / 100, "name": text(2), "about": text(30), "note": nil,
			"tags":    strings.Fields(text(6)),
			"address": map[string]any{"street": text(2), "place": []float64{random.Float64(), random.Float64()}},
		}
	}
	return list
}

func BenchmarkValid(b *testing.B) {
	for kind, doc := range documents(b) {
		for _, v := range validators {
			b.Run(kind+"/"+v.name, func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				for b.Loop() {
					if !v.valid(doc) {
						b.Fatal("invalid")
					}
				}
			})
		}
	}
}

// They agree on what they are measured with, torn and not.
func TestAgree(t *testing.T) {
	for kind, doc := range documents(t) {
		for _, v := range validators {
			if !v.valid(doc) {
				t.Errorf("%s: %s says invalid", kind, v.name)
			}
			if v.valid(doc[:len(doc)/2]) {
				t.Errorf("%s: %s says a half is valid", kind, v.name)
			}
		}
	}
}
