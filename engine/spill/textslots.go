package spill

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// textSlot holds a key of up to 15 bytes in its two words (codec.TextWords);
// of a longer one a is the hash, and b the place of its length and bytes in
// the arena, marked by codec.LongText. Free slots are zero.
type textSlot[S any] struct {
	a, b  uint64
	state S
}

// textSlots is the table of keys in text form.
//
//  1. Turn the batch's keys into tokens: two words and a hash, without
//     branches on the lengths of short keys (codec.TextTokens).
//  2. Look every token up and note its slot. The loads do not wait for each
//     other.
//  3. Fold the values into their slots, which are in the cache by now.
//
// The figure to beat is 20 ns a word with a dictionary that fits the caches;
// see BenchmarkAggregator.
type textSlots[K, V, C, S any] struct {
	textTable[K, S]
	folds[V, C, S]
}

// textTable is a textSlots without what is folded into its states.
type textTable[K, S any] struct {
	texts func(dst []string, keys codec.Column, scratch []byte) []byte
	plain bool // K is a string: no conversion
	// half says that places come of MixWords instead of HashText. A map task's
	// table does so: it sends its keys on in the order of their places, and if
	// the reducer's, still small, had the same order, they would all crowd at
	// its start (finding a merged key took 170 ns).
	half  bool
	arena *bytesArena

	slots   []textSlot[S]
	n       int
	limit   int
	sorted  bool // arranged: the first n slots are the keys
	views   []string
	scratch []byte
	tokens  [tableBatch]codec.TextToken
	found   [tableBatch]uint32 // slot, and isNew
}

const isNew = 1 << 31

func (t *textTable[K, S]) reset(mem []byte) {
	clear(mem)
	t.slots = sliceOf[textSlot[S]](mem)
	t.n, t.limit, t.sorted = 0, maxUsed(len(t.slots)), false
}

func (t *textTable[K, S]) room() int { return t.limit - t.n }
func (t *textTable[K, S]) used() int { return t.n }

func (t *textTable[K, S]) moveTo(mem []byte) {
	old, n := t.slots, t.n
	t.reset(mem)
	t.n = n
	for i := range old {
		if s := &old[i]; s.b != 0 {
			j := place(t.hash(s), len(t.slots))
			for t.slots[j].b != 0 {
				if j++; j == len(t.slots) {
					j = 0
				}
			}
			t.slots[j] = *s
		}
	}
}

// hash returns the hash of a slot's key.
func (t *textTable[K, S]) hash(s *textSlot[S]) uint64 {
	long := s.b>>56 == codec.LongText
	switch {
	case long && t.half:
		return codec.MixLong(s.a)
	case long:
		return s.a
	case t.half:
		return codec.MixWords(s.a, s.b)
	}
	return codec.HashWords(s.a, s.b)
}

func (t *textSlots[K, V, C, S]) add(pairs []codec.Pair[K, V]) {
	foldTexts(&t.textTable, &t.values, pairs)
}

func (t *textSlots[K, V, C, S]) merge(pairs []codec.Pair[K, C]) {
	foldTexts(&t.textTable, &t.partial, pairs)
}

// foldTexts folds values or partial results into a table.
func foldTexts[K, X, S any](t *textTable[K, S], f *fold[X, S], pairs []codec.Pair[K, X]) {
	texts := textsOf(t, codec.KeyColumn(pairs), len(pairs))
	codec.TextTokens(t.tokens[:], texts, t.half)
	slots := t.slots
	for i := range texts {
		k := &t.tokens[i&(tableBatch-1)]
		j := place(k.Hash, len(slots))
		if s := &slots[j]; s.a == k.A && s.b == k.B {
			t.found[i&(tableBatch-1)] = uint32(j)
			continue
		}
		t.found[i&(tableBatch-1)] = t.search(k, j, texts[i])
	}
	add := f.add
	for i := range pairs {
		at := t.found[i&(tableBatch-1)]
		s := &slots[at&^isNew]
		if at&isNew == 0 {
			s.state = add(s.state, pairs[i].Value)
		} else {
			s.state = f.start(pairs[i].Value)
		}
	}
}

// textsOf returns n keys as texts: where they lie, if they are strings and lie
// side by side.
func textsOf[K, S any](t *textTable[K, S], keys codec.Column, n int) []string {
	if t.plain && keys.Stride == unsafe.Sizeof("") {
		return unsafe.Slice((*string)(keys.First), n)
	}
	if t.views == nil {
		t.views = make([]string, tableBatch)
	}
	views := t.views[:n]
	if t.plain {
		for i := range views {
			views[i] = *(*string)(unsafe.Add(keys.First, uintptr(i)*keys.Stride))
		}
		return views
	}
	t.scratch = t.texts(views, keys, t.scratch)
	return views
}

