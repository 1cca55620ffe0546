package spill

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// dealt aggregates the keys that a [Deal] gave one reducer, in an array: a
// key's state stands at its round. Nothing is compared, so that the processor,
// which in a hash table guesses every third key's place wrong, goes on to the
// next rows while it waits for this one's state; and a state takes a third of
// what it takes in a table that is half full.
//
// The array is not spilled: there is one only where memory allows as much
// again, and no larger one than the caller says. Keys that were not dealt go to
// the aggregation that it stands before, whose keys are others.
type dealt[K, V, C any] struct {
	aggregation[K, V, C]
	env     Env
	agg     Aggregate[V, C]
	c       *memory.Consumer
	deal    Deal
	reducer int
	states  []C
	present []uint64 // a bit a round
	emitted bool
	at      [foldMost]uint32
}

// Dealt tells that the keys were dealt out, this aggregator's to reducer, and
// about how many rows will be added. It has no effect where memory is short,
// where more than most bytes of it would be taken, which nobody could ask back
// until Emit is done, or where there would be more places than rows. Call it
// before adding.
func (a *Aggregator[K, V, C]) Dealt(d Deal, reducer int, rows, most int64) error {
	if !a.key.Binary.Direct || !codec.IsPlain[C]() || unsafe.Sizeof(*new(C)) == 0 || int64(d.rounds())/dealRows > rows {
		return nil
	}
	t := &dealt[K, V, C]{aggregation: a.impl, env: a.env.complete(), agg: a.agg, deal: d, reducer: reducer}
	t.c = t.env.Memory.Consumer(a.name, nil)
	ok, err := t.allocate(most)
	if !ok {
		t.c.Close()
		return err
	}
	a.impl = t
	return nil
}

// allocate takes the memory for all states, if it is no more than most bytes
// and as much stays free.
func (t *dealt[K, V, C]) allocate(most int64) (ok bool, err error) {
	n := t.deal.rounds()
	bits := (n + 63) / 64 * 8
	size := bits + n*int(unsafe.Sizeof(*new(C)))
	if int64(size) > most {
		return false, nil
	}
	p, err := t.c.Alloc(max(size, firstPage))
	if err == nil {
		var probe *memory.Page
		if probe, err = t.c.Alloc(max(size, firstPage)); err == nil {
			t.c.Free(probe)
		}
	}
	if err != nil {
		if errors.Is(err, memory.ErrNoMemory) {
			err = nil
		}
		return false, err
	}
	t.present = sliceOf[uint64](p.Data[:bits])
	clear(t.present)
	t.states = sliceOf[C](p.Data[bits:])[:n]
	if t.agg.First == nil {
		fillWith(t.states, t.agg.Zero)
	}
	return true, nil
}

// fillWith sets all elements.
func fillWith[C any](dst []C, v C) {
	for i := range dst {
		dst[i] = v
	}
}

func (t *dealt[K, V, C]) add(pairs []codec.Pair[K, V]) error {
	return foldDealt(t, pairs, t.addDealt, t.aggregation.add)
}

func (t *dealt[K, V, C]) merge(pairs []codec.Pair[K, C]) error {
	return foldDealt(t, pairs, t.mergeDealt, t.aggregation.merge)
}

// foldDealt has pairs folded in: fold does so up to one whose key was not
// dealt, and returns how many; that one goes to other.
func foldDealt[K, V, C, X any](t *dealt[K, V, C], pairs []codec.Pair[K, X], fold func([]codec.Pair[K, X]) int, other func([]codec.Pair[K, X]) error) error {
	if t.emitted {
		return errors.New("cannot add to an aggregator that is being read or closed")
	}
	for len(pairs) > 0 {
		key := uint64(codec.Lead(&pairs[0]))
		switch r, ok := t.deal.Of(key); {
		case !ok:
			if err := other(pairs[:1]); err != nil {
				return err
			}
			pairs = pairs[1:]
		case int(r) != t.reducer: // rows of a batch come from one writer, so one tells for all
			return fmt.Errorf("cannot aggregate key %d for reducer %d: it is of reducer %d: %w", int64(key), t.reducer, r, ErrCorrupt)
		default:
			pairs = pairs[fold(pairs):]
		}
	}
	return t.env.Check()
}

