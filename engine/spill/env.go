package spill

import (
	"math/bits"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
)

// Env is what an attempt gives its kernels.
type Env struct {
	Memory *memory.Task  // the attempt's account; must be set
	Disk   *storage.Disk // where runs go; nil: spilling is an error
	// Metrics receive MemoryBytesSpilled, DiskBytesSpilled and SpillCount;
	// nil: nobody asks.
	Metrics *task.Metrics
	// Timer charges PartSpill while runs are written and read; nil: nobody
	// asks.
	Timer *task.Timer
	// Check returns an error once the attempt is to end; it is called once a
	// batch. nil: it never is.
	Check func() error
	// Compression of runs; nil: none.
	Compression codec.Compression
	// PageSize is the most bytes asked of the memory manager for rows at a
	// time; 0: 4 MiB. Tests make it small.
	PageSize int
}

// Pages are asked for in powers of two as far as that wastes little: those
// are sizes in which the manager has pages to reuse, and a first touch costs
// ten times what a second does.
const (
	defaultPage = 4 << 20  // from 2 MiB on the system may use huge pages
	firstPage   = 16 << 10 // the manager's smallest: most reducers of a small job need no more
	tableStep   = 16 << 20 // tables above it grow by multiples of it
)

// tableSize rounds the size of a table up to one that is likely to be reused.
func tableSize(n int) int {
	if n <= tableStep {
		return 1 << bits.Len(uint(max(n, firstPage)-1))
	}
	return (n + tableStep - 1) / tableStep * tableStep
}

// complete fills in what is nil, so that kernels need not ask.
func (e Env) complete() Env {
	if e.Metrics == nil {
		e.Metrics = new(task.Metrics)
	}
	if e.Timer == nil {
		e.Timer = new(task.Timer)
	}
	if e.Check == nil {
		e.Check = func() error { return nil }
	}
	if e.Compression == nil {
		e.Compression = codec.None
	}
	if e.PageSize == 0 {
		e.PageSize = defaultPage
	}
	return e
}

// pageFor returns how many bytes to ask for next after held bytes of rows:
// as much again, within the limits, so that a kernel wastes at most half of
// what it holds.
func (e *Env) pageFor(held int64) int {
	return int(min(max(held, firstPage), int64(max(e.PageSize, firstPage))))
}
