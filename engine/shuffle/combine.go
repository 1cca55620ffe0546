package shuffle

import (
	"errors"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// ByKey sends pairs to reducers by the hash of their keys. What it returns is
// for one goroutine.
//
// It is not inlined: the compiler would copy its functions as they stand, with
// their calls.
//
//go:noinline
func ByKey[K, V any](key codec.Key[K], reducers int) Partitioner[codec.Pair[K, V]] {
	if key.Binary.Direct && key.Binary.Word {
		return func(dst []int32, rows []codec.Pair[K, V]) {
			if len(rows) > 0 {
				_ = dst[len(rows)-1]
				keys := codec.KeyColumn(rows)
				reducersOf(&dst[0], keys.First, keys.Stride, len(rows), reducers)
			}
		}
	}
	var hashes []uint64
	return func(dst []int32, rows []codec.Pair[K, V]) {
		if len(rows) == 0 {
			return
		}
		if len(hashes) < len(rows) {
			hashes = make([]uint64, len(rows))
		}
		key.Hashes(hashes[:len(rows)], codec.KeyColumn(rows))
		for i := range rows {
			dst[i] = codec.Reducer(hashes[i], reducers)
		}
	}
}

// reducersOfWords finds the reducers of keys that are words, a stride apart.
func reducersOfWords(dst []int32, keys unsafe.Pointer, stride uintptr, reducers int) {
	for i := range dst {
		dst[i] = codec.Reducer(codec.HashWord(*(*uint64)(unsafe.Add(keys, uintptr(i)*stride))), reducers)
	}
}

// ByDeal sends pairs to the reducers that their keys, of eight bytes, were
// dealt to, and keys that were not dealt where ByKey does.
//
//go:noinline
func ByDeal[K, V any](deal spill.Deal, reducers int) Partitioner[codec.Pair[K, V]] {
	return func(dst []int32, rows []codec.Pair[K, V]) {
		dst = dst[:len(rows)]
		d := deal
		for i := range rows {
			w := uint64(codec.Lead(&rows[i]))
			r, ok := d.Of(w)
			if !ok {
				r = codec.Reducer(codec.HashWord(w), reducers)
			}
			dst[i] = r
		}
	}
}

// CombineWriter writes a map task's pairs by the hash of their keys,
// aggregated as far as a table of bounded size allows: a reducer may get a
// key several times from one map task and merges what it gets. Where keys do
// not repeat, rows pass by the table.
//
// Such rows go as they came, in frames of their own, where that makes them
// shorter: a sum, a count and a mean of a row take half as many bytes again as
// the row. The reducer then adds values to its states.
type CombineWriter[K, V, C any] struct {
	combined[codec.Pair[K, C]]
	c *spill.Combiner[K, V, C]
}

// NewCombineWriter returns the writer of one map task's output. Close frees
// what it holds, also after Commit. deal says how keys are dealt out to the
// reducers; nil: by hash.
func NewCombineWriter[K, V, C any](m *Manager, env spill.Env, to Target, key codec.Key[K], a spill.Aggregate[V, C],
	pairs codec.Codec[codec.Pair[K, C]], deal *spill.Deal) (*CombineWriter[K, V, C], error) {
	w, err := NewWriter(m, env, to, ByKeyOrDeal[K, C](key, to.Reducers, deal), pairs)
	if err != nil {
		return nil, err
	}
	w.sums = nil // what is combined depends on the memory there is
	var pass func(rows []codec.Pair[K, V]) error
	if w.plain && codec.IsPlain[codec.Pair[K, V]]() && unsafe.Sizeof(codec.Pair[K, V]{}) < unsafe.Sizeof(codec.Pair[K, C]{}) {
		values := ByKeyOrDeal[K, V](key, to.Reducers, deal)
		pass = func(rows []codec.Pair[K, V]) error { return addUncombined(w, rows, values) }
	}
	c, err := spill.NewCombiner(env, "shuffle combine", key, a, deal, w.Add, pass)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return &CombineWriter[K, V, C]{combined[codec.Pair[K, C]]{w, c}, c}, nil
}

// Add folds in the pairs of one batch, which it does not keep.
func (w *CombineWriter[K, V, C]) Add(pairs []codec.Pair[K, V]) error { return w.c.Add(pairs) }

// combined is a map task's output that a table combines rows for.
type combined[T any] struct {
	w     *Writer[T]
	table interface {
		Flush() error
		Close() error
	}
}

// Commit ends the output and makes it known, as [Writer.Commit] does.
func (o *combined[T]) Commit() (*task.MapStatus, error) {
	if err := o.table.Flush(); err != nil {
		return nil, err
	}
	if err := o.table.Close(); err != nil { // before the output asks for room
		return nil, err
	}
	return o.w.Commit()
}

// Close frees what the writer holds. It is safe to call twice.
func (o *combined[T]) Close() error {
	return errors.Join(o.table.Close(), o.w.Close())
}

// ByKeyOrDeal is ByDeal, or ByKey where there is no deal.
func ByKeyOrDeal[K, V any](key codec.Key[K], reducers int, deal *spill.Deal) Partitioner[codec.Pair[K, V]] {
	if deal != nil {
		return ByDeal[K, V](*deal, reducers)
	}
	return ByKey[K, V](key, reducers)
}
