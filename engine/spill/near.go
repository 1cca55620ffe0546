package spill

import (
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// near combines rows whose keys are few and close together, as a [Deal] tells:
// a key's state stands at the key's distance from the least one, where nothing
// is hashed and no keys are compared.
//
// Keys that were not dealt go to the combiner that it stands before.
type near[K, V, C any] struct {
	combining[K, V]
	env    Env
	agg    Aggregate[V, C]
	c      *memory.Consumer
	least  uint64
	states []C
	seen   []bool // not bits: rows of keys nearby would wait for each other's
	emit   func([]codec.Pair[K, C]) error
	at     [foldMost]uint32
}

// nearMost is the largest array: with the rows that pass it lies in the
// second-level cache.
const nearMost = 256 << 10

// The processor looks ahead by itself, but not from one page of memory to the
// next, and waits at each. So rows are asked for, foldMost at a time (10,000,000
// rows of 100 keys took 0.024 s without, 0.019 with), if they are small: of
// large ones the user's function may look at a part.
const (
	askAhead = 4 << 10
	askMost  = 64 // bytes of a row
)

// nearFits reports whether the states of all keys dealt fit an array.
func nearFits[C any, K any](key codec.Key[K], d Deal) bool {
	size := uint64(unsafe.Sizeof(*new(C)))
	return key.Binary.Word && key.Binary.Direct && codec.IsPlain[C]() && size > 0 && d.keys <= nearMost/(size+1)
}

// newNear returns the array that stands before other, if as much memory stays
// free: those that it drains to must find some, too.
func newNear[K, V, C any](env Env, name string, a Aggregate[V, C], d Deal, emit func([]codec.Pair[K, C]) error, other combining[K, V]) (*near[K, V, C], error) {
	t := &near[K, V, C]{combining: other, env: env.complete(), agg: a, least: d.least, emit: emit}
	t.c = t.env.Memory.Consumer(name, nil)
	n := int(d.keys)
	states := n * int(unsafe.Sizeof(*new(C)))
	p, err := t.c.Alloc(max(states+n, firstPage))
	if err == nil {
		var probe *memory.Page
		if probe, err = t.c.Alloc(nearMost); err == nil {
			t.c.Free(probe)
		}
	}
	if err != nil {
		t.c.Close()
		return nil, err
	}
	t.states, t.seen = sliceOf[C](p.Data[:states]), sliceOf[bool](p.Data[states:states+n])
	clear(p.Data[states : states+n])
	if a.First == nil {
		fillWith(t.states, a.Zero)
	}
	return t, nil
}

func (t *near[K, V, C]) add(pairs []codec.Pair[K, V]) error {
	for {
		pairs = pairs[t.fold(pairs):]
		if len(pairs) == 0 {
			return t.env.Check()
		}
		if err := t.combining.add(pairs[:1]); err != nil { // a key that was not dealt
			return err
		}
		pairs = pairs[1:]
	}
}

// fold adds values up to one whose key was not dealt and returns how many.
func (t *near[K, V, C]) fold(pairs []codec.Pair[K, V]) (n int) {
	for n < len(pairs) {
		next := pairs[n:min(n+foldMost, len(pairs))]
		if size := unsafe.Sizeof(next[0]); size <= askMost {
			askFor(unsafe.Pointer(&next[0]), askAhead, uintptr(len(next))*size)
		}
		k := t.foldSome(next)
		n += k
		if k < len(next) {
			break
		}
	}
	return n
}

// foldSome is fold for at most foldMost rows.
func (t *near[K, V, C]) foldSome(pairs []codec.Pair[K, V]) int {
	least, states := t.least, t.states
	seen := t.seen[:len(states)]
	add, first, all := t.agg.Add, t.agg.First, t.agg.AddAll
	if all != nil {
		n := find(t.at[:len(pairs)], seen, least, uint32(unsafe.Sizeof(states[0])), pairs)
		if n > 0 {
			all(folding(pairs[:n], states, &t.at))
		}
		return n
	}
	if first == nil {
		for i := range pairs {
			p := &pairs[i]
			at := uint64(codec.Lead(p)) - least
			if at >= uint64(len(states)) {
				return i
			}
			seen[at] = true
			s := &states[at]
			*s = add(*s, p.Value)
		}
		return len(pairs)
	}
	for i := range pairs {
		at := uint64(codec.Lead(&pairs[i])) - least
		if at >= uint64(len(states)) {
			return i
		}
		s := &states[at]
		if seen[at] {
			*s = add(*s, pairs[i].Value)
		} else {
			*s = first(pairs[i].Value)
		}
		seen[at] = true
	}
	return len(pairs)
}

// find notes where the states of pairs are, of size bytes each, up to one whose
// key was not dealt, and returns how many.
func find[K, V any](at []uint32, seen []bool, least uint64, size uint32, pairs []codec.Pair[K, V]) int {
	at = at[:len(pairs)]
	for i := range pairs {
		k := uint64(codec.Lead(&pairs[i])) - least
		if k >= uint64(len(seen)) {
			return i
		}
		seen[k] = true
		at[i] = uint32(k) * size
	}
	return len(pairs)
}

func (t *near[K, V, C]) drainTable() error {
	out := make([]codec.Pair[K, C], 0, min(tableBatch, len(t.states)))
	for at, there := range t.seen {
		if !there {
			continue
		}
		var p codec.Pair[K, C]
		*(*uint64)(unsafe.Pointer(&p.Key)) = t.least + uint64(at)
		p.Value = t.states[at]
		if out = append(out, p); len(out) == cap(out) {
			if err := t.emit(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	if len(out) > 0 {
		if err := t.emit(out); err != nil {
			return err
		}
	}
	return t.combining.drainTable()
}

// close is safe to call twice.
func (t *near[K, V, C]) close() error {
	t.states, t.seen = nil, nil
	t.c.Close()
	return t.combining.close()
}
