package spill

import (
	"errors"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// Matcher matches the rows of one side of a join, batch by batch, against the
// other side's, which a JoinTable holds. It is used by one attempt.
//
//  1. The words of a batch's keys come first, then the places where those
//     belong, then the words that stand there: each step is a loop over the
//     batch in which nothing waits for anything, so the processor fetches
//     several slots side by side. Then comes the comparing.
//  2. Of one reducer's table, whose keys are their memory, all steps are one loop.
//  3. What is found is told by the batch, so that no call is made for a row.
type Matcher[K, W any] struct {
	t      *JoinTable[K, W]
	held   HeldRows[W]
	keys   *keyWords[K]
	firsts [tableBatch]uint64
	missed [tableBatch]uint32 // indexes of words that the first bucket has no row for
	found  []Found
}

// Found is a match: a row of a batch and a row of a table, by their numbers.
// Numbers are half as long as pointers would be, and a collector that marks
// need not be told of each: that took a twentieth of a join's processor time.
type Found struct{ At, Row uint32 }

// HeldRows are the rows of a table by their numbers.
type HeldRows[W any] struct {
	first  unsafe.Pointer // row number 0
	stride uintptr
}

// At returns row number n, which a match told.
func (r HeldRows[W]) At(n uint32) *W { return (*W)(unsafe.Add(r.first, uintptr(n)*r.stride)) }

// NewMatcher returns a matcher against t.
func NewMatcher[K, W any](t *JoinTable[K, W]) *Matcher[K, W] {
	return &Matcher[K, W]{t: t, held: t.Held(), keys: newKeyWords(t.key), found: make([]Found, tableBatch)}
}

// Table moves what was added to g into a table. It is nil where that does not
// do: rows were spilled or memory for the table is refused, keys are not
// words, or values hold pointers. g is then as it was and can still be read by
// Join; otherwise it is empty, and there is nothing left to do with it but to
// Close it. The caller closes the table. deal says how the keys were dealt out,
// these to reducer; nil: they are hashed.
func (g *Grouper[K, W]) Table(deal *Deal, reducer int) (*JoinTable[K, W], error) {
	s := g.s
	if !HasTable[K, W](g.key, s.store.codec) || s.state != adding || len(s.runs) > 0 || int64(s.n) >= tableRowsMax {
		return nil, nil
	}
	batches, buf, n := 0, make([]codec.Pair[K, W], tableBatch), s.n
	t, err := newJoinTable(s.env.Memory.Consumer("join table", nil), g.key, n, false, tableKeys{deal: deal, reducer: reducer}, func(each func([]codec.Pair[K, W]) error) error {
		if len(s.runs) > 0 { // the sorter had to make room for the table
			return errSpilled
		}
		s.busy = true // nothing of it may move
		defer func() { s.busy = false }()
		return s.asTheyLie(buf, func(rows []codec.Pair[K, W]) error {
			if batches%64 == 0 {
				if err := s.env.Check(); err != nil {
					return err
				}
			}
			batches++
			return each(rows)
		})
	})
	if err == errSpilled {
		err = nil
	}
	if t == nil {
		return nil, err
	}
	return t, s.Close()
}

// errSpilled says that rows went to disk that were to go into a table.
var errSpilled = errors.New("rows were spilled")

// Match calls found with every pair of a row of batch, which is a part of
// pairs, and a row held, in the table, that has its key, some at a time, in no
// promised order. The list is valid until found returns. An error from found
// ends it.
func Match[K, V, W any](m *Matcher[K, W], pairs []codec.Pair[K, V], found func(batch []codec.Pair[K, V], held HeldRows[W], list []Found) error) error {
	for len(pairs) > 0 {
		batch := pairs[:min(len(pairs), tableBatch)]
		pairs = pairs[len(batch):]
		var err error
		if m.t.slots != nil && !m.t.whole && m.t.key.Direct {
			if n := m.own(codec.KeyColumn(batch), len(batch)); n > 0 {
				err = found(batch, m.held, m.found[:n])
			}
			if err != nil {
				return err
			}
			continue
		}
		words := wordsOf(m.keys, batch)
		switch t := m.t; {
		case t.present != nil && t.keys.deal != nil:
			if err = t.keys.check(words[0]); err != nil {
				return err
			}
			if n := m.dealt(words); n > 0 {
				err = found(batch, m.held, m.found[:n])
			}
		case t.present != nil:
			if n := m.direct(words); n > 0 {
				err = found(batch, m.held, m.found[:n])
			}
		case t.groups != nil:
			err = m.grouped(words, func(list []Found) error { return found(batch, m.held, list) })
		default:
			if n := m.unique(words); n > 0 {
				err = found(batch, m.held, m.found[:n])
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// direct finds at most one row for each word, and returns how many.
func (m *Matcher[K, W]) direct(words []uint64) (n int) {
	first, rows, present, list := m.t.first, m.t.rows, m.t.present, m.found
	for i, w := range words {
		d := w - first
		if d >= uint64(len(rows)) || present[d>>6]>>(d&63)&1 == 0 {
			continue
		}
		list[n&(tableBatch-1)] = Found{uint32(i), uint32(d)}
		n++
	}
	return n
}

// dealt is direct for keys that were dealt out.
func (m *Matcher[K, W]) dealt(words []uint64) (n int) {
	deal, present, list := *m.t.keys.deal, m.t.present, m.found
	for i, w := range words {
		round, ok := deal.round(w)
		if !ok || present[round>>6]>>(round&63)&1 == 0 {
			continue
		}
		list[n&(tableBatch-1)] = Found{uint32(i), uint32(round)}
		n++
	}
	return n
}

// unique finds at most one row for each word, and returns how many. No branch
// depends on the words, so that the processor guesses none wrong: one whose
// bucket has no row for it is noted, and looked for further behind the loop.
func (m *Matcher[K, W]) unique(words []uint64) (n int) {
	slots, list := m.t.slots, m.found[:tableBatch]
	buckets := unsafe.Slice((*[bucket]wordSlot[W])(unsafe.Pointer(unsafe.SliceData(slots))), len(slots)/bucket)
	m.keys.places(words, len(buckets), m.t.whole)
	place := &m.keys.place
	for i := range words {
		m.firsts[i&(tableBatch-1)] = buckets[place[i&(tableBatch-1)]][0].word
	}
	missed := 0
	for i, w := range words {
		p := place[i&(tableBatch-1)]
		b := &buckets[p]
		at := uint32(bucket)
		if b[3].word == w {
			at = 3
		}
		if b[2].word == w {
			at = 2
		}
		if b[1].word == w {
			at = 1
		}
		if m.firsts[i&(tableBatch-1)] == w {
			at = 0
		}
		miss := int(at/bucket) | int((w-1)&^w>>63) // the word zero looks like a free slot
		list[n&(tableBatch-1)] = Found{uint32(i), p*bucket + at}
		m.missed[missed&(tableBatch-1)] = uint32(i)
		n += 1 - miss
		missed += miss
	}
	for _, i := range m.missed[:missed] {
		if row, ok := m.further(words[i], int(place[i&(tableBatch-1)])*bucket); ok {
			list[n] = Found{i, row}
			n++
		}
	}
	return n
}

// own is unique for one reducer's table, which mostly lies in the second-level
// cache: a row's whole look-up in one loop without a branch. Rows do not wait
// for each other then, and where a table is larger that does as much as taking
// a batch step by step (1e7 × 1e7 rows in 4 partitions: no difference).
func (m *Matcher[K, W]) own(keys codec.Column, rows int) (n int) {
	slots := m.t.slots
	buckets := unsafe.Slice((*[bucket]wordSlot[W])(unsafe.Pointer(unsafe.SliceData(slots))), len(slots)/bucket)
	if hasLookUpLines && unsafe.Sizeof(slots[0]) == 16 {
		n = lookUpLines(&m.found[0], &m.missed[0], unsafe.Pointer(&slots[0]), len(buckets), keys.First, keys.Stride, rows)
	} else {
		n = lookUpSlots((*[tableBatch]Found)(m.found), &m.missed, buckets, keys, rows)
	}
	for _, i := range m.missed[:rows-n] {
		w := *(*uint64)(unsafe.Add(keys.First, uintptr(i)*keys.Stride))
		if row, ok := m.further(w, place(mixWord(w), len(buckets))*bucket); ok {
			m.found[n] = Found{i, row}
			n++
		}
	}
	return n
}

// lookUpSlots looks the words of rows keys up in the buckets where mixWord
// places them. It returns how many it found, which list then begins with;
// missed begins with the numbers of the others.
func lookUpSlots[W any](list *[tableBatch]Found, missed *[tableBatch]uint32, buckets [][bucket]wordSlot[W], keys codec.Column, rows int) (n int) {
	for i := range rows {
		w := *(*uint64)(unsafe.Add(keys.First, uintptr(i)*keys.Stride))
		p := place(mixWord(w), len(buckets))
		b := &buckets[p]
		at := uint32(bucket)
		if b[3].word == w {
			at = 3
		}
		if b[2].word == w {
			at = 2
		}
		if b[1].word == w {
			at = 1
		}
		if b[0].word == w {
			at = 0
		}
		miss := int(at/bucket) | int((w-1)&^w>>63) // the word zero looks like a free slot
		list[n&(tableBatch-1)] = Found{uint32(i), uint32(p)*bucket + at}
		missed[(i-n)&(tableBatch-1)] = uint32(i)
		n += 1 - miss
	}
	return n
}

// further goes on where a bucket has no row for a word.
func (m *Matcher[K, W]) further(w uint64, from int) (row uint32, ok bool) {
	slots := m.t.slots
	if w == 0 {
		return uint32(len(slots)), len(m.t.zero) > 0 // it lies behind the slots
	}
	for j := from + bucket - 1; slots[j].word != 0; {
		if j++; j == len(slots) {
			j = 0
		}
		if slots[j].word == w {
			return uint32(j), true
		}
	}
	return 0, false
}

// grouped hands on all rows of each word, some at a time.
func (m *Matcher[K, W]) grouped(words []uint64, found func(list []Found) error) error {
	groups, list, n := m.t.groups, m.found, 0
	m.keys.places(words, len(groups), m.t.whole)
	for i := range words {
		m.firsts[i&(tableBatch-1)] = groups[m.keys.place[i&(tableBatch-1)]].word
	}
	for i, w := range words {
		j := int(m.keys.place[i&(tableBatch-1)])
		for word := m.firsts[i&(tableBatch-1)]; ; word = groups[j].word {
			g := groups[j].state
			if g.rows == 0 {
				break
			}
			if word == w {
				for at := g.start; at < g.start+g.rows; at++ {
					list[n] = Found{uint32(i), at}
					if n++; n == len(list) {
						if err := found(list); err != nil {
							return err
						}
						n = 0
					}
				}
				break
			}
			if j++; j == len(groups) {
				j = 0
			}
		}
	}
	if n == 0 {
		return nil
	}
	return found(list[:n])
}
