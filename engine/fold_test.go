package engine_test

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine"
)

func TestAggregatePartitions(t *testing.T) {
	s := open(t, engine.Config{})
	type sum struct{ N, Total int64 }
	d := engine.AggregatePartitions(engine.Range(s, 100000, 7), func() sum { return sum{} },
		func(a sum, v int64) sum { return sum{a.N + 1, a.Total + v} })
	parts, err := d.Collect(t.Context())
	check(t, err, len(parts), 7)
	var all sum
	for _, p := range parts {
		all = sum{all.N + p.N, all.Total + p.Total}
	}
	check(t, nil, all, sum{100000, 100000 * 99999 / 2})

	batches, err := engine.AggregateBatches(engine.Range(s, 100000, 7), func() sum { return sum{} }, func(a sum, batch []int64) sum {
		if len(batch) == 0 {
			t.Error("an empty batch")
		}
		for _, v := range batch {
			a = sum{a.N + 1, a.Total + v}
		}
		return a
	}).Collect(t.Context())
	check(t, err, slices.Equal(batches, parts), true)

	// Views do not outlive their batch; a partition without records has zero.
	texts := engine.FromFunc(s, "texts", 2, func(_ *engine.Task, part int, emit func([]string) error) error {
		buf := make([]byte, 0, 8)
		for i := 0; part == 0 && i < 3000; i++ {
			buf = append(buf[:0], byte('a'+i*7%26), 'x')
			if err := emit([]string{unsafe.String(&buf[0], len(buf))}); err != nil {
				return err
			}
		}
		return nil
	})
	last := engine.AggregatePartitions(texts, func() string { return "none" }, func(acc, v string) string {
		if acc == "none" || v > acc {
			return v
		}
		return acc
	})
	got, err := last.Collect(t.Context())
	check(t, err, strings.Join(got, " "), "zx none")
	firsts := engine.AggregateBatches(texts, func() string { return "" }, func(acc string, batch []string) string { return max(acc, batch[0]) })
	got, err = firsts.Collect(t.Context())
	check(t, err, strings.Join(got, " "), "zx ")
}
