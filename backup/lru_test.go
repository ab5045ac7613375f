package backup

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// simpleLRU does what lru does by looking at everything: keys, used last at
// the end.
type simpleLRU struct {
	bound   int
	order   []int
	weights map[int]int
}

func (l *simpleLRU) forget(key int) {
	l.order = slices.DeleteFunc(l.order, func(k int) bool { return k == key })
	delete(l.weights, key)
}

func (l *simpleLRU) use(key int) bool {
	if _, ok := l.weights[key]; !ok {
		return false
	}
	w := l.weights[key]
	l.forget(key)
	l.order, l.weights[key] = append(l.order, key), w
	return true
}

func (l *simpleLRU) put(key, weight int) {
	l.forget(key)
	if weight > l.bound {
		return
	}
	l.order, l.weights[key] = append(l.order, key), weight
	for l.sum() > l.bound {
		l.forget(l.order[0])
	}
}

func (l *simpleLRU) sum() int {
	sum := 0
	for _, w := range l.weights {
		sum += w
	}
	return sum
}

func TestLRUAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bound := rapid.IntRange(0, 20).Draw(t, "bound")
		l, m := newLRU[int, int](int64(bound)), &simpleLRU{bound: bound, weights: map[int]int{}}
		for step := range rapid.IntRange(0, 60).Draw(t, "steps") {
			key := rapid.IntRange(0, 9).Draw(t, "key")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				weight := rapid.IntRange(0, 25).Draw(t, "weight")
				l.put(key, 100*step+key, int64(weight))
				m.put(key, weight)
			case 3:
				l.drop(key)
				m.forget(key)
			case 4:
				even := func(k int) bool { return k%2 == 0 }
				l.dropIf(even)
				for k := range 10 {
					if even(k) {
						m.forget(k)
					}
				}
			default:
				v, ok := l.get(key)
				if want := m.use(key); ok != want || ok && v%100%10 != key {
					t.Fatalf("get %d: %d, %v; want %v", key, v, ok, want)
				}
			}
			if int(l.weight) != m.sum() || l.weight > int64(bound) || len(l.items) != len(m.weights) || l.order.Len() != len(l.items) {
				t.Fatalf("weight %d of %d items, want %d of %d", l.weight, len(l.items), m.sum(), len(m.weights))
			}
			var order []int
			for e := l.order.Back(); e != nil; e = e.Prev() {
				order = append(order, e.Value.(*lruItem[int, int]).key)
			}
			if !slices.Equal(order, m.order) {
				t.Fatalf("order is %v, want %v", order, m.order)
			}
		}
	})
}

func TestLRUKeepsNothingBeyondItsBound(t *testing.T) {
	l := newLRU[string, string](10)
	l.put("small", "x", 4)
	l.put("huge", "y", 11)
	if _, ok := l.get("huge"); ok {
		t.Error("a value beyond the bound is kept")
	}
	if _, ok := l.get("small"); !ok {
		t.Error("a value beyond the bound drove out another")
	}
	l.put("small", "z", 11)
	if _, ok := l.get("small"); ok {
		t.Error("the old value is there in place of the one that was too large")
	}
}
