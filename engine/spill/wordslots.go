package spill

import (
	"cmp"
	"math/bits"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// wordSlot holds a key that is one word. A free slot has the word zero; the
// key zero is kept beside the table.
type wordSlot[S any] struct {
	word  uint64
	state S
}

// wordSlots is the table of keys in word form. Each row is hashed, found and
// folded in turn: in a table that fits the second-level cache the processor
// runs ahead over a dozen rows by itself, and noting anything between them
// costs a third more (5.5 against 8 ns a row with 100 keys).
//
// The last slot is for the key zero and for no other.
type wordSlots[K, V, C, S any] struct {
	wordTable[K, S]
	folds[V, C, S]
}

// wordTable is a wordSlots without what is folded into its states.
type wordTable[K, S any] struct {
	words  func(dst []uint64, keys []K)
	direct bool // a key's memory is its word

	slots   []wordSlot[S]
	n       int // without the key zero
	limit   int
	sorted  bool // arranged: the keys are in front, and zero among them
	hasZero bool
	keys    []K
	tokens  []uint64
}

// mixWord hashes a word for its place in a table. It is not codec.HashWord,
// which chose the reducer, but half of it: one multiplication of which every
// bit of the place depends on every bit of the word.
func mixWord(w uint64) uint64 {
	hi, lo := bits.Mul64(w^0x6a09e667f3bcc909, 0xbb67ae8584caa73b) // from the fractions of √2 and √3
	return hi ^ lo
}

func (t *wordTable[K, S]) reset(mem []byte) {
	clear(mem)
	t.slots = sliceOf[wordSlot[S]](mem)
	t.n, t.limit, t.sorted, t.hasZero = 0, maxUsed(len(t.slots))-1, false, false
}

func (t *wordTable[K, S]) room() int { return t.limit - t.n }

func (t *wordTable[K, S]) used() int {
	if t.hasZero {
		return t.n + 1
	}
	return t.n
}

func (t *wordTable[K, S]) moveTo(mem []byte) {
	old, n, zero := t.slots, t.n, t.hasZero
	t.reset(mem)
	t.n, t.hasZero = n, zero
	last := len(t.slots) - 1
	for i := range old {
		if s := &old[i]; s.word != 0 {
			j := place(mixWord(s.word), last)
			for t.slots[j].word != 0 {
				if j++; j == last {
					j = 0
				}
			}
			t.slots[j] = *s
		}
	}
	t.slots[last] = old[len(old)-1]
}

func (t *wordSlots[K, V, C, S]) add(pairs []codec.Pair[K, V]) {
	foldWords(&t.wordTable, &t.values, pairs)
}

func (t *wordSlots[K, V, C, S]) merge(pairs []codec.Pair[K, C]) {
	foldWords(&t.wordTable, &t.partial, pairs)
}

// foldWords folds values or partial results into a table.
func foldWords[K, X, S any](t *wordTable[K, S], f *fold[X, S], pairs []codec.Pair[K, X]) {
	word, step := unsafe.Pointer(&pairs[0].Key), unsafe.Sizeof(pairs[0])
	if !t.direct {
		if t.keys == nil {
			t.keys, t.tokens = make([]K, tableBatch), make([]uint64, tableBatch)
		}
		keys := t.keys[:len(pairs)]
		for i := range pairs {
			keys[i] = pairs[i].Key
		}
		t.words(t.tokens[:len(pairs)], keys)
		word, step = unsafe.Pointer(&t.tokens[0]), unsafe.Sizeof(t.tokens[0])
	}
	slots, last := t.slots, len(t.slots)-1
	add := f.add
	for i := range pairs {
		w := *(*uint64)(unsafe.Add(word, uintptr(i)*step))
		j := place(mixWord(w), last)
		s := &slots[j]
		if s.word != w || w == 0 {
			var isNew bool
			if s, isNew = t.search(w, j); isNew {
				s.state = f.start(pairs[i].Value)
				continue
			}
		}
		s.state = add(s.state, pairs[i].Value)
	}
}

// search returns the slot of a key, from slot j on, or takes the first free
// one.
//
//go:noinline
func (t *wordTable[K, S]) search(w uint64, j int) (s *wordSlot[S], isNew bool) {
	last := len(t.slots) - 1
	if w == 0 {
		isNew, t.hasZero = !t.hasZero, true
		return &t.slots[last], isNew
	}
	for {
		s = &t.slots[j]
		switch s.word {
		case w:
			return s, false
		case 0:
			s.word = w
			t.n++
			return s, true
		}
		if j++; j == last {
			j = 0
		}
	}
}

func (t *wordTable[K, S]) arrange() {
	last := len(t.slots) - 1
	gatherUsed(t.slots[:last], func(s *wordSlot[S]) bool { return s.word != 0 }, func(s *wordSlot[S]) int {
		return place(mixWord(s.word), last)
	})
	n := t.n
	if t.hasZero { // there is a free slot: the limit sees to it
		t.slots[n] = t.slots[last]
		n++
	}
	nearlySorted(t.slots[:n], func(x, y *wordSlot[S]) int {
		if c := cmp.Compare(spread(mixWord(x.word)), spread(mixWord(y.word))); c != 0 {
			return c
		}
		return cmp.Compare(x.word, y.word)
	})
	t.sorted = true
}

func (t *wordTable[K, S]) read(dst []codec.Pair[uint64, S], at int) ([]codec.Pair[uint64, S], int) {
	end := t.end()
	for ; at < end; at++ {
		s := &t.slots[at]
		if t.free(s, at) {
			continue
		}
		if len(dst) == cap(dst) {
			return dst, at
		}
		dst = append(dst, codec.Pair[uint64, S]{Key: s.word, Value: s.state})
	}
	return dst, -1
}

// readPairs is read for direct keys, without a step between and without a
// branch for free slots, which nothing foretells: every slot is written, and
// only those in use are stepped behind.
func (t *wordTable[K, S]) readPairs(dst []codec.Pair[K, S], at int) ([]codec.Pair[K, S], int) {
	out, n := dst[:cap(dst)], len(dst)
	last := len(t.slots) - 1
	for ; at < last && n < len(out); at++ {
		s := &t.slots[at]
		*(*uint64)(unsafe.Pointer(&out[n].Key)) = s.word
		out[n].Value = s.state
		n += int((s.word | -s.word) >> 63)
	}
	switch {
	case at < last || n == len(out):
		return out[:n], at
	case t.hasZero:
		out[n] = codec.Pair[K, S]{Value: t.slots[last].state}
		n++
	}
	return out[:n], -1
}

// end returns how many slots may be used.
func (t *wordTable[K, S]) end() int {
	if t.sorted {
		return t.used()
	}
	return len(t.slots)
}

func (t *wordTable[K, S]) free(s *wordSlot[S], at int) bool {
	return s.word == 0 && !t.sorted && !(t.hasZero && at == len(t.slots)-1)
}
