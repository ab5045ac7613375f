package validate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// person is a record such as small document databases keep.
type person struct {
	ID      string            `json:"_id"`
	Index   int               `json:"index"`
	Active  bool              `json:"isActive"`
	Balance float64           `json:"balance"`
	Name    string            `json:"name"`
	Mail    string            `json:"email"`
	Note    *string           `json:"note"`
	About   string            `json:"about"`
	Place   [2]float64        `json:"place"`
	Tags    []string          `json:"tags"`
	Labels  map[string]string `json:"labels"`
	Friends []friend          `json:"friends"`
}

type friend struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// people makes the same n records each time.
func people(n int) []person {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"lorem", "ipsum", "dolor", "sit", "amet", "exercitation", "\"quoted\"", "naïve", "Zürich", "line\nbreak"}
	text := func(n int) string {
		b := []byte(words[random.IntN(6)])
		for range n {
			b = append(append(b, ' '), words[random.IntN(6+random.IntN(5)*random.IntN(2))]...)
		}
		return string(b)
	}
	list := make([]person, n)
	for i := range list {
		p := &list[i]
		*p = person{
			ID: fmt.Sprintf("%016x%08x", random.Uint64(), random.Uint32()), Index: i,
			Active: random.IntN(2) == 0, Balance: float64(random.IntN(1e6)) / 100,
			Name: text(1), Mail: text(0) + "@example.org", About: text(10 + random.IntN(40)),
			Place:  [2]float64{random.Float64()*180 - 90, random.Float64()*360 - 180},
			Labels: map[string]string{"city": text(0), "street": text(1)},
		}
		for range random.IntN(8) {
			p.Tags = append(p.Tags, text(0))
		}
		for k := range random.IntN(4) {
			p.Friends = append(p.Friends, friend{k, text(1)})
		}
	}
	return list
}

// corpora are documents of some megabytes for benchmarks, samples of some
// hundred kilobytes for tests. Both are made once.
var (
	corpora = sync.OnceValue(func() map[string][]byte { return documents(12000) })
	samples = sync.OnceValue(func() map[string][]byte { return documents(400) })
)

// documents writes n records in several ways.
func documents(n int) map[string][]byte {
	list := people(n)
	pretty, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		panic(err)
	}
	wide, err := json.MarshalIndent(map[string]any{"people": list}, "", "    ")
	if err != nil {
		panic(err)
	}
	var small bytes.Buffer
	if err := json.Compact(&small, pretty); err != nil {
		panic(err)
	}
	var lines bytes.Buffer
	for _, p := range list {
		if err := json.NewEncoder(&lines).Encode(p); err != nil {
			panic(err)
		}
	}
	short, err := json.MarshalIndent(list[0], "", "  ")
	if err != nil {
		panic(err)
	}
	return map[string][]byte{
		"pretty":   pretty,
		"indent4":  wide,
		"minified": small.Bytes(),
		"lines":    lines.Bytes(),
		"short":    short,
	}
}

func judge(b *testing.B, doc []byte, chunk int, fresh func() Checker) {
	b.Helper()
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		c := fresh()
		for i := 0; i < len(doc); i += chunk {
			_, _ = c.Write(doc[i:min(i+chunk, len(doc))])
		}
		if c.Verdict() != Whole {
			b.Fatal(c.Err())
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	for _, name := range []string{"pretty", "indent4", "minified", "short"} {
		doc := corpora()[name]
		for _, chunk := range []int{4 << 10, 64 << 10, 1 << 20} {
			if chunk > 4<<10 && len(doc) < chunk {
				continue
			}
			b.Run(fmt.Sprintf("%s/%dK", name, chunk>>10), func(b *testing.B) {
				judge(b, doc, chunk, func() Checker { return JSON(Options{}) })
			})
		}
	}
}

func BenchmarkComments(b *testing.B) {
	judge(b, corpora()["pretty"], 64<<10, func() Checker { return JSON(Options{Comments: true}) })
}

func BenchmarkJSONLines(b *testing.B) {
	judge(b, corpora()["lines"], 64<<10, func() Checker { return JSONLines(Options{}) })
}

func BenchmarkEncodingJSON(b *testing.B) {
	for _, name := range []string{"pretty", "minified", "short"} {
		doc := corpora()[name]
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				if !json.Valid(doc) {
					b.Fatal("invalid")
				}
			}
		})
	}
}

func BenchmarkClone(b *testing.B) {
	c := JSON(Options{})
	doc := corpora()["pretty"]
	_, _ = c.Write(doc[:len(doc)/2])
	b.ReportAllocs()
	var last Checker
	for b.Loop() {
		last = c.Clone()
	}
	if last.Verdict() != Unfinished {
		b.Fatal(last.Err())
	}
}
