package engine

import (
	"fmt"

	"github.com/execbench/execbench/engine/plan"
)

// MapPartitions hands whole partitions to f. each pushes the partition's
// batches to its argument; it may be called once, or not at all. f pushes its
// output to emit, in batches that it may use again when emit returns. An
// error from emit, or one that each returns, must be returned at once. part
// is the partition's number. What f holds beside its batches it reserves
// (Task.Reserve).
func MapPartitions[T, U any](d *Dataset[T], f func(t *Task, part int, each func(func([]T) error) error, emit func([]U) error) error) *Dataset[U] {
	return derive(d, "mapPartitions", func(t *Task, part int, emit func([]U) error) error {
		return f(t, part, func(in func([]T) error) error { return d.each(t, part, in) }, emit)
	})
}

// ZipPartitions computes each partition of the result from the partitions of
// the same number of two datasets, without a shuffle. Both must have as many
// partitions. That records which belong together lie in partitions of one
// number is the caller's affair (PartitionBy both sides alike): so a large
// side, partitioned and cached once, is joined again and again with others
// and never moves.
//
// each of a and of b pushes the partition's batches, as in MapPartitions. f
// may read them in either order, one inside the other not: it reads one side
// to its end, keeps what it needs of it, and goes on to the other.
func ZipPartitions[A, B, U any](a *Dataset[A], b *Dataset[B],
	f func(t *Task, part int, a func(func([]A) error) error, b func(func([]B) error) error, emit func([]U) error) error) *Dataset[U] {
	if a.op.s.core != b.op.s.core {
		panic("engine: ZipPartitions of datasets of different sessions")
	}
	if a.Partitions() != b.Partitions() {
		panic(fmt.Sprintf("engine: ZipPartitions of %d and %d partitions", a.Partitions(), b.Partitions()))
	}
	return newDataset(a.op.s, nodeSpec{
		name: "zipPartitions", parts: a.Partitions(),
		deps:        []plan.Dep{&plan.NarrowDep{Parent: a.op.node}, &plan.NarrowDep{Parent: b.op.node}},
		determinism: max(a.op.node.Determinism, b.op.node.Determinism),
		barrier:     a.op.node.Barrier || b.op.node.Barrier,
	}, func(t *Task, part int, emit func([]U) error) error {
		return f(t, part,
			func(in func([]A) error) error { return a.each(t, part, in) },
			func(in func([]B) error) error { return b.each(t, part, in) }, emit)
	})
}
