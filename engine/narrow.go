package engine

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/execbench/execbench/engine/plan"
)

// Narrow transformations: a partition of the result is computed from few
// partitions of the input, in the same task and in the same pass. They build
// and run nothing. The functions given to them are called by several tasks
// at once and share what they capture (Spark would copy it).

// Map applies f to every record.
func Map[T, U any](d *Dataset[T], f func(T) U) *Dataset[U] {
	return derive(d, "map", func(t *Task, part int, emit func([]U) error) error {
		buf := takeBatch[U]()
		defer buf.put()
		return d.each(t, part, func(in []T) error {
			out := buf.rows[:0]
			for i := range in {
				out = append(out, f(in[i]))
			}
			buf.rows = out
			return emit(out)
		})
	})
}

// Filter keeps the records for which keep is true.
func Filter[T any](d *Dataset[T], keep func(T) bool) *Dataset[T] {
	return derive(d, "filter", func(t *Task, part int, emit func([]T) error) error {
		buf := takeBatch[T]()
		defer buf.put()
		return d.each(t, part, func(in []T) error {
			out := buf.rows[:0]
			for i := range in {
				if keep(in[i]) {
					out = append(out, in[i])
				}
			}
			buf.rows = out
			if len(out) == 0 {
				return nil
			}
			return emit(out)
		})
	})
}

// FlatMap lets f append any number of records for each record. f must append
// to dst and return it, and keep neither. What f returns may be views into
// its argument: they stay valid as long as the batch does.
func FlatMap[T, U any](d *Dataset[T], f func(dst []U, v T) []U) *Dataset[U] {
	return derive(d, "flatMap", func(t *Task, part int, emit func([]U) error) error {
		buf := takeBatch[U]()
		defer buf.put()
		return d.each(t, part, func(in []T) error {
			out := buf.rows[:0]
			for i := range in {
				out = f(out, in[i])
				if len(out) >= batchRows {
					if err := emit(out); err != nil {
						return err
					}
					buf.rows, out = out, out[:0]
				}
			}
			buf.rows = out
			if len(out) == 0 {
				return nil
			}
			return emit(out)
		})
	})
}

// MapBatches hands whole batches to f, which appends its output to dst and
// returns it. src and dst are valid until f returns. f may keep state only
// by reserving it (Task.Reserve).
func MapBatches[T, U any](d *Dataset[T], f func(t *Task, dst []U, src []T) ([]U, error)) *Dataset[U] {
	return derive(d, "mapBatches", func(t *Task, part int, emit func([]U) error) error {
		buf := takeBatch[U]()
		defer buf.put()
		return d.each(t, part, func(in []T) error {
			out, err := f(t, buf.rows[:0], in)
			if err != nil {
				return err
			}
			buf.rows = out
			if len(out) == 0 {
				return nil
			}
			return emit(out)
		})
	})
}

// KeyBy pairs every record with its key.
func KeyBy[K, T any](d *Dataset[T], key func(T) K) *Dataset[Pair[K, T]] {
	return Map(d, func(v T) Pair[K, T] { return Pair[K, T]{Key: key(v), Value: v} }).named("keyBy")
}

// MapValues applies f to every value and keeps the keys.
func MapValues[K, V, W any](d *Dataset[Pair[K, V]], f func(V) W) *Dataset[Pair[K, W]] {
	return Map(d, func(p Pair[K, V]) Pair[K, W] { return Pair[K, W]{Key: p.Key, Value: f(p.Value)} }).named("mapValues")
}

// Keys drops the values.
func Keys[K, V any](d *Dataset[Pair[K, V]]) *Dataset[K] {
	return Map(d, func(p Pair[K, V]) K { return p.Key }).named("keys")
}

// Values drops the keys.
func Values[K, V any](d *Dataset[Pair[K, V]]) *Dataset[V] {
	return Map(d, func(p Pair[K, V]) V { return p.Value }).named("values")
}

