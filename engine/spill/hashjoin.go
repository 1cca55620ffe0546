package spill

import (
	"errors"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// Matcher holds one side of a join in a hash table, to match the other side
// against it batch by batch: each row of either side is touched once, and
// nothing is sorted. A key may have several rows. It exists only where
// everything fits in memory; Join goes where it does not.
type Matcher[K, W any] struct {
	c      *memory.Consumer
	page   *memory.Page
	slots  []wordSlot[W] // open addressing; a free slot has the word zero
	zeros  []W           // the rows of the key zero
	words  func(dst []uint64, keys []K)
	keys   []K
	tokens [tableBatch]uint64
	places [tableBatch]uint32
	firsts [tableBatch]uint64
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
	m := &Matcher[K, W]{words: g.key.Binary.Words, keys: make([]K, tableBatch)}
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
	m.page = p
	m.slots = sliceOf[wordSlot[W]](p.Data)[:max(2*s.n, firstPage/size)]
	clear(m.slots)
	ok, err := m.build(s)
	if !ok || err != nil {
		m.c.Close()
		return nil, err
	}
	return m, s.Close()
}

// build enters the sorter's rows and reports whether that did.
func (m *Matcher[K, W]) build(s *Sorter[codec.Pair[K, W]]) (bool, error) {
	s.busy = true // nothing of it may move
	defer func() { s.busy = false }()
	steps, slots := matcherSteps*s.n+tableBatch, m.slots
	var table []entry
	if s.n > 0 {
		table = s.table()[:s.n]
	}
	for at := 0; len(table) > 0; at++ {
		entries := table[:min(len(table), tableBatch)]
		table = table[len(entries):]
		for i := range entries {
			m.keys[i] = s.store.row(entries[i].ref).Key
		}
		words := m.tokens[:len(entries)]
		m.words(words, m.keys[:len(entries)])
		for i, w := range words {
			v := &s.store.row(entries[i].ref).Value
			if w == 0 {
				if len(m.zeros) == matcherZeros {
					return false, nil
				}
				m.zeros = append(m.zeros, *v)
				continue
			}
			j := place(codec.HashWord(w), len(slots))
			for slots[j].word != 0 {
				if steps--; j+1 < len(slots) {
					j++
				} else {
					j = 0
				}
			}
			slots[j] = wordSlot[W]{w, *v}
		}
		if steps < 0 {
			return false, nil
		}
		if at%64 == 0 {
			if err := s.env.Check(); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// Match calls found for every row in m that has the key of one of pairs, with
// that one's index and the row's value, which is valid until Close. An error
// from found ends it.
func Match[K, V, W any](m *Matcher[K, W], pairs []codec.Pair[K, V], found func(i int, w *W) error) error {
	for from := 0; from < len(pairs); from += tableBatch {
		batch := pairs[from:min(from+tableBatch, len(pairs))]
		for i := range batch {
			m.keys[i] = batch[i].Key
		}
		words := m.tokens[:len(batch)]
		m.words(words, m.keys[:len(batch)])
		slots := m.slots
		// The slots are fetched side by side before any is looked at.
		for i, w := range words {
			j := place(codec.HashWord(w), len(slots))
			m.places[i&(tableBatch-1)] = uint32(j)
			m.firsts[i&(tableBatch-1)] = slots[j].word
		}
		for i, w := range words {
			if w == 0 {
				for z := range m.zeros {
					if err := found(from+i, &m.zeros[z]); err != nil {
						return err
					}
				}
				continue
			}
			j := int(m.places[i&(tableBatch-1)])
			for word := m.firsts[i&(tableBatch-1)]; word != 0; word = slots[j].word {
				if word == w {
					if err := found(from+i, &slots[j].state); err != nil {
						return err
					}
				}
				if j++; j == len(slots) {
					j = 0
				}
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
