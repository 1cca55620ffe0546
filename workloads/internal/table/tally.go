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
	// Fold adds a row to the state of its key.
	Fold func(state *S, row S)
	// Done gets every key with its state, each once in all passes.
	Done func(key string, state *S)

	mu      sync.Mutex
	entries map[string]*S
	held    int64
	limit   int64
	from    uint64 // range of hashes of this pass
	to      uint64 // the last one
}

// entryBytes is about what a key costs beside its letters and its state.
const entryBytes = 80

// stateBytes is what a state is taken to need: a few numbers.
const stateBytes = 48

// addBatch is how many rows a worker collects before it adds them.
const addBatch = 512

// Run makes the passes. What it holds at once is about memory bytes.
func (t *Tally[S]) Run(ctx context.Context, workers int, memory int64) error {
	t.limit = max(memory, 1<<16)
	for t.from = 0; ; t.from = t.to + 1 {
		t.entries, t.held, t.to = map[string]*S{}, 0, ^uint64(0)
		batches := make([]batch[S], workers)
		err := t.Read(func(w int, key []byte, row S) {
			if h := xxh3.Hash(key); h < t.from {
				return
			}
			b := &batches[w]
			b.keys = append(b.keys, key...)
			b.ends = append(b.ends, len(b.keys))
			if b.rows = append(b.rows, row); len(b.rows) == addBatch {
				t.add(b)
			}
		})
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for i := range batches {
			t.add(&batches[i])
		}
		for k, s := range t.entries {
			t.Done(k, s)
		}
		if t.to == ^uint64(0) {
			t.entries = nil
			return nil
		}
	}
}

type batch[S any] struct {
	keys []byte
	ends []int
	rows []S
}

func (t *Tally[S]) add(b *batch[S]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := 0
	for i, end := range b.ends {
		key := b.keys[from:end]
		from = end
		s := t.entries[string(key)]
		if s == nil {
			if xxh3.Hash(key) > t.to {
				continue
			}
			s = new(S)
			t.entries[string(key)] = s
			t.held += entryBytes + stateBytes + int64(len(key))
		}
		t.Fold(s, b.rows[i])
		for t.held > t.limit && t.to > t.from {
			t.halve()
		}
	}
	b.keys, b.ends, b.rows = b.keys[:0], b.ends[:0], b.rows[:0]
}

// halve lets the upper half of the hashes go. The map does not shrink, so
// the keys that stay move to a new one.
func (t *Tally[S]) halve() {
	t.to = t.from + (t.to-t.from)/2
	kept := make(map[string]*S, len(t.entries)/2)
	t.held = 0
	for k, s := range t.entries {
		if xxh3.HashString(k) <= t.to {
			kept[k] = s
			t.held += entryBytes + stateBytes + int64(len(k))
		}
	}
	t.entries = kept
}

// Workers returns how many goroutines a verifier may scan with, and how much
// memory is left for its tally: half of the budget at least is for that.
func Workers(g workloads.Gen) (workers int, memory int64) {
	workers = g.Workers(2 * ScanBytes)
	return workers, max(g.Budget()-int64(workers)*ScanBytes, g.Budget()/2)
}
