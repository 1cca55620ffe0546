package engine

// AggregatePartitions adds the records of each partition up to one record:
// it starts from what zero returns and adds every record with seq. The
// partial results of a job over the whole dataset, one a partition, are then
// few enough to Collect. Other than with Fold, a task of it is data alone and
// can run in another process. seq must not keep views in v beyond its call
// unless they stay in what it returns.
func AggregatePartitions[T, U any](d *Dataset[T], zero func() U, seq func(acc U, v T) U) *Dataset[U] {
	c := mustCodec[U]("AggregatePartitions")
	return derive(d, "aggregatePartitions", func(t *Task, part int, emit func([]U) error) error {
		acc := zero()
		err := d.each(t, part, func(in []T) (err error) {
			sum := acc // a local one, which stays in registers
			for i := range in {
				sum = seq(sum, in[i])
			}
			acc, err = reEncode(c, sum, true)
			return err
		})
		if err != nil {
			return err
		}
		return emit([]U{acc})
	})
}
