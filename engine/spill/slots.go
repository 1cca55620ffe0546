package spill

import (
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// slots is an open-addressing table from keys, in one of their binary forms
// W (a word or a text), to small plain states S. A key's place is where the
// lower half of its hash falls in the table's length, and from there the
// first free slot: so the table is nearly sorted by spread hash, and writing
// it out in that order is nearly free.
type slots[K, V, C, S, W any] interface {
	// reset makes the table empty, over mem.
	reset(mem []byte)
	// moveTo takes the table to larger memory.
	moveTo(mem []byte)
	// room returns how many more keys there may be before the table must
	// move: chains stay short while it is at most five eighths full.
	room() int
	used() int
	// add folds at most tableBatch pairs in, of which all may be new keys.
	add(pairs []codec.Pair[K, V])
	// merge is add for partial results.
	merge(pairs []codec.Pair[K, C])
	// arrange sorts the keys in place, by spread hash and then by form. Only
	// read and reset may follow.
	arrange()
	// read appends keys and states from slot at on until dst is full, and
	// returns the slot to go on from, -1 behind the last. Texts are views
	// into the table or its arena.
	read(dst []codec.Pair[W, S], at int) (out []codec.Pair[W, S], next int)
}

// pairReader is a table whose keys and states are read as they are.
type pairReader[K, C any] interface {
	// readPairs is read into pairs. It may not follow arrange.
	readPairs(dst []codec.Pair[K, C], at int) (out []codec.Pair[K, C], next int)
}

// tableBatch is how many rows are hashed before any is looked up: enough
// that their slots are fetched from memory side by side, few enough that
// what is noted of them stays in the first-level cache.
const tableBatch = 512

// fold says what happens to a key's state: first at its first value, then
// add at every other. Where first is nil, add does it all, from zero on.
type fold[V, S any] struct {
	first func(v V) S
	zero  S
	add   func(s S, v V) S
}

// folds are what happens to values and to partial results.
type folds[V, C, S any] struct {
	values  fold[V, S]
	partial fold[C, S]
}

// start returns the state of a key after its first value.
func (f *fold[V, S]) start(v V) S {
	if f.first == nil {
		return f.add(f.zero, v)
	}
	return f.first(v)
}

// place maps the lower half of a hash to one of n slots.
func place(hash uint64, n int) int { return int(uint64(uint32(hash)) * uint64(n) >> 32) }

// maxUsed returns how many of n slots may be used.
func maxUsed(n int) int { return n - n*3/8 - 1 }

// sliceOf sees mem as a slice of T, which holds no pointers.
func sliceOf[T any](mem []byte) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/int(unsafe.Sizeof(zero)))
}

// bytesArena keeps texts and encoded states of a table.
type bytesArena struct {
	env   *Env
	alloc func(n int) (*memory.Page, error)
	pages []*memory.Page // nil where the bytes are on the heap
	data  [][]byte
	used  int
	held  int64
	over  bool // memory was refused, and the heap was used: the table must be written out
}

// take makes room for n bytes at the end.
func (a *bytesArena) take(n int) []byte {
	if len(a.data) == 0 || len(a.data[len(a.data)-1])-a.used < n {
		p, err := a.alloc(max(n, a.env.pageFor(a.held)))
		if err != nil {
			p, err = a.alloc(n)
		}
		if err == nil {
			a.data = append(a.data, p.Data)
			a.held += p.Size()
		} else {
			a.over = true
			a.data = append(a.data, make([]byte, max(n, firstPage)))
		}
		a.pages = append(a.pages, p)
		a.used = 0
	}
	a.used += n
	return a.data[len(a.data)-1][a.used-n : a.used : a.used]
}

// at returns what stands from a place on.
func (a *bytesArena) at(ref uint64) []byte { return a.data[ref>>32&(1<<24-1)][uint32(ref):] }

func (a *bytesArena) free(c *memory.Consumer) {
	for _, p := range a.pages {
		if p != nil {
			c.Free(p)
		}
	}
	*a = bytesArena{env: a.env, alloc: a.alloc, pages: a.pages[:0], data: a.data[:0]}
}
