package engine

import (
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

// CountByValue pairs each distinct record with how often it occurs. It is a
// transformation, where Spark has an action of the name: groupBy(…).count() is
// the like of it there. T must be hashable, as the keys of ReduceByKey, which
// with a one beside each record gives the same in more time: here the kernel
// counts, without a value to carry and a function to call.
func CountByValue[T any](d *Dataset[T], opts ...Option) *Dataset[Pair[T, int64]] {
	const name = "countByValue"
	c := combinationOf[T](d, name, spill.Count(), opts)
	return c.reading(d.op.s, name, func(t *Task, part int) (*task.MapStatus, error) {
		w, err := shuffle.NewCountWriter(t.g.shuffles, t.kernelEnv(), t.target(c.dep), c.key, c.rows)
		if err != nil {
			return nil, err
		}
		return writeAll(t, part, d, w)
	})
}
