package engine_test

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/units"
)

// groupSums aggregates rows in two ways and returns the sums and the keys of
// each partition.
func groupSums(t *testing.T, d *engine.Dataset[numbered], parts int) (sums map[int64]int64, sizes []int64) {
	t.Helper()
	type stats struct{ Count, Sum int64 }
	reduced := engine.ReduceByKey(d, func(a, b int64) int64 { return a + b }, engine.Partitions(parts))
	rows, err := reduced.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sums = map[int64]int64{}
	for _, r := range rows {
		if _, twice := sums[r.Key]; twice {
			t.Errorf("key %d came out twice", r.Key)
		}
		sums[r.Key] = r.Value
	}
	sizes, err = engine.AggregatePartitions(reduced, func() int64 { return 0 }, func(n int64, _ numbered) int64 { return n + 1 }).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	means, err := engine.AggregateByKey(d, func() stats { return stats{} }, func(s stats, v int64) stats { return stats{s.Count + 1, s.Sum + v} },
		func(a, b stats) stats { return stats{a.Count + b.Count, a.Sum + b.Sum} }, engine.Partitions(parts)).Collect(t.Context())
	if err != nil || len(means) != len(sums) {
		t.Fatalf("%d keys, not %d: %v", len(means), len(sums), err)
	}
	for _, m := range means {
		if m.Value.Sum != sums[m.Key] || m.Value.Count == 0 {
			t.Errorf("key %d: %v, and a sum of %d", m.Key, m.Value, sums[m.Key])
		}
	}
	return sums, sizes
}

// An aggregation gives one answer whether it knows its keys' span or not:
// over keys, cores, partitions, executors, memory and places of map outputs,
// and whatever becomes of the cached partitions that told of the keys.
func TestDealtAggregationsAgree(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 8))
	for name, c := range map[string]struct {
		key  func(i int) int64
		rows int
		even bool // dealt out, and every key is there
	}{
		"dense":            {func(i int) int64 { return int64(i*7919%3001) - 1500 }, 20_000, true},
		"dense, many":      {func(i int) int64 { return int64(i) * 7919 % 40_009 }, 60_000, true},
		"at one end":       {func(i int) int64 { return math.MaxInt64 - int64(i%500) }, 2000, true},
		"steps":            {func(i int) int64 { return int64(i%700) * 8 }, 5600, false},
		"some of them":     {func(int) int64 { return rng.Int64N(30_000) }, 20_000, false},
		"sparse":           {func(i int) int64 { return int64(uint64(i%3000) * 0x9e3779b97f4a7c15) }, 20_000, false},
		"from end to end":  {func(i int) int64 { return []int64{math.MinInt64, math.MaxInt64, 0, 1}[i%4] }, 100, false},
		"one key":          {func(int) int64 { return 7 }, 100, true},
		"none":             {nil, 0, false},
		"one has the most": {func(i int) int64 { return int64(i * (i % 9 / 8) % 900) }, 30_000, false},
	} {
		rows := make([]numbered, c.rows)
		want := map[int64]int64{}
		for i := range rows {
			rows[i] = numbered{Key: c.key(i), Value: rng.Int64()}
			want[rows[i].Key] += rows[i].Value
		}
		for _, parts := range []int{1, 2, 7, 64} {
			for _, storage := range []string{"auto", "disk"} {
				cfg := engine.Config{Cores: 1 + rng.IntN(2), Conf: conf("shuffle.storage", storage)}
				if rng.IntN(2) == 0 {
					cfg.Memory = 64 * units.MiB
				}
				if rng.IntN(3) == 0 {
					cfg.Cores, cfg.Executors, cfg.Memory = 2, 2, 96*units.MiB
				}
				t.Run(fmt.Sprintf("%s/parts=%d/storage=%s/cores=%d/executors=%d/memory=%v", name, parts, storage, cfg.Cores, cfg.Executors, cfg.Memory), func(t *testing.T) {
					s := open(t, cfg)
					d := engine.Parallelize(s, rows, 3)
					if got, _ := groupSums(t, d, parts); !maps.Equal(got, want) {
						t.Errorf("by hash: %d keys, want %d", len(got), len(want))
					}
					cached := engine.Parallelize(s, rows, 3).Persist(block.MemoryAndDisk)
					if n, err := cached.Count(t.Context()); err != nil || n != int64(len(rows)) {
						t.Fatal(n, err)
					}
					got, sizes := groupSums(t, cached, parts)
					if !maps.Equal(got, want) {
						t.Errorf("dealt: %d keys, want %d", len(got), len(want))
					}
					if even := slices.Max(sizes)-slices.Min(sizes) <= 1; c.even && !even {
						t.Errorf("keys of partitions: %v", sizes)
					}
				})
			}
		}
	}
}

