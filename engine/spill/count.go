package spill

import (
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// Count is the aggregate that counts a key's rows. A [Counter] does it without
// rows, of keys alone.
func Count() Aggregate[struct{}, int64] {
	return Aggregate[struct{}, int64]{
		Add:   func(n int64, _ struct{}) int64 { return n + 1 },
		Merge: func(a, b int64) int64 { return a + b },
	}
}

// Counter is the [Combiner] of Count: it counts keys in a table of bounded size
// and passes counts on, of which a key may have several.
//
// What there is to do with a slot that is found is one instruction, not a call,
// and no values are carried along. So slots are not noted between finding and
// changing them, as folding does: the processor itself looks up dozens of keys
// ahead.
type Counter[K any] struct {
	*Combiner[K, struct{}, int64]
	count func(keys []K) error
}

// NewCounter returns a counter that passes counts to emit, in batches valid
// during the call. The error says that K has no binary form as a key.
func NewCounter[K any](env Env, name string, key codec.Key[K], emit func([]codec.Pair[K, int64]) error) (*Counter[K], error) {
	combiner, err := NewCombiner(env, name, key, Count(), nil, emit, nil)
	if err != nil {
		return nil, err
	}
	c := &Counter[K]{Combiner: combiner}
	switch g := combiner.impl.(type) {
	case *aggregating[K, struct{}, int64, int64, uint64]:
		c.count = countWith(g, &g.slots.(*wordSlots[K, struct{}, int64, int64, uint64]).wordTable, countWords)
	case *aggregating[K, struct{}, int64, int64, codec.Two]:
		c.count = countWith(g, &g.slots.(*wordSlots[K, struct{}, int64, int64, codec.Two]).wordTable, countWords)
	case *aggregating[K, struct{}, int64, int64, string]:
		c.count = countWith(g, &g.slots.(*textSlots[K, struct{}, int64, int64]).textTable, countTexts)
	}
	return c, nil
}

// Count counts keys, of which it keeps none.
func (c *Counter[K]) Count(keys []K) error { return c.count(keys) }

// countWith returns how an aggregation counts in its table.
func countWith[K any, W comparable, T any](g *aggregating[K, struct{}, int64, int64, W], table *T, count func(t *T, keys []K)) func(keys []K) error {
	counting := func(keys []K) { count(table, keys) }
	return func(keys []K) error {
		if g.drain.bypass > 0 && g.state == adding {
			g.busy = true
			defer func() { g.busy = false }()
			return passOnes(g, keys)
		}
		return foldIn(g, keys, counting)
	}
}

// passOnes passes keys on, each counted once.
func passOnes[K any, W comparable](g *aggregating[K, struct{}, int64, int64, W], keys []K) error {
	for len(keys) > 0 {
		n := min(len(keys), tableBatch)
		out := g.pairs(n)
		for i := range out {
			out[i] = codec.Pair[K, int64]{Key: keys[i], Value: 1}
		}
		if err := g.drain.emit(out); err != nil {
			return err
		}
		g.drain.bypass -= int64(n)
		keys = keys[n:]
	}
	return g.env.Check()
}

// countTexts counts at most tableBatch keys.
func countTexts[K any](t *textTable[K, int64], keys []K) {
	texts := textsOf(t, codec.ColumnOf(keys), len(keys))
	codec.TextTokens(t.tokens[:], texts, t.half)
	slots := t.slots
	for i := range texts {
		k := &t.tokens[i&(tableBatch-1)]
		j := place(k.Hash, len(slots))
		s := &slots[j]
		if s.a != k.A || s.b != k.B {
			s = &slots[t.search(k, j, texts[i])&^isNew] // the state of a new one is zero
		}
		s.state++
	}
}

// countWords counts at most tableBatch keys.
func countWords[K any, W comparable](t *wordTable[K, int64, W], keys []K) {
	word, step := t.forms(codec.ColumnOf(keys), len(keys))
	slots, last := t.slots, len(t.slots)-1
	var free W
	for i := range keys {
		at := unsafe.Add(word, uintptr(i)*step)
		w := *(*W)(at)
		j := place(mixAt[W](at), last)
		s := &slots[j]
		if s.word != w || w == free {
			s, _ = t.search(w, j) // the state of a new one is zero
		}
		s.state++
	}
}
