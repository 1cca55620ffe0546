package engine

import (
	"fmt"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// ReduceByKey combines the values of each key with f, which must be
// associative and commutative. Map tasks combine what they have before they
// write it. K must be hashable (numbers, strings, byte arrays, and arrays and
// structs of those).
func ReduceByKey[K, V any](d *Dataset[Pair[K, V]], f func(a, b V) V, opts ...Option) *Dataset[Pair[K, V]] {
	return combine(d, "reduceByKey", spill.Reduce(f), opts)
}

// AggregateByKey combines the values of each key into another type: zero
// makes an empty state, seq adds a value to a state, comb merges two states.
// seq and comb must agree on what adding means (as in Spark).
func AggregateByKey[K, V, C any](d *Dataset[Pair[K, V]], zero func() C, seq func(C, V) C, comb func(a, b C) C, opts ...Option) *Dataset[Pair[K, C]] {
	agg := spill.Aggregate[V, C]{Add: seq, Merge: comb}
	if codec.IsPlain[C]() {
		agg.Zero = zero()
	} else { // states could share what zero returns
		agg.First = func(v V) C { return seq(zero(), v) }
	}
	return combine(d, "aggregateByKey", agg, opts)
}

// Folding is a batch of values, each beside the state of its key: see
// [AggregateByKeyBatches].
type Folding[V, C any] = spill.Folding[V, C]

// AggregateByKeyBatches is AggregateByKey a batch at a time: seq adds every
// value of a batch to the state of its key, in a loop of its own:
//
//	func(f engine.Folding[cell, group]) {
//		for i := range f.Len() {
//			g, c := f.State(i), f.Value(i)
//			g.Count, g.Sum = g.Count+1, g.Sum+c.Sum
//		}
//	}
//
// That pays where keys of a cached dataset are whole numbers close together,
// whose states are found without a search: with 100 keys a row then takes 2 ns
// of a core instead of 3. Elsewhere values come one at a time, each as a batch,
// which takes longer than a function that AggregateByKey calls.
//
// How values are divided into batches is not defined; batches are not empty.
// seq keeps neither the batch nor a pointer into it, and asks for no value
// behind the last: nobody checks.
// States must be plain: numbers, and arrays and structs of those.
func AggregateByKeyBatches[K, V, C any](d *Dataset[Pair[K, V]], zero func() C, seq func(Folding[V, C]), comb func(a, b C) C, opts ...Option) *Dataset[Pair[K, C]] {
	const name = "aggregateByKeyBatches"
	if !codec.IsPlain[C]() {
		panic(fmt.Sprintf("engine: %s at %s: states of %T are not plain", name, callSite(), *new(C)))
	}
	return combine(d, name, spill.Aggregate[V, C]{Zero: zero(), AddAll: seq, Merge: comb}, opts)
}

// Distinct keeps one of each group of equal records.
func Distinct[T any](d *Dataset[T], opts ...Option) *Dataset[T] {
	tagged := Map(d, func(v T) Pair[T, uint8] { return Pair[T, uint8]{Key: v} })
	return Keys(combine(tagged, "distinct", spill.Reduce(func(a, _ uint8) uint8 { return a }), opts)).named("distinct")
}

// combine aggregates by key on both sides of a shuffle.
func combine[K, V, C any](d *Dataset[Pair[K, V]], name string, agg spill.Aggregate[V, C], opts []Option) *Dataset[Pair[K, C]] {
	c := combinationOf[K](d, name, agg, opts)
	c.values, _ = codec.For[Pair[K, V]]()
	out := c.reading(d.op.s, name, func(t *Task, part int) (*task.MapStatus, error) {
		deal := dealOf(t.stage.bin.learnt(t.stage.bin.node), c.dep)
		w, err := shuffle.NewCombineWriter(t.g.shuffles, t.kernelEnv(), t.target(c.dep), c.key, c.agg, c.rows, deal)
		if err != nil {
			return nil, err
		}
		return writeAll(t, part, d, w)
	})
	if c.key.Binary.Direct && codec.KeyLeads[Pair[K, V]]() && codec.KeyLeads[Pair[K, C]]() {
		out.op.learnDeal(d.op, c.dep)
	}
	return out
}

// combination is an aggregation on both sides of a shuffle.
type combination[K, V, C any] struct {
	key    codec.Key[K]
	agg    spill.Aggregate[V, C]
	rows   codec.Codec[Pair[K, C]]
	values codec.Codec[Pair[K, V]] // of rows sent uncombined; nil: there are none
	dep    *plan.ShuffleDep
	out    *Dataset[Pair[K, C]]
}

func combinationOf[K, V, C, T any](d *Dataset[T], name string, agg spill.Aggregate[V, C], opts []Option) *combination[K, V, C] {
	o := options(d.op.s, opts)
	c := &combination[K, V, C]{key: mustKey[K](name), agg: agg, rows: mustCodec[Pair[K, C]](name), dep: shuffleOf(d, o.partitions)}
	c.dep.Combine = true
	return c
}

// reading makes the reading side, over what write writes.
func (c *combination[K, V, C]) reading(s *Session, name string, write mapWriter) *Dataset[Pair[K, C]] {
	c.out = newWide(s, name, []*plan.ShuffleDep{c.dep}, plan.Unordered, []mapWriter{write}, c.reduce)
	return c.out
}

// reduce merges what the map tasks have for a reducer.
func (c *combination[K, V, C]) reduce(t *Task, part int, emit func([]Pair[K, C]) error) error {
	a, err := spill.NewAggregator(t.kernelEnv(), "aggregation", c.key, c.agg)
	if err != nil {
		return err
	}
	defer a.Close()
	if size := int64(c.rows.Fixed()); size > 0 {
		bytes, err := t.fetchBytes(c.dep, part)
		if err != nil {
			return err
		}
		if c.values != nil && c.values.Fixed() > 0 {
			size = min(size, int64(c.values.Fixed()))
		}
		a.Expect(bytes / size)
		if deal := dealOf(t.stage.bin.learnt(c.out.op.node.ID), c.dep); deal != nil {
			// Half of a core's share, with the storage region full: the rest is
			// for what else the attempt does.
			if err := a.Dealt(*deal, part, bytes/size, t.g.memory.Total()/int64(4*t.g.slots)); err != nil {
				return err
			}
		}
	}
	partial, raw := takeBatch[Pair[K, C]](), takeBatch[Pair[K, V]]()
	defer partial.put()
	defer raw.put()
	err = t.fetch(c.dep, part, func(f *shuffle.Frame) error {
		if f.Uncombined {
			pairs, err := raw.decode(c.values, f.Data, f.Rows)
			if err != nil {
				return err
			}
			return a.Add(pairs)
		}
		pairs, err := partial.decode(c.rows, f.Data, f.Rows)
		if err != nil {
			return err
		}
		return a.Merge(pairs)
	})
	if err != nil {
		return err
	}
	return a.Emit(emit)
}
