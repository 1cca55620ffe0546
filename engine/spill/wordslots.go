package spill

import (
	"cmp"

	"github.com/execbench/execbench/engine/codec"
)

// wordSlot holds a key that is one word. A free slot has the word zero; the
// key zero is kept beside the table.
type wordSlot[S any] struct {
	word  uint64
	state S
}

// wordSlots is the table of keys in word form. It works as textSlots does.
type wordSlots[K, V, S any] struct {
	fold  fold[V, S]
	words func(dst []uint64, keys []K)

	slots   []wordSlot[S]
	n       int // without the key zero
	limit   int
	sorted  bool
	zero    S
	hasZero bool
	keys    []K
	tokens  [tableBatch]uint64
	hashes  [tableBatch]uint32
	found   [tableBatch]uint32
}

// atZero is found for the key zero.
const atZero = isNew - 1

func (t *wordSlots[K, V, S]) reset(mem []byte) {
	clear(mem)
	t.slots = sliceOf[wordSlot[S]](mem)
	t.n, t.limit, t.sorted, t.hasZero = 0, maxUsed(len(t.slots))-1, false, false
}

func (t *wordSlots[K, V, S]) room() int { return t.limit - t.n }

func (t *wordSlots[K, V, S]) used() int {
	if t.hasZero {
		return t.n + 1
	}
	return t.n
}

func (t *wordSlots[K, V, S]) moveTo(mem []byte) {
	old, n, zero := t.slots, t.n, t.hasZero
	t.reset(mem)
	t.n, t.hasZero = n, zero
	for i := range old {
		if s := &old[i]; s.word != 0 {
			j := place(codec.HashWord(s.word), len(t.slots))
			for t.slots[j].word != 0 {
				if j++; j == len(t.slots) {
					j = 0
				}
			}
			t.slots[j] = *s
		}
	}
}

func (t *wordSlots[K, V, S]) add(pairs []codec.Pair[K, V]) {
	if t.keys == nil {
		t.keys = make([]K, tableBatch)
	}
	keys := t.keys[:len(pairs)]
	for i := range pairs {
		keys[i] = pairs[i].Key
	}
	words := t.tokens[:len(pairs)]
	t.words(words, keys)
	for i, w := range words {
		t.hashes[i&(tableBatch-1)] = uint32(codec.HashWord(w))
	}
	slots := t.slots
	for i, w := range words {
		j := place(uint64(t.hashes[i&(tableBatch-1)]), len(slots))
		if slots[j].word == w && w != 0 {
			t.found[i&(tableBatch-1)] = uint32(j)
			continue
		}
		t.found[i&(tableBatch-1)] = t.search(w, j)
	}
	first, add := t.fold.first, t.fold.add
	for i := range pairs {
		f := t.found[i&(tableBatch-1)]
		s := &t.zero
		if f&^isNew != atZero {
			s = &slots[f&^isNew].state
		}
		if f&isNew == 0 {
			*s = add(*s, pairs[i].Value)
		} else {
			*s = first(pairs[i].Value)
		}
	}
}

func (t *wordSlots[K, V, S]) search(w uint64, j int) uint32 {
	if w == 0 {
		if t.hasZero {
			return atZero
		}
		t.hasZero = true
		return atZero | isNew
	}
	for {
		switch t.slots[j].word {
		case w:
			return uint32(j)
		case 0:
			t.slots[j].word = w
			t.n++
			return uint32(j) | isNew
		}
		if j++; j == len(t.slots) {
			j = 0
		}
	}
}

// arrange lets the key zero go last; read puts it where it belongs.
func (t *wordSlots[K, V, S]) arrange() {
	gatherUsed(t.slots, func(s *wordSlot[S]) bool { return s.word != 0 }, func(s *wordSlot[S]) int {
		return place(codec.HashWord(s.word), len(t.slots))
	})
	n := t.n
	if t.hasZero { // there is a free slot: the limit sees to it
		t.slots[n] = wordSlot[S]{state: t.zero}
		n++
	}
	nearlySorted(t.slots[:n], func(x, y *wordSlot[S]) int {
		if c := cmp.Compare(spread(codec.HashWord(x.word)), spread(codec.HashWord(y.word))); c != 0 {
			return c
		}
		return cmp.Compare(x.word, y.word)
	})
	t.sorted = true
}

func (t *wordSlots[K, V, S]) read(dst []codec.Pair[uint64, S], at int) ([]codec.Pair[uint64, S], int) {
	end := len(t.slots)
	if t.sorted {
		end = t.used()
	}
	for ; at < end; at++ {
		s := &t.slots[at]
		if s.word == 0 && !t.sorted {
			continue
		}
		if len(dst) == cap(dst) {
			return dst, at
		}
		dst = append(dst, codec.Pair[uint64, S]{Key: s.word, Value: s.state})
	}
	if at == end && t.hasZero && !t.sorted {
		if len(dst) == cap(dst) {
			return dst, at
		}
		dst = append(dst, codec.Pair[uint64, S]{Value: t.zero})
	}
	return dst, -1
}
