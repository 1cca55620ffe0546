package engine_test

import (
	"fmt"
	"maps"
	"testing"

	"github.com/execbench/execbench/engine"
)

func TestReduceByKey(t *testing.T) {
	ctx := t.Context()
	var pairs []engine.Pair[string, int64]
	want, count := map[string]int64{}, map[string]int64{}
	for i := range 50000 {
		k := fmt.Sprintf("key-%d", i*7919%3001)
		pairs = append(pairs, engine.Pair[string, int64]{Key: k, Value: int64(i)})
		want[k] += int64(i)
		count[k]++
	}
	for _, parts := range []int{1, 2, 7} {
		s := open(t, engine.Config{})
		d := engine.Parallelize(s, pairs, 3)
		got, err := engine.ReduceByKey(d, func(a, b int64) int64 { return a + b }, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(got), len(want))
		m := map[string]int64{}
		for _, p := range got {
			m[p.Key] = p.Value
		}
		if !maps.Equal(m, want) {
			t.Errorf("reduceByKey over %d partitions differs", parts)
		}
		agg, err := engine.AggregateByKey(d, func() int64 { return 0 }, func(n, _ int64) int64 { return n + 1 },
			func(a, b int64) int64 { return a + b }, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(agg), len(count))
		for _, p := range agg {
			if p.Value != count[p.Key] {
				t.Fatalf("aggregateByKey of %s: %d, want %d", p.Key, p.Value, count[p.Key])
			}
		}
		n, err := engine.Distinct(engine.Keys(d), engine.Partitions(parts)).Count(ctx)
		check(t, err, int(n), len(want))
	}
}
