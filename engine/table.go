package engine

import (
	"fmt"
	"unsafe"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// Table is a fixed number of rows that user code holds beside its batches:
// sums by index, say, or the small side of a join. Its memory is a page of
// the attempt's, not of the Go heap: the collector does not see it, and the
// page was touched by tasks before and will serve tasks after. A new table of
// 4 MiB on the heap costs a collection every few tasks, and on a virtual
// machine up to 25 times as much for its first touch.
type Table[T any] struct {
	// Rows are zero at first. They are not to be used after Release.
	Rows []T
	c    *memory.Consumer
}

// NewTable reserves a table of n rows under a name and makes it. Other
// consumers of the attempt spill if they must; if that does not suffice the
// error wraps ErrNoMemory. T holds no pointers. The caller releases the
// table; what is not released is reported as a leak.
func NewTable[T any](t *Task, name string, n int) (*Table[T], error) {
	if !codec.IsPlain[T]() {
		panic(fmt.Sprintf("engine: NewTable of %T: only types without pointers can lie in a page", *new(T)))
	}
	table := &Table[T]{c: t.Memory().Consumer(name, nil)}
	size := int(unsafe.Sizeof(*new(T)))
	if n == 0 || size == 0 {
		table.Rows = make([]T, n)
		return table, nil
	}
	p, err := table.c.Alloc(n * size)
	if err != nil {
		table.c.Close()
		return nil, err
	}
	table.Rows = codec.View[T](p.Data[: n*size : n*size])
	clear(table.Rows)
	return table, nil
}

// Release gives the memory back. It is safe to call twice.
func (t *Table[T]) Release() {
	t.Rows = nil
	t.c.Close()
}
