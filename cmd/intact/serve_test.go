package main

import (
	"testing"
	"time"

	"intactfs/store"
)

func TestIdleCommitOfZeroIsNever(t *testing.T) {
	for configured, want := range map[time.Duration]time.Duration{0: -1, time.Second: time.Second} {
		if got := idleCommit(store.Duration(configured)); got != want {
			t.Errorf("idleCommit(%s) = %s, want %s", configured, got, want)
		}
	}
}