// Union puts the partitions of several datasets side by side; duplicates
// stay.
func Union[T any](first *Dataset[T], more ...*Dataset[T]) *Dataset[T] {
	all := append([]*Dataset[T]{first}, more...)
	starts := make([]int, len(all)+1)
	var deps []plan.Dep
	level := plan.Determinate
	for i, d := range all {
		if d.op.s.core != first.op.s.core {
			panic("engine: Union of datasets of different sessions")
		}
		starts[i+1] = starts[i] + d.Partitions()
		from, to := starts[i], starts[i+1]
		deps = append(deps, &plan.NarrowDep{Parent: d.op.node, Parts: func(part int) []int {
			if part < from || part >= to {
				return nil
			}
			return []int{part - from}
		}})
		level = max(level, d.op.node.Determinism)
	}
	return newDataset(first.op.s, nodeSpec{
		name: "union", parts: starts[len(all)], deps: deps, determinism: level, barrier: first.op.node.Barrier,
	}, func(t *Task, part int, emit func([]T) error) error {
		for i, d := range all {
			if part < starts[i+1] {
				return d.each(t, part-starts[i], emit)
			}
		}
		return fmt.Errorf("cannot compute partition %d of a union of %d partitions", part, starts[len(all)])
	})
}

// Coalesce lowers the number of partitions to n without a shuffle: each new
// partition reads neighbouring old ones. With n at or above the present
// number the dataset is returned as it is; to raise it, use Repartition.
func Coalesce[T any](d *Dataset[T], n int) *Dataset[T] {
	old := d.Partitions()
	if n < 1 {
		panic(fmt.Sprintf("engine: Coalesce to %d partitions", n))
	}
	if n >= old {
		return d
	}
	span := func(part int) (from, to int) { return part * old / n, (part + 1) * old / n }
	return newDataset(d.op.s, nodeSpec{
		name: "coalesce", parts: n, determinism: d.op.node.Determinism, barrier: d.op.node.Barrier,
		deps: []plan.Dep{&plan.NarrowDep{Parent: d.op.node, Parts: func(part int) []int {
			from, to := span(part)
			parts := make([]int, 0, to-from)
			for p := from; p < to; p++ {
				parts = append(parts, p)
			}
			return parts
		}}},
	}, func(t *Task, part int, emit func([]T) error) error {
		from, to := span(part)
		for p := from; p < to; p++ {
			if err := d.each(t, p, emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// Sample keeps each record with probability fraction, independently. The
// same seed keeps the same records of the same partition.
func Sample[T any](d *Dataset[T], fraction float64, seed uint64) *Dataset[T] {
	if !(fraction >= 0 && fraction <= 1) {
		panic(fmt.Sprintf("engine: Sample of fraction %v: it must lie in [0, 1]", fraction))
	}
	level := d.op.node.Determinism
	if level == plan.Unordered {
		level = plan.Indeterminate // which record is the k-th differs from run to run
	}
	return deriveAs(d, nodeSpec{name: "sample", determinism: level}, func(t *Task, part int, emit func([]T) error) error {
		if fraction == 0 {
			return nil
		}
		rng := rand.New(rand.NewPCG(seed, uint64(part)))
		// Gaps between kept records are geometric: one draw a kept record
		// instead of one a record.
		gap := func() int64 {
			if fraction == 1 {
				return 0
			}
			g := math.Log(1-rng.Float64()) / math.Log1p(-fraction)
			return int64(min(g, math.MaxInt64/2))
		}
		skip := gap()
		buf := takeBatch[T]()
		defer buf.put()
		return d.each(t, part, func(in []T) error {
			out := buf.rows[:0]
			n := int64(len(in))
			for skip < n {
				out = append(out, in[skip])
				skip += 1 + gap()
			}
			skip -= n
			buf.rows = out
			if len(out) == 0 {
				return nil
			}
			return emit(out)
		})
	})
}

// derive makes a dataset over the same partitions as d, one to one.
func derive[T, U any](d *Dataset[T], name string, run compute[U]) *Dataset[U] {
	return deriveAs(d, nodeSpec{name: name, determinism: d.op.node.Determinism}, run)
}

func deriveAs[T, U any](d *Dataset[T], spec nodeSpec, run compute[U]) *Dataset[U] {
	spec.parts = d.Partitions()
	spec.barrier = d.op.node.Barrier
	spec.deps = []plan.Dep{&plan.NarrowDep{Parent: d.op.node}}
	return newDataset(d.op.s, spec, run)
}

// Barrier makes the stage that computes the dataset a barrier stage: all its
// tasks run at once or none does, they may wait for each other
// (Task.Barrier, Task.AllGather), and if one fails, all run again. The stage
// needs as many workers as it has partitions.
func Barrier[T any](d *Dataset[T]) *Dataset[T] {
	out := derive(d, "barrier", func(t *Task, part int, emit func([]T) error) error { return d.each(t, part, emit) })
	out.op.node.Barrier = true
	return out
}