// search goes on from slot j, and takes the first free slot for a new key.
func (t *textTable[K, S]) search(k *codec.TextToken, j int, text string) uint32 {
	long := k.B == codec.LongToken
	for {
		s := &t.slots[j]
		switch {
		case s.b == 0:
			s.a, s.b = k.A, k.B
			if long {
				s.b = codec.LongText<<56 | t.keep(text)
			}
			t.n++
			return uint32(j) | isNew
		case s.a != k.A:
		case s.b == k.B, long && s.b>>56 == codec.LongText && t.text(s) == text:
			return uint32(j)
		}
		if j++; j == len(t.slots) {
			j = 0
		}
	}
}

// keep copies a long text into the arena.
func (t *textTable[K, S]) keep(text string) uint64 {
	b := t.arena.take(4 + len(text))
	binary.LittleEndian.PutUint32(b, uint32(len(text)))
	copy(b[4:], text)
	return uint64(len(t.arena.data)-1)<<32 | uint64(t.arena.used-len(b))
}

// text returns a slot's key as a view into the slot or the arena.
func (t *textTable[K, S]) text(s *textSlot[S]) string {
	if s.b>>56 == codec.LongText {
		b := t.arena.at(s.b &^ (codec.LongText << 56))
		n := binary.LittleEndian.Uint32(b)
		return unsafe.String(unsafe.SliceData(b[4:]), int(n))
	}
	n := int(s.b>>56) - 1
	if bigEndian {
		w := [2]uint64{bits.ReverseBytes64(s.a), bits.ReverseBytes64(s.b)}
		return string(unsafe.Slice((*byte)(unsafe.Pointer(&w)), n))
	}
	return unsafe.String((*byte)(unsafe.Pointer(s)), n)
}

// bigEndian: a word does not start with its low byte.
var bigEndian = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

func (t *textTable[K, S]) compare(x, y *textSlot[S]) int {
	if c := cmp.Compare(spread(t.hash(x)), spread(t.hash(y))); c != 0 {
		return c
	}
	return cmp.Compare(t.text(x), t.text(y))
}

func (t *textTable[K, S]) arrange() {
	gatherUsed(t.slots, func(s *textSlot[S]) bool { return s.b != 0 }, func(s *textSlot[S]) int { return place(t.hash(s), len(t.slots)) })
	nearlySorted(t.slots[:t.n], t.compare)
	t.sorted = true
}

func (t *textTable[K, S]) read(dst []codec.Pair[string, S], at int) ([]codec.Pair[string, S], int) {
	end := len(t.slots)
	if t.sorted {
		end = t.n
	}
	for ; at < end; at++ {
		s := &t.slots[at]
		if s.b == 0 {
			continue
		}
		if len(dst) == cap(dst) {
			return dst, at
		}
		dst = append(dst, codec.Pair[string, S]{Key: t.text(s), Value: s.state})
	}
	return dst, -1
}

// gatherUsed moves the used slots to the front. Those that had wrapped from
// the table's end to its start, because of where home is, come last.
func gatherUsed[S any](slots []S, used func(*S) bool, home func(*S) int) {
	var wrapped []S
	n, i := 0, 0
	for ; i < len(slots) && used(&slots[i]); i++ {
		if home(&slots[i]) > i {
			wrapped = append(wrapped, slots[i])
			continue
		}
		slots[n] = slots[i]
		n++
	}
	for ; i < len(slots); i++ {
		if used(&slots[i]) {
			slots[n] = slots[i]
			n++
		}
	}
	copy(slots[n:], wrapped)
}

// nearlySorted sorts slots of which each is near its place already, by
// insertion; should they not be, which takes keys chosen to collide, by
// comparison.
func nearlySorted[S any](slots []S, compare func(x, y *S) int) {
	moves := 32 * len(slots)
	for i := 1; i < len(slots); i++ {
		if compare(&slots[i-1], &slots[i]) <= 0 {
			continue
		}
		s := slots[i]
		j := i
		for ; j > 0 && compare(&slots[j-1], &s) > 0; j-- {
			slots[j] = slots[j-1]
		}
		slots[j] = s
		if moves -= i - j; moves < 0 {
			slices.SortFunc(slots, func(x, y S) int { return compare(&x, &y) })
			return
		}
	}
}