// addDealt adds values up to one whose key was not dealt and returns
// how many.
func (t *dealt[K, V, C]) addDealt(pairs []codec.Pair[K, V]) int {
	if size := unsafe.Sizeof(*new(C)); t.agg.AddAll != nil && uintptr(len(t.states))*size <= math.MaxUint32 {
		return t.addAllDealt(pairs, uint32(size))
	}
	d, states, present := t.deal, t.states, t.present
	add, first := t.agg.Add, t.agg.First
	for i := range pairs {
		round, ok := d.round(uint64(codec.Lead(&pairs[i])))
		if !ok {
			return i
		}
		s, word, bit := &states[round], &present[round>>6], uint64(1)<<(round&63)
		if first != nil && *word&bit == 0 {
			*s = first(pairs[i].Value)
		} else {
			*s = add(*s, pairs[i].Value)
		}
		*word |= bit
	}
	return len(pairs)
}

// addAllDealt is addDealt by AddAll.
func (t *dealt[K, V, C]) addAllDealt(pairs []codec.Pair[K, V], size uint32) (n int) {
	d, present := t.deal, t.present
	for n < len(pairs) {
		some := pairs[n:min(n+foldMost, len(pairs))]
		k := 0
		for ; k < len(some); k++ {
			round, ok := d.round(uint64(codec.Lead(&some[k])))
			if !ok {
				break
			}
			present[round>>6] |= 1 << (round & 63)
			t.at[k] = uint32(round) * size
		}
		if k > 0 {
			t.agg.AddAll(folding(some[:k], t.states, &t.at))
		}
		if n += k; k < len(some) {
			break
		}
	}
	return n
}

// mergeDealt is addDealt for partial results.
func (t *dealt[K, V, C]) mergeDealt(pairs []codec.Pair[K, C]) int {
	d, states, present, merge := t.deal, t.states, t.present, t.agg.Merge
	for i := range pairs {
		round, ok := d.round(uint64(codec.Lead(&pairs[i])))
		if !ok {
			return i
		}
		s, word, bit := &states[round], &present[round>>6], uint64(1)<<(round&63)
		if *word&bit == 0 {
			*s = pairs[i].Value
		} else {
			*s = merge(*s, pairs[i].Value)
		}
		*word |= bit
	}
	return len(pairs)
}

func (t *dealt[K, V, C]) emit(emit func([]codec.Pair[K, C]) error) error {
	if t.emitted {
		return errors.New("cannot emit twice or after Close")
	}
	t.emitted = true
	out, n := make([]codec.Pair[K, C], tableBatch), 0
	for i, word := range t.present {
		for ; word != 0; word &= word - 1 {
			round := i<<6 | bits.TrailingZeros64(word)
			p := &out[n]
			*(*uint64)(unsafe.Pointer(&p.Key)) = t.deal.key(uint64(t.reducer), uint64(round))
			p.Value = t.states[round]
			if n++; n < len(out) {
				continue
			}
			n = 0
			if err := t.env.Check(); err != nil {
				return err
			}
			if err := emit(out); err != nil {
				return err
			}
		}
	}
	if n > 0 {
		if err := emit(out[:n]); err != nil {
			return err
		}
	}
	t.free()
	return t.aggregation.emit(emit)
}

func (t *dealt[K, V, C]) keys() (n int) {
	for _, word := range t.present {
		n += bits.OnesCount64(word)
	}
	return n + t.aggregation.keys()
}

func (t *dealt[K, V, C]) close() error {
	t.emitted = true
	t.free()
	return t.aggregation.close()
}

func (t *dealt[K, V, C]) free() {
	t.states, t.present = nil, nil
	t.c.Close()
}
