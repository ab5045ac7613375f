package backup

import "container/list"

// lru is a map bounded by the total weight of its values: the one unused for
// longest goes first. A value beyond the bound by itself is not kept. The
// caller locks.
type lru[K comparable, V any] struct {
	bound  int64
	weight int64
	order  *list.List // of *lruItem[K, V], used last in front
	items  map[K]*list.Element
}

type lruItem[K comparable, V any] struct {
	key    K
	value  V
	weight int64
}

func newLRU[K comparable, V any](bound int64) *lru[K, V] {
	return &lru[K, V]{bound: bound, order: list.New(), items: make(map[K]*list.Element)}
}

func (l *lru[K, V]) get(key K) (V, bool) {
	e, ok := l.items[key]
	if !ok {
		var none V
		return none, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*lruItem[K, V]).value, true
}

func (l *lru[K, V]) put(key K, value V, weight int64) {
	l.drop(key)
	if weight > l.bound {
		return
	}
	l.items[key] = l.order.PushFront(&lruItem[K, V]{key, value, weight})
	l.weight += weight
	for l.weight > l.bound {
		l.remove(l.order.Back())
	}
}

func (l *lru[K, V]) drop(key K) {
	if e, ok := l.items[key]; ok {
		l.remove(e)
	}
}

func (l *lru[K, V]) remove(e *list.Element) {
	item := l.order.Remove(e).(*lruItem[K, V])
	delete(l.items, item.key)
	l.weight -= item.weight
}

// dropIf removes what match says.
func (l *lru[K, V]) dropIf(match func(K) bool) {
	for key, e := range l.items {
		if match(key) {
			l.remove(e)
		}
	}
}
