package engine

import (
	"reflect"
	"sync"

	"github.com/execbench/execbench/engine/codec"
)

// batchRows is the number of records after which an operator that can grow
// its output hands it on: large enough that the call between operators costs
// nothing a record, small enough that a batch of string views (64 KiB) stays
// in a core's second-level cache.
const batchRows = 4096

// batch is an operator's output buffer. Buffers are recycled between
// attempts, so a warm task allocates none.
type batch[T any] struct{ rows []T }

// pools holds one pool a record type; there are as many types as the program
// text names, so it stays small.
var pools sync.Map // reflect.Type → *sync.Pool

func takeBatch[T any]() *batch[T] {
	key := reflect.TypeFor[T]()
	p, ok := pools.Load(key)
	if !ok {
		p, _ = pools.LoadOrStore(key, &sync.Pool{New: func() any { return new(batch[T]) }})
	}
	return p.(*sync.Pool).Get().(*batch[T])
}

// maxKeptRows bounds what a recycled buffer may hold on to.
const maxKeptRows = 1 << 16

func (b *batch[T]) put() {
	if cap(b.rows) > maxKeptRows {
		b.rows = nil
	}
	b.rows = b.rows[:0]
	p, _ := pools.Load(reflect.TypeFor[T]())
	p.(*sync.Pool).Put(b)
}

// decode returns the n rows encoded in data: a view of data where rows lie
// there as they do in memory, else decoded into the buffer. Either is valid
// as long as data is and until the next call.
func (b *batch[T]) decode(c codec.Codec[T], data []byte, n int) ([]T, error) {
	if rows := codec.View[T](data); rows != nil && len(rows) == n {
		return rows, nil
	}
	var err error
	b.rows, _, err = c.Decode(b.rows[:0], data, n)
	return b.rows, err
}
