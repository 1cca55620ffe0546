package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// BenchmarkJoin joins rows in memory and adds the matches up: with a table of
// the small side that all tasks share, or with both sides shuffled. Time is
// for each row of the large side.
func BenchmarkJoin(b *testing.B) {
	const large, small, parts = 10_000_000, 1_000_000, 16
	type row = engine.Pair[int64, int64]
	for _, keys := range []string{"dense", "sparse"} {
		key := func(i int64) int64 { return i }
		if keys == "sparse" {
			key = func(i int64) int64 { return int64(uint64(i+1) * 0x9e3779b97f4a7c15 >> 1) }
		}
		lefts, rights := make([]row, large), make([]row, small)
		for i := range lefts {
			lefts[i] = row{Key: key(int64(uint64(i) * 0x9e3779b97f4a7c15 >> 20 % small)), Value: int64(i)}
		}
		for i := range rights {
			rights[i] = row{Key: key(int64(i * 7919 % small)), Value: int64(i)}
		}
		for _, held := range []units.Bytes{0, 64 * units.MiB} {
			b.Run(fmt.Sprintf("keys=%s/held=%v", keys, held > 0), func(b *testing.B) {
				s := open(b, engine.Config{Memory: 4 * units.GiB, Conf: conf("sql.autoBroadcastJoinThreshold", fmt.Sprint(int64(held)))})
				perRecord(b, large, large*16, func() {
					round := s.Scope()
					defer round.Release()
					d := engine.Join(engine.Parallelize(round, lefts, parts), engine.Parallelize(round, rights, parts), engine.Partitions(64))
					sums, err := engine.AggregatePartitions(d, func() int64 { return 0 }, func(n int64, m engine.Pair[int64, engine.Joined[int64, int64]]) int64 {
						return n + m.Value.Left + m.Value.Right
					}).Collect(context.Background())
					total := int64(0)
					for _, n := range sums {
						total += n
					}
					if err != nil || total == 0 {
						b.Fatal(total, err)
					}
				})
			})
		}
	}
}
