package spill

import (
	"errors"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/memory"
)

// drain says where partial results go when a table is full, and when it is.
type drain[K, V, C any] struct {
	emit   func([]codec.Pair[K, C]) error
	pass   func([]codec.Pair[K, V]) error // takes rows that bypass the table; nil: they become partial results
	bypass int64                          // rows still to be passed on without a look at their keys
	times  int64                          // how many times as many those are the next time; 0: bypassTimes
}

const (
	// combineMax is the largest table of a map task. Beyond the third-level
	// cache a lookup costs what it costs to send the row on and look it up
	// in the reducer, whose table is smaller by their number.
	combineMax = 16 << 20
	// combineLook is the size of the table at which it is first asked
	// whether keys repeat: some thousands of them.
	combineLook = 256 << 10
	// bypassTimes is for how many times as many rows nobody asks again. If
	// they do not repeat then either, it is four times as many.
	bypassTimes = 15
	bypassMost  = 16 * bypassTimes
)

// full reports whether a table that wants to grow should be emptied instead:
// when it is as large as it may be, or when fewer than one row in four found
// its key there. In the latter case the rows that follow bypass it.
func (d *drain[K, V, C]) full(tableBytes, rows, keys int64) bool {
	if tableBytes < combineLook {
		return false
	}
	if keys > rows/4*3 {
		d.times = max(d.times, bypassTimes)
		d.bypass = d.times * rows
		d.times = min(4*d.times, bypassMost)
		return true
	}
	d.times = 0
	return tableBytes >= combineMax
}

// drainTable passes all partial results on.
func (g *aggregating[K, V, C, S, W]) drainTable() error {
	if g.table == nil {
		return nil
	}
	for at := 0; at >= 0; {
		var out []codec.Pair[K, C]
		if g.direct != nil {
			out, at = g.direct.readPairs(g.pairs(tableBatch)[:0], at)
		} else {
			var err error
			if at, err = g.readRows(at); err != nil {
				return err
			}
			out = g.convert(g.rows)
		}
		if len(out) > 0 {
			if err := g.drain.emit(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass passes pairs on as they are, or each as a partial result of its own.
func (g *aggregating[K, V, C, S, W]) pass(pairs []codec.Pair[K, V]) error {
	if g.drain.pass != nil {
		g.drain.bypass -= int64(len(pairs))
		return g.drain.pass(pairs)
	}
	for len(pairs) > 0 {
		n := min(len(pairs), tableBatch)
		out := g.pairs(n)
		if g.agg.First != nil {
			for i := range out {
				out[i] = codec.Pair[K, C]{Key: pairs[i].Key, Value: g.agg.First(pairs[i].Value)}
			}
		} else {
			for i := range out {
				out[i] = codec.Pair[K, C]{Key: pairs[i].Key, Value: g.agg.Add(g.agg.Zero, pairs[i].Value)}
			}
		}
		if err := g.drain.emit(out); err != nil {
			return err
		}
		g.drain.bypass -= int64(n)
		pairs = pairs[n:]
	}
	return g.env.Check()
}

// Combiner aggregates what it can in a table of bounded size and passes
// partial results on: a key may come out several times. Where keys do not
// repeat it stops looking them up for a while.
type Combiner[K, V, C any] struct{ impl combining[K, V] }

type combining[K, V any] interface {
	add(pairs []codec.Pair[K, V]) error
	drainTable() error
	close() error
}

// NewCombiner returns a combiner that passes partial results to emit, in
// batches valid during the call. Where keys do not repeat, pairs go to pass as
// they came; if it is nil, each becomes a partial result. deal says how the
// keys are dealt out to reducers; nil: by hash.
func NewCombiner[K, V, C any](env Env, name string, key codec.Key[K], a Aggregate[V, C], deal *Deal,
	emit func([]codec.Pair[K, C]) error, pass func([]codec.Pair[K, V]) error) (*Combiner[K, V, C], error) {
	a = addable(a)
	g, err := newAggregation[K](env, name, key, a, &drain[K, V, C]{emit: emit, pass: pass})
	if err != nil {
		return nil, err
	}
	c := &Combiner[K, V, C]{g.(combining[K, V])}
	if deal != nil && nearFits[C](key, *deal) {
		n, err := newNear(env, name, a, *deal, emit, c.impl)
		switch {
		case err == nil:
			c.impl = n
		case !errors.Is(err, memory.ErrNoMemory):
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Add folds pairs in; it keeps none of them.
func (c *Combiner[K, V, C]) Add(pairs []codec.Pair[K, V]) error { return c.impl.add(pairs) }

// Flush passes on what is in the table. Only Close may follow.
func (c *Combiner[K, V, C]) Flush() error { return c.impl.drainTable() }

// Close frees all memory.
func (c *Combiner[K, V, C]) Close() error { return c.impl.close() }
