package spill

import (
	"cmp"
	"math/bits"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// keySlot holds a key whose form W is one word or two. A free slot has the form
// zero; the key zero is kept beside the table.
type keySlot[W comparable, S any] struct {
	word  W
	state S
}

// wordSlot holds a key that is one word.
type wordSlot[S any] = keySlot[uint64, S]

// wordSlots is the table of keys whose form is one word or two. Each row is
// hashed, found and folded in turn: in a table that fits the second-level cache
// the processor runs ahead over a dozen rows by itself, and noting anything
// between them costs a third more (5.5 against 8 ns a row with 100 keys).
//
// The last slot is for the key zero and for no other.
type wordSlots[K, V, C, S any, W comparable] struct {
	wordTable[K, S, W]
	folds[V, C, S]
}

// wordTable is a wordSlots without what is folded into its states.
type wordTable[K, S any, W comparable] struct {
	words  func(dst []W, keys codec.Column)
	direct bool // a key's memory is its form

	slots   []keySlot[W, S]
	n       int // without the key zero
	limit   int
	sorted  bool // arranged: the keys are in front, and zero among them
	hasZero bool
	tokens  []W
}

// mixWord hashes a word for its place in a table. It is not codec.HashWord,
// which chose the reducer, but half of it: one multiplication of which every
// bit of the place depends on every bit of the word.
func mixWord(w uint64) uint64 {
	hi, lo := bits.Mul64(w^0x6a09e667f3bcc909, 0xbb67ae8584caa73b) // from the fractions of √2 and √3
	return hi ^ lo
}

// mixTwo is mixWord for two words, of which either may be all there is to tell
// keys apart.
func mixTwo(w codec.Two) uint64 { return codec.HashWords(w.A, w.B) }

// mixAt mixes the form at p. The branch is the compiler's: W has one size.
func mixAt[W comparable](p unsafe.Pointer) uint64 {
	var w W
	if unsafe.Sizeof(w) == 8 {
		return mixWord(*(*uint64)(p))
	}
	return mixTwo(*(*codec.Two)(p))
}

// bitsAt returns a word that is zero exactly when the form at p is.
func bitsAt[W comparable](p unsafe.Pointer) uint64 {
	var w W
	if unsafe.Sizeof(w) == 8 {
		return *(*uint64)(p)
	}
	two := (*codec.Two)(p)
	return two.A | two.B
}

func (t *wordTable[K, S, W]) reset(mem []byte) {
	clear(mem)
	t.slots = sliceOf[keySlot[W, S]](mem)
	t.n, t.limit, t.sorted, t.hasZero = 0, maxUsed(len(t.slots))-1, false, false
}

func (t *wordTable[K, S, W]) room() int { return t.limit - t.n }

func (t *wordTable[K, S, W]) used() int {
	if t.hasZero {
		return t.n + 1
	}
	return t.n
}

func (t *wordTable[K, S, W]) moveTo(mem []byte) {
	old, n, zero := t.slots, t.n, t.hasZero
	t.reset(mem)
	t.n, t.hasZero = n, zero
	last := len(t.slots) - 1
	var free W
	for i := range old {
		if s := &old[i]; s.word != free {
			j := place(mixAt[W](unsafe.Pointer(s)), last)
			for t.slots[j].word != free {
				if j++; j == last {
					j = 0
				}
			}
			t.slots[j] = *s
		}
	}
	t.slots[last] = old[len(old)-1]
}

func (t *wordSlots[K, V, C, S, W]) add(pairs []codec.Pair[K, V]) {
	foldWords(&t.wordTable, &t.values, pairs)
}

func (t *wordSlots[K, V, C, S, W]) merge(pairs []codec.Pair[K, C]) {
	foldWords(&t.wordTable, &t.partial, pairs)
}

// foldWords folds values or partial results into a table.
func foldWords[K, X, S any, W comparable](t *wordTable[K, S, W], f *fold[X, S], pairs []codec.Pair[K, X]) {
	word, step := t.forms(codec.KeyColumn(pairs), len(pairs))
	slots, last := t.slots, len(t.slots)-1
	add := f.add
	var free W
	for i := range pairs {
		at := unsafe.Add(word, uintptr(i)*step)
		w := *(*W)(at)
		var hash uint64
		if unsafe.Sizeof(w) == 8 { // the compiler's branch: mixAt, which it calls
			hash = mixWord(*(*uint64)(at))
		} else {
			hash = mixTwo(*(*codec.Two)(at))
		}
		j := place(hash, last)
		s := &slots[j]
		if s.word != w || w == free {
			var isNew bool
			if s, isNew = t.search(w, j); isNew {
				s.state = f.start(pairs[i].Value)
				continue
			}
		}
		s.state = add(s.state, pairs[i].Value)
	}
}

// forms returns where the forms of n keys lie: where the keys do, or made of
// them in t.tokens.
func (t *wordTable[K, S, W]) forms(keys codec.Column, n int) (first unsafe.Pointer, step uintptr) {
	if t.direct {
		return keys.First, keys.Stride
	}
	if t.tokens == nil {
		t.tokens = make([]W, tableBatch)
	}
	t.words(t.tokens[:n], keys)
	return unsafe.Pointer(&t.tokens[0]), unsafe.Sizeof(t.tokens[0])
}

// search returns the slot of a key, from slot j on, or takes the first free
// one.
//
//go:noinline
func (t *wordTable[K, S, W]) search(w W, j int) (s *keySlot[W, S], isNew bool) {
	last := len(t.slots) - 1
	var free W
	if w == free {
		isNew, t.hasZero = !t.hasZero, true
		return &t.slots[last], isNew
	}
	for {
		s = &t.slots[j]
		switch s.word {
		case w:
			return s, false
		case free:
			s.word = w
			t.n++
			return s, true
		}
		if j++; j == last {
			j = 0
		}
	}
}

func (t *wordTable[K, S, W]) arrange() {
	last := len(t.slots) - 1
	var free W
	gatherUsed(t.slots[:last], func(s *keySlot[W, S]) bool { return s.word != free }, func(s *keySlot[W, S]) int {
		return place(mixAt[W](unsafe.Pointer(s)), last)
	})
	n := t.n
	if t.hasZero { // there is a free slot: the limit sees to it
		t.slots[n] = t.slots[last]
		n++
	}
	nearlySorted(t.slots[:n], func(x, y *keySlot[W, S]) int {
		if c := cmp.Compare(spread(mixAt[W](unsafe.Pointer(x))), spread(mixAt[W](unsafe.Pointer(y)))); c != 0 {
			return c
		}
		return compareForms[W](unsafe.Pointer(x), unsafe.Pointer(y))
	})
	t.sorted = true
}

// compareForms orders the forms at x and y.
func compareForms[W comparable](x, y unsafe.Pointer) int {
	c := cmp.Compare(*(*uint64)(x), *(*uint64)(y))
	if c == 0 && unsafe.Sizeof(*new(W)) > 8 {
		c = cmp.Compare((*codec.Two)(x).B, (*codec.Two)(y).B)
	}
	return c
}

func (t *wordTable[K, S, W]) read(dst []codec.Pair[W, S], at int) ([]codec.Pair[W, S], int) {
	end := t.end()
	for ; at < end; at++ {
		s := &t.slots[at]
		if t.free(s, at) {
			continue
		}
		if len(dst) == cap(dst) {
			return dst, at
		}
		dst = append(dst, codec.Pair[W, S]{Key: s.word, Value: s.state})
	}
	return dst, -1
}

// readPairs is read for direct keys, without a step between and without a
// branch for free slots, which nothing foretells: every slot is written, and
// only those in use are stepped behind.
func (t *wordTable[K, S, W]) readPairs(dst []codec.Pair[K, S], at int) ([]codec.Pair[K, S], int) {
	out, n := dst[:cap(dst)], len(dst)
	last := len(t.slots) - 1
	for ; at < last && n < len(out); at++ {
		s := &t.slots[at]
		*(*W)(unsafe.Pointer(&out[n].Key)) = s.word
		out[n].Value = s.state
		used := bitsAt[W](unsafe.Pointer(s))
		n += int((used | -used) >> 63)
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
func (t *wordTable[K, S, W]) end() int {
	if t.sorted {
		return t.used()
	}
	return len(t.slots)
}

func (t *wordTable[K, S, W]) free(s *keySlot[W, S], at int) bool {
	var free W
	return s.word == free && !t.sorted && !(t.hasZero && at == len(t.slots)-1)
}
