package table

import (
	"context"
	"sync"

	"github.com/zeebo/xxh3"

	"github.com/execbench/execbench/workloads"
)

// Tally adds up rows by key in bounded memory. It keeps the keys of one range
// of hashes at a time; where they are too many, it halves the range, and
// makes further passes over the input for what it let go.
type Tally[S any] struct {
	// Read scans the whole input and adds every row; it is called once a
	// pass. A worker's additions follow one another.
	Read func(add func(worker int, key []byte, row S)) error
	// Fold adds a row to the state of its key, which is zero at first.
	Fold func(state *S, row S)
	// Done gets every key with its state, each once in all passes. The key is
	// valid until it returns.
	Done func(key []byte, state *S)

	mu    sync.Mutex
	table entries[S]
	from  uint64 // range of hashes of this pass
	to    uint64 // the last one
}

// addBatch is how many rows a worker collects before it adds them.
const addBatch = 512

// Run makes the passes. What it holds at once is about memory bytes, and a
// few hundred kilobytes however little that is.
func (t *Tally[S]) Run(ctx context.Context, workers int, memory int64) error {
	for t.from = 0; ; t.from = t.to + 1 {
		t.to = ^uint64(0)
		t.table.reset()
		batches := make([]batch[S], workers)
		err := t.Read(func(w int, key []byte, row S) {
			h := xxh3.Hash(key)
			if h < t.from {
				return
			}
			b := &batches[w]
			b.keys = append(b.keys, key...)
			b.rows = append(b.rows, batched[S]{h, len(b.keys), row})
			if len(b.rows) == addBatch {
				t.add(b, memory)
			}
		})
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for i := range batches {
			t.add(&batches[i], memory)
		}
		t.table.each(func(e *entry[S]) { t.Done(t.table.key(e), &e.state) })
		if t.to == ^uint64(0) {
			return nil
		}
	}
}

// batch is what one worker has collected.
type batch[S any] struct {
	keys []byte // one after the other
	rows []batched[S]
}

type batched[S any] struct {
	hash uint64
	end  int // of the key
	row  S
}

func (t *Tally[S]) add(b *batch[S], memory int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := 0
	for i := range b.rows {
		r := &b.rows[i]
		key := b.keys[from:r.end]
		from = r.end
		if r.hash <= t.to {
			t.Fold(t.table.find(r.hash, key), r.row)
		}
	}
	b.keys, b.rows = b.keys[:0], b.rows[:0]
	for t.table.bytes() > memory && t.table.n > entryChunk && t.to > t.from {
		t.to = t.from + (t.to-t.from)/2
		t.table.keep(t.to)
	}
}

// Workers returns how many goroutines a verifier may scan with, and how much
// memory is left for its tally: half of the budget at least is for that.
func Workers(g workloads.Gen) (workers int, memory int64) {
	workers = g.Workers(2 * ScanBytes)
	return workers, max(g.Budget()-int64(workers)*ScanBytes, g.Budget()/2)
}