// What was learned of cached partitions stays when they are lost, and the
// aggregation is computed anew from rows that are not cached any more.
func TestDealtThenLost(t *testing.T) {
	s := open(t, engine.Config{})
	rows := make([]numbered, 5000)
	for i := range rows {
		rows[i] = numbered{Key: int64(i % 1000), Value: 1}
	}
	cached := engine.Parallelize(s, rows, 3).Persist(block.MemoryOnly)
	if _, err := cached.Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	reduced := engine.ReduceByKey(cached, func(a, b int64) int64 { return a + b }, engine.Partitions(5)).Persist(block.MemoryOnly)
	for _, lost := range []*engine.Dataset[numbered]{nil, reduced, cached} {
		if lost != nil {
			for p := range lost.Partitions() {
				engine.RemoveBlock(s, block.Node(lost.Node().ID, p))
			}
		}
		got, err := reduced.Collect(t.Context())
		check(t, err, len(got), 1000)
		for _, r := range got {
			if r.Value != 5 {
				t.Fatalf("key %d: %d", r.Key, r.Value)
			}
		}
	}
}

// A join whose first try ended in the middle of a map stage, before its sides
// were cached whole, goes on as it began: what was written by hash then is not
// read as if it had been dealt.
func TestDealtJoinAfterAFailure(t *testing.T) {
	for repeats := 1; repeats <= 2; repeats++ {
		s := open(t, engine.Config{Cores: 1, Conf: conf("sql.autoBroadcastJoinThreshold", "1k", "task.maxFailures", "1")})
		var fails atomic.Bool
		fails.Store(true)
		rows := make([]numbered, 4000)
		for i := range rows {
			rows[i] = numbered{Key: int64(i / repeats), Value: int64(i)}
		}
		side := func() *engine.Dataset[numbered] {
			return engine.Map(engine.Parallelize(s, rows, 4), func(r numbered) numbered {
				if r.Value == 3999 && fails.Load() {
					panic("not yet")
				}
				return r
			}).Persist(block.MemoryAndDisk)
		}
		left, right := side(), side()
		d := engine.Join(left, right, engine.Partitions(3))
		if _, err := d.Count(t.Context()); err == nil {
			t.Fatal("nothing failed")
		}
		fails.Store(false)
		for _, d := range []*engine.Dataset[numbered]{left, right} {
			n, err := d.Count(t.Context())
			check(t, err, n, 4000)
		}
		n, err := d.Count(t.Context())
		check(t, err, n, int64(4000*repeats))
	}
}

// An aggregation of keys that were dealt leaves an attempt memory for what its
// user's code asks, as one does that spills.
func TestDealtLeavesMemory(t *testing.T) {
	const keys, ask = 90_000, 45 * units.MiB // of 64, and states of 23 for each partition
	s := open(t, engine.Config{Cores: 1, Memory: 96 * units.MiB, Conf: conf("task.maxFailures", "1")})
	rows := make([]numbered, keys)
	for i := range rows {
		rows[i] = numbered{Key: int64(i), Value: 1}
	}
	cached := engine.Parallelize(s, rows, 2).Persist(block.DiskOnly)
	n, err := cached.Count(t.Context())
	check(t, err, n, keys)
	type state [64]int64
	reduced := engine.AggregateByKey(cached, func() (s state) { return s }, func(s state, v int64) state { s[0] += v; return s },
		func(a, b state) state { a[0] += b[0]; return a }, engine.Partitions(2))
	n, err = engine.MapBatches(reduced, func(t *engine.Task, dst []int64, src []engine.Pair[int64, state]) ([]int64, error) {
		r, err := t.Reserve("what it needs", ask)
		if err != nil {
			return nil, err
		}
		r.Release()
		for _, p := range src {
			dst = append(dst, p.Key)
		}
		return dst, nil
	}).Count(t.Context())
	check(t, err, n, keys)
}
