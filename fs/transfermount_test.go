package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTransfersAreWhole has a reader copy a document with sendfile, or go
// through a mapping of it, while another process saves it without a pause.
func TestTransfersAreWhole(t *testing.T) {
	for _, reader := range []string{"copybig", "walkbig"} {
		for _, how := range []string{"truncate", "in place", "rename"} {
			for _, least := range []int{100_000, 3_000_000} {
				t.Run(fmt.Sprintf("%s/%s/%d", reader, how, least), func(t *testing.T) {
					transfersAreWhole(t, reader, how, least, 24_000_000/least)
				})
			}
		}
	}
}

func transfersAreWhole(t *testing.T, reader, how string, least, rounds int) {
	patient := defaultPace
	patient.quiet, patient.most, patient.reply = 20*time.Second, 40*time.Second, 20*time.Second
	m := mount(t, opaqueRules{}, func(o *Options) { o.pace = &patient })
	m.seed(t, "s.json", string(numbers(0, least)))
	scratch := t.TempDir()
	stop := filepath.Join(scratch, "stop")
	saver, copier := m.client(t), m.client(t)
	copier.want("0 of 1 torn ", reader, "s.json", "1", fmt.Sprint(least), scratch)
	saved := make(chan string)
	go func() { saved <- saver.do("savebig", "s.json", "1000000", fmt.Sprint(least), stop, how) }()
	got := copier.do(reader, "s.json", fmt.Sprint(rounds), fmt.Sprint(least), scratch)
	if err := os.WriteFile(stop, nil, 0644); err != nil {
		t.Fatal(err)
	}
	t.Logf("saver: %s; reader: %s", <-saved, got)
	if !strings.HasPrefix(got, "0 of ") {
		t.Errorf("the reader: %s", got)
	}
}

// opaqueRules protects everything and finds everything whole.
type opaqueRules struct{}

func (opaqueRules) For(p string) *Rule {
	if filepath.Ext(p) != ".json" {
		return nil
	}
	return &Rule{Format: "any", NewValidator: func() Validator { return anyValidator{} }}
}

type anyValidator struct{}

func (anyValidator) Write([]byte)     {}
func (anyValidator) Verdict() Verdict { return Whole }
func (anyValidator) Fault() *Fault    { return nil }
func (anyValidator) Proven() bool     { return true }
func (anyValidator) Clone() Validator { return anyValidator{} }
