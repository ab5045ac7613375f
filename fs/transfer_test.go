package fs

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fill is one request for pages that takes no time.
func (t *transfers) fill(x *transfer, tid uint32) {
	t.begin(x, tid, &defaultPace)
	t.end(x)
}

func nothing() {}

// TestWaitForTransfers says for how long a save waits for one other handle. All
// clocks stand still unless everybody waits.
func TestWaitForTransfers(t *testing.T) {
	p := &defaultPace
	for _, tc := range []struct {
		name  string
		other func(*transfers, *transfer)
		want  time.Duration
		ok    bool
	}{
		{"nobody", func(*transfers, *transfer) {}, 0, true},
		{"pages were asked for: until it is quiet", func(a *transfers, x *transfer) { a.fill(x, 2) }, p.quiet, true},
		{"a request is not answered: to the bound", func(a *transfers, x *transfer) { a.begin(x, 2, p) }, p.most, false},
		{"it ends", func(a *transfers, x *transfer) {
			a.fill(x, 2)
			time.AfterFunc(7*time.Millisecond, func() { a.leave(x) })
		}, 7 * time.Millisecond, true},
		{"it goes on and ends", func(a *transfers, x *transfer) {
			a.fill(x, 2)
			time.AfterFunc(20*time.Millisecond, func() { a.fill(x, 2) })
			time.AfterFunc(45*time.Millisecond, func() { a.leave(x) })
		}, 45 * time.Millisecond, true},
		{"it goes on and is quiet", func(a *transfers, x *transfer) {
			a.fill(x, 2)
			time.AfterFunc(20*time.Millisecond, func() { a.fill(x, 2) })
		}, 20*time.Millisecond + p.quiet, true},
		{"it goes on for ever", func(a *transfers, x *transfer) {
			for at := time.Duration(0); at < 2*p.most; at += p.quiet / 2 {
				time.AfterFunc(at, func() { a.fill(x, 2) })
			}
			a.fill(x, 2)
		}, p.most, false},
		{"the thread itself can't be in the middle", func(a *transfers, x *transfer) { a.fill(x, 1) }, 0, true},
		{"the thread itself was answered late", func(a *transfers, x *transfer) {
			a.begin(x, 1, p)
			time.AfterFunc(5*time.Millisecond, func() { a.end(x) })
		}, 5 * time.Millisecond, true},
		{"just opened", func(a *transfers, x *transfer) { a.enter(x, 2, p) }, p.quiet, true},
		{"just opened by the thread", func(a *transfers, x *transfer) { a.enter(x, 1, p) }, 0, true},
		{"opened and read directly", func(a *transfers, x *transfer) {
			a.enter(x, 2, p)
			a.readDirectly(x)
		}, 0, true},
		{"opened, and read directly in a moment", func(a *transfers, x *transfer) {
			a.enter(x, 2, p)
			time.AfterFunc(time.Millisecond, func() { a.readDirectly(x) })
		}, time.Millisecond, true},
		{"read directly, and then through pages", func(a *transfers, x *transfer) {
			a.enter(x, 2, p)
			a.readDirectly(x)
			a.fill(x, 2)
			a.readDirectly(x)
		}, p.quiet, true},
		{"opened long ago", func(a *transfers, x *transfer) {
			a.enter(x, 2, p)
			time.Sleep(p.quiet)
		}, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a transfers
				var x transfer
				tc.other(&a, &x)
				begun := time.Now()
				ok := a.shut(1, p, nothing)
				took := time.Since(begun)
				if rode := took - tc.want; rode != 0 && rode != p.riders || ok != tc.ok {
					t.Errorf("waited %v, %v; want %v, %v", took, ok, tc.want, tc.ok)
				}
				a.reopen()
				synctest.Wait()
				time.Sleep(3 * p.most) // timers of the test
			})
		})
	}
}

// TestKeepOutWaitsAsLong is about the waits of opens and writes.
func TestKeepOutWaitsAsLong(t *testing.T) {
	p := &defaultPace
	for name, tc := range map[string]struct{ most, want time.Duration }{
		"until it is quiet":       {p.most, p.quiet},
		"no longer than it may":   {p.quiet / 3, p.quiet / 3},
		"not at all, if it can't": {0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var a transfers
				var x transfer
				a.fill(&x, 2)
				if got := a.keepOut(1, p, tc.most); got != tc.want {
					t.Errorf("waited %v, want %v", got, tc.want)
				}
				a.letIn()
				if a.openers != 0 {
					t.Errorf("%d keep others off", a.openers)
				}
			})
		})
	}
}

