package engine_test

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
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

// What batches add up is what a map says, wherever states are found: in arrays
// of dense keys, which are cached, and in tables of others.
func TestAggregateByKeyBatches(t *testing.T) {
	type sums struct{ Rows, Sum int64 }
	add := func(f engine.Folding[int64, sums]) {
		for i := range f.Len() {
			s := f.State(i)
			s.Rows++
			s.Sum += *f.Value(i)
		}
	}
	merge := func(a, b sums) sums { return sums{a.Rows + b.Rows, a.Sum + b.Sum} }
	for name, key := range map[string]func(i int64) int64{
		"few":    func(i int64) int64 { return i % 100 },
		"many":   func(i int64) int64 { return i*7919%40_009 - 500 },
		"sparse": func(i int64) int64 { return int64(uint64(i%3000) * 0x9e3779b97f4a7c15) },
	} {
		for _, cached := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/cached=%v", name, cached), func(t *testing.T) {
				s := open(t, engine.Config{Cores: 2})
				const rows = 90_000
				d := engine.Map(engine.Range(s, rows, 3), func(i int64) numbered { return numbered{Key: key(i), Value: i} })
				want := map[int64]sums{}
				for i := range int64(rows) {
					want[key(i)] = merge(want[key(i)], sums{1, i})
				}
				if cached {
					n, err := d.Persist(block.MemoryOnly).Count(t.Context())
					check(t, err, n, rows)
				}
				zero := func() sums { return sums{} }
				agree := func(got []engine.Pair[int64, sums], err error) {
					t.Helper()
					check(t, err, len(got), len(want))
					for _, p := range got {
						if p.Value != want[p.Key] {
							t.Fatalf("key %d: %v, want %v", p.Key, p.Value, want[p.Key])
						}
					}
				}
				agree(engine.AggregateByKeyBatches(d, zero, add, merge, engine.Partitions(5)).Collect(t.Context()))
				texts := engine.Map(d, func(p numbered) engine.Pair[string, int64] {
					return engine.Pair[string, int64]{Key: strconv.FormatInt(p.Key, 10), Value: p.Value}
				})
				agree(engine.Map(engine.AggregateByKeyBatches(texts, zero, add, merge, engine.Partitions(2)), func(p engine.Pair[string, sums]) engine.Pair[int64, sums] {
					k, _ := strconv.ParseInt(p.Key, 10, 64)
					return engine.Pair[int64, sums]{Key: k, Value: p.Value}
				}).Collect(t.Context()))
			})
		}
	}
	defer func() {
		if text := fmt.Sprint(recover()); !strings.Contains(text, "aggregateByKeyBatches at ") || !strings.Contains(text, "states of string are not plain") {
			t.Errorf("states that are not plain: %s", text)
		}
	}()
	s := open(t, engine.Config{})
	engine.AggregateByKeyBatches(engine.Parallelize(s, []numbered{}, 1), func() string { return "" }, func(engine.Folding[int64, string]) {}, func(a, b string) string { return a + b })
}
