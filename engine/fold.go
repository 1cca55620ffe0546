package engine

import "github.com/execbench/execbench/engine/codec"

// AggregatePartitions adds the records of each partition up to one record:
// it starts from what zero returns and adds every record with seq. The
// partial results of a job over the whole dataset, one a partition, are then
// few enough to Collect. Other than with Fold, a task of it is data alone and
// can run in another process. seq must not keep views in v beyond its call
// unless they stay in what it returns.
func AggregatePartitions[T, U any](d *Dataset[T], zero func() U, seq func(acc U, v T) U) *Dataset[U] {
	return aggregateBatches(d, "aggregatePartitions", mustCodec[U]("AggregatePartitions"), zero, func(acc U, in []T) U {
		for i := range in {
			acc = seq(acc, in[i])
		}
		return acc
	})
}

// AggregateBatches is AggregatePartitions a batch at a time: seq adds all
// records of a batch, in a loop of its own. Where a record costs a few
// nanoseconds, that saves the call for each. How records are divided into
// batches is not defined; batches are not empty, and are valid until seq
// returns.
func AggregateBatches[T, U any](d *Dataset[T], zero func() U, seq func(acc U, batch []T) U) *Dataset[U] {
	return aggregateBatches(d, "aggregateBatches", mustCodec[U]("AggregateBatches"), zero, seq)
}

func aggregateBatches[T, U any](d *Dataset[T], name string, c codec.Codec[U], zero func() U, seq func(acc U, batch []T) U) *Dataset[U] {
	return derive(d, name, func(t *Task, part int, emit func([]U) error) error {
		acc := zero()
		err := d.each(t, part, func(in []T) (err error) {
			if len(in) == 0 {
				return nil
			}
			acc, err = reEncode(c, seq(acc, in), true)
			return err
		})
		if err != nil {
			return err
		}
		return emit([]U{acc})
	})
}