// TestNobodyStarvesASave has others copy the document one after the other, each
// before the one before is done. A save gets its turn all the same, and so do
// they.
func TestNobodyStarvesASave(t *testing.T) {
	p := &defaultPace
	synctest.Test(t, func(t *testing.T) {
		var a transfers
		var done atomic.Int64
		var stop atomic.Bool
		for tid := range uint32(3) {
			go func() {
				time.Sleep(time.Duration(tid) * 7 * time.Millisecond)
				for !stop.Load() {
					var x transfer
					a.enter(&x, 10+tid, p)
					for range 4 {
						a.begin(&x, 10+tid, p)
						time.Sleep(5 * time.Millisecond)
						a.end(&x)
					}
					a.leave(&x)
					done.Add(1)
				}
			}()
		}
		time.Sleep(100 * time.Millisecond)
		for range 20 {
			begun := time.Now()
			if !a.shut(1, p, nothing) {
				t.Fatal("a save did not get its turn")
			}
			if took, most := time.Since(begun), p.queue+21*time.Millisecond; took > most {
				t.Errorf("a save waited %v, want %v at most", took, most)
			}
			before := done.Load()
			time.Sleep(2 * time.Millisecond)
			if done.Load() != before {
				t.Error("a copy ended while it was shut")
			}
			a.reopen()
			time.Sleep(60 * time.Millisecond)
			if done.Load() == before {
				t.Error("nobody copied between two saves")
			}
		}
		stop.Store(true)
		time.Sleep(p.most)
	})
}

// TestShut says who waits for a commit, and for how long.
func TestShut(t *testing.T) {
	p := &defaultPace
	for name, call := range map[string]func(*transfers, *transfer){
		"a request for pages": func(a *transfers, x *transfer) { a.begin(x, 2, p) },
		"an open":             func(a *transfers, x *transfer) { a.enter(x, 2, p) },
	} {
		for _, reopens := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var a transfers
				a.shut(1, p, nothing)
				begun, took := time.Now(), time.Duration(0)
				go func() {
					call(&a, &transfer{})
					took = time.Since(begun)
				}()
				want := p.most
				if reopens {
					want = 10 * time.Millisecond
				}
				if a.alone(&transfer{}) {
					t.Error("a byte is stored while a commit runs")
				}
				time.Sleep(want)
				if reopens {
					a.reopen()
				}
				synctest.Wait()
				if took != want {
					t.Errorf("%s waited %v, want %v", name, took, want)
				}
			})
		}
	}
}

// TestWhoIsLetInIsWaitedFor has a reader that was kept off during one write be
// let in, and the next write wait for it.
func TestWhoIsLetInIsWaitedFor(t *testing.T) {
	p := &defaultPace
	synctest.Test(t, func(t *testing.T) {
		var a transfers
		var x transfer
		a.keepOut(1, p, p.most)
		go func() {
			a.enter(&x, 2, p)
			time.Sleep(3 * time.Millisecond)
			a.leave(&x)
		}()
		synctest.Wait()
		if got := a.keepOut(1, p, p.most); got != 0 {
			t.Errorf("waited %v for one who is kept off", got)
		}
		a.letIn()
		a.letIn()
		if got := a.keepOut(1, p, p.most); got != 3*time.Millisecond {
			t.Errorf("waited %v, want 3ms", got)
		}
		a.letIn()
	})
}

// TestRiders has a handle read pages that are there already: nobody hears of that
// until they are dropped.
func TestRiders(t *testing.T) {
	p := &defaultPace
	synctest.Test(t, func(t *testing.T) {
		var a transfers
		var x transfer
		a.fill(&x, 2)
		time.Sleep(2 * p.quiet)
		drops := 0
		begun := time.Now()
		ok := a.shut(1, p, func() {
			if drops++; drops == 1 {
				time.AfterFunc(p.riders/2, func() { a.fill(&x, 2) })
			}
		})
		if want := p.riders/2 + p.quiet + p.riders; !ok || drops != 2 || time.Since(begun) != want {
			t.Errorf("waited %v with %d drops, want %v with 2", time.Since(begun), drops, want)
		}
		a.reopen()
		// Nothing was asked for since.
		begun = time.Now()
		a.shut(1, p, func() { t.Error("dropped pages that are not there") })
		a.reopen()
		a.store()
		a.shut(1, p, func() { drops++ })
		a.reopen()
		if drops != 3 || time.Since(begun) != 0 {
			t.Errorf("waited %v with %d drops, want 0 with 3", time.Since(begun), drops)
		}
	})
}

// TestAStoredByteIsWaitedFor: a commit must not run before it is stored.
func TestAStoredByteIsWaitedFor(t *testing.T) {
	p := &defaultPace
	synctest.Test(t, func(t *testing.T) {
		var a transfers
		var x transfer
		if !a.alone(&x) {
			t.Fatal("not alone")
		}
		time.AfterFunc(50*time.Millisecond, func() { a.leave(&x) })
		begun := time.Now()
		if ok := a.shut(1, p, nothing); !ok || time.Since(begun) != 50*time.Millisecond {
			t.Errorf("waited %v, %v; want 50ms", time.Since(begun), ok)
		}
		a.reopen()
	})
}
