package spill

import (
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
)

// Folding is a batch of values, each beside the state of its key, for a
// function that adds them in a loop of its own: where adding a value takes a
// nanosecond, a call for each takes another. Several values may have the same
// state. It and what it points to are valid during the call: a pointer that is
// kept points to what is somebody else's later.
//
// It has no more than four words, so that the compiler keeps them in registers.
type Folding[V, C any] struct {
	values unsafe.Pointer
	states unsafe.Pointer
	at     *[foldMost]uint32 // where from states the state of a value lies
	shape  uint64            // bytes from a value to the next, and in the lower half how many there are
}

// foldMost is how many values are added at a time.
const foldMost = 64

// Len returns how many values there are.
func (f Folding[V, C]) Len() int { return int(uint32(f.shape)) }

// Value returns value number i, which is less than Len; it is only to be read.
func (f Folding[V, C]) Value(i int) *V {
	return (*V)(unsafe.Add(f.values, uintptr(f.shape>>32)*uintptr(i)))
}

// State returns the state that value number i, which is less than Len, is to be
// added to. Neither looks whether i is: that would take longer than adding.
func (f Folding[V, C]) State(i int) *C { return (*C)(unsafe.Add(f.states, f.at[i&(foldMost-1)])) }

// folding returns pairs with their states, which lie at distances from states.
func folding[K, V, C any](pairs []codec.Pair[K, V], states []C, at *[foldMost]uint32) Folding[V, C] {
	return Folding[V, C]{
		unsafe.Pointer(&pairs[0].Value), unsafe.Pointer(unsafe.SliceData(states)), at,
		uint64(unsafe.Sizeof(pairs[0]))<<32 | uint64(len(pairs)),
	}
}

// addable returns an aggregate that has Add, by AddAll if that is all it has.
// It is for one goroutine.
func addable[V, C any](a Aggregate[V, C]) Aggregate[V, C] {
	if a.Add == nil {
		one := new(struct {
			value V
			state C
		})
		f := Folding[V, C]{unsafe.Pointer(&one.value), unsafe.Pointer(&one.state), new([foldMost]uint32), 1}
		all := a.AddAll
		a.Add = func(c C, v V) C {
			one.value, one.state = v, c
			all(f)
			return one.state
		}
	}
	return a
}
