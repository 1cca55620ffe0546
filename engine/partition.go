package engine

import (
	"fmt"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
)

// PartitionBy moves every record to the partition that partition names, from
// 0 to n-1; another number fails the job. Partitions below 1 means the
// default parallelism. Datasets partitioned alike can be joined by
// ZipPartitions.
func PartitionBy[T any](d *Dataset[T], n int, partition func(T) int) *Dataset[T] {
	dep, c, w := partitionSide(d, "PartitionBy", n, partition)
	level := max(d.op.node.Determinism, plan.Unordered)
	return newWide(d.op.s, "partitionBy", []*plan.ShuffleDep{dep}, level, []mapWriter{w},
		func(t *Task, part int, emit func([]T) error) error { return fetchRows(t, dep, c, part, emit) })
}

// PartitionAndSortBy is PartitionBy with the records of each partition sorted
// by a key, in memory or by runs on disk: Spark's
// repartitionAndSortWithinPartitions. Records of equal keys stand together,
// in no promised order.
func PartitionAndSortBy[T, K any](d *Dataset[T], n int, partition func(T) int, key func(T) K) *Dataset[T] {
	order := spill.By(mustKey[K]("PartitionAndSortBy"), key)
	dep, c, w := partitionSide(d, "PartitionAndSortBy", n, partition)
	level := max(d.op.node.Determinism, plan.Unordered)
	return newWide(d.op.s, "partitionAndSortBy", []*plan.ShuffleDep{dep}, level, []mapWriter{w},
		func(t *Task, part int, emit func([]T) error) error {
			s := spill.NewSorter(t.kernelEnv(), "sort", c, order)
			defer s.Close()
			if err := t.fetch(dep, part, func(f *shuffle.Frame) error { return s.AddFrame(f.Data, f.Rows, f.Pin) }); err != nil {
				return err
			}
			return s.Sorted(emit)
		})
}

// partitionSide makes the map side of a shuffle by a function of the record.
func partitionSide[T any](d *Dataset[T], operation string, n int, partition func(T) int) (*plan.ShuffleDep, codec.Codec[T], mapWriter) {
	c := mustCodec[T](operation)
	dep := shuffleOf(d, d.op.s.parts(n))
	reducers := dep.Reducers
	return dep, c, partitioned(d, dep, c, func(*Task, int) (shuffle.Partitioner[T], error) {
		return func(dst []int32, rows []T) {
			for i := range rows {
				p := partition(rows[i])
				if uint(p) >= uint(reducers) {
					panic(fmt.Sprintf("a record goes to partition %d of %d", p, reducers))
				}
				dst[i] = int32(p)
			}
		}, nil
	})
}
