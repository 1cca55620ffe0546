package spill

import (
	"errors"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// Matcher holds one side of a join in a hash table, to match the other side
// against it batch by batch. A key may have several rows. It exists only where
// everything fits in memory; Join goes where it does not.
//
//  1. The rows of the side that is held lie where the shuffle put them. Their
//     number is known, so the table is made once, twice as long.
//  2. They go into it batch by batch: the words of their keys, then the places
//     where those hash to, then the rows. Nothing of a row waits for another,
//     so the processor waits for several slots at once.
//  3. The other side streams by likewise: words, places and the words of the
//     first slots, which are fetched side by side; then the comparing. What
//     is found is told by the batch, so that no call is made for a row.
type Matcher[K, W any] struct {
	c       *memory.Consumer
	slots   []wordSlot[W] // open addressing; a free slot has the word zero
	zeros   []W           // the rows of the key zero
	repeats bool          // some other key has several rows
	words   func(dst []uint64, keys []K)
	keys    []K
	found   []Found[W]
	tokens  [tableBatch]uint64
	places  [tableBatch]uint32
	firsts  [tableBatch]uint64
	steps   int // left of those that building may take
}

// Found is a match: a row of a batch, by its index, and a row held.
type Found[W any] struct {
	At  int
	Row *W
}

// matcherSteps bounds what building a table may cost, in steps for each row:
// keys with thousands of rows make chains that everything has to walk along,
// and sorting serves them better.
const matcherSteps = 32

// matcherZeros is how many rows the key zero may have, which are kept apart.
const matcherZeros = 1024

// Matcher moves what was added to g into a hash table. It returns nil where
// that does not do: rows were spilled or memory for the table is refused,
// keys are not numbers, values hold pointers, or few keys have most of the
// rows. g is then as it was and can still be read by Join; otherwise it is
// empty, and there is nothing left to do with it but to Close it.
func (g *Grouper[K, W]) Matcher() (*Matcher[K, W], error) {
	s := g.s
	if !g.key.Binary.Word || !s.store.plain || s.state != adding || len(s.runs) > 0 || uint64(s.n) >= 1<<31 {
		return nil, nil
	}
	m := &Matcher[K, W]{
		words: g.key.Binary.Words, keys: make([]K, tableBatch), found: make([]Found[W], tableBatch),
		steps: matcherSteps*s.n + tableBatch,
	}
	m.c = s.env.Memory.Consumer("join table", nil)
	var slot wordSlot[W]
	size := int(unsafe.Sizeof(slot))
	p, err := m.c.Alloc(max(2*s.n*size, firstPage))
	if err != nil || len(s.runs) > 0 { // the sorter may have had to make room
		m.c.Close()
		if err != nil && !errors.Is(err, memory.ErrNoMemory) {
			return nil, err
		}
		return nil, nil
	}
	m.slots = sliceOf[wordSlot[W]](p.Data)[:max(2*s.n, firstPage/size)]
	clear(m.slots)
	s.busy = true // nothing of it may move
	batches := 0
	err = s.asTheyLie(make([]codec.Pair[K, W], tableBatch), func(rows []codec.Pair[K, W]) error {
		if batches%64 == 0 {
			if err := s.env.Check(); err != nil {
				return err
			}
		}
		batches++
		return m.enter(rows)
	})
	s.busy = false
	if err != nil {
		m.c.Close()
		if err == errNoTable {
			err = nil
		}
		return nil, err
	}
	return m, s.Close()
}

// errNoTable says that a side does not do in a table.
var errNoTable = errors.New("few keys have most of the rows")

// look finds the places of a batch's keys.
func look[K, V, W any](m *Matcher[K, W], rows []codec.Pair[K, V]) (words []uint64) {
	for i := range rows {
		m.keys[i] = rows[i].Key
	}
	words = m.tokens[:len(rows)]
	m.words(words, m.keys[:len(rows)])
	for i, w := range words {
		m.places[i&(tableBatch-1)] = uint32(place(codec.HashWord(w), len(m.slots)))
	}
	return words
}

// enter puts at most tableBatch rows into the table.
func (m *Matcher[K, W]) enter(rows []codec.Pair[K, W]) error {
	slots, steps, repeats := m.slots, m.steps, m.repeats
	for i, w := range look(m, rows) {
		if w == 0 {
			if len(m.zeros) == matcherZeros {
				return errNoTable
			}
			m.zeros = append(m.zeros, rows[i].Value)
			continue
		}
		j := int(m.places[i&(tableBatch-1)])
		for slots[j].word != 0 {
			repeats = repeats || slots[j].word == w
			steps--
			if j++; j == len(slots) {
				j = 0
			}
		}
		slots[j] = wordSlot[W]{w, rows[i].Value}
	}
	if m.steps, m.repeats = steps, repeats; steps < 0 {
		return errNoTable
	}
	return nil
}

// Match calls found with every pair of a row of batch, which is a part of
// pairs, and a row in m that has its key, some at a time. The rows in m are
// valid until Close, the list until found returns. An error from found ends
// it.
func Match[K, V, W any](m *Matcher[K, W], pairs []codec.Pair[K, V], found func(batch []codec.Pair[K, V], list []Found[W]) error) error {
	for len(pairs) > 0 {
		batch := pairs[:min(len(pairs), tableBatch)]
		pairs = pairs[len(batch):]
		words, slots := look(m, batch), m.slots
		for i := range words {
			m.firsts[i&(tableBatch-1)] = slots[m.places[i&(tableBatch-1)]].word
		}
		list, n, unique := m.found, 0, !m.repeats
		for i, w := range words {
			j := int(m.places[i&(tableBatch-1)])
			for word := m.firsts[i&(tableBatch-1)]; word != 0; word = slots[j].word {
				if word == w {
					list[n] = Found[W]{i, &slots[j].state}
					if n++; n == len(list) {
						if err := found(batch, list); err != nil {
							return err
						}
						n = 0
					}
					if unique {
						break
					}
				}
				if j++; j == len(slots) {
					j = 0
				}
			}
		}
		if n > 0 {
			if err := found(batch, list[:n]); err != nil {
				return err
			}
		}
		if err := m.matchZeros(words, func(list []Found[W]) error { return found(batch, list) }); err != nil {
			return err
		}
	}
	return nil
}

// matchZeros finds what the key zero has.
func (m *Matcher[K, W]) matchZeros(words []uint64, found func(list []Found[W]) error) error {
	for at := 0; at < len(m.zeros); at += len(m.found) {
		rows := m.zeros[at:min(at+len(m.found), len(m.zeros))]
		for i, w := range words {
			if w != 0 {
				continue
			}
			for k := range rows {
				m.found[k] = Found[W]{i, &rows[k]}
			}
			if err := found(m.found[:len(rows)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close frees the table. It is safe to call twice.
func (m *Matcher[K, W]) Close() {
	if m.c != nil {
		m.c.Close()
	}
	m.c, m.slots, m.zeros = nil, nil, nil
}
