package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a session that checks at its end that nothing is left.
func open(t testing.TB, cfg engine.Config) *engine.Session {
	t.Helper()
	cfg.Temp = t.TempDir()
	if cfg.Cores == 0 {
		cfg.Cores = 2
	}
	if cfg.Memory == 0 {
		cfg.Memory = 256 * units.MiB
	}
	s, err := engine.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func ints(n int) []int64 {
	v := make([]int64, n)
	for i := range v {
		v[i] = int64(i)
	}
	return v
}

func check[T any](t *testing.T, err error, got, want T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		if len(g) > 300 {
			g = g[:300] + "…"
		}
		if len(w) > 300 {
			w = w[:300] + "…"
		}
		t.Fatalf("got %s, want %s", g, w)
	}
}

func TestNarrow(t *testing.T) {
	ctx := t.Context()
	s := open(t, engine.Config{})
	for _, parts := range []int{1, 3, 7} {
		d := engine.Parallelize(s, ints(1000), parts)
		n, err := d.Count(ctx)
		check(t, err, n, 1000)
		all, err := engine.Filter(engine.Map(d, func(v int64) int64 { return v * 2 }), func(v int64) bool { return v%3 == 0 }).Collect(ctx)
		var want []int64
		for i := range int64(1000) {
			if i*2%3 == 0 {
				want = append(want, i*2)
			}
		}
		check(t, err, all, want)
		sum, ok, err := d.Reduce(ctx, func(a, b int64) int64 { return a + b })
		check(t, err, sum, 499500)
		check(t, nil, ok, true)
		words := engine.FlatMap(d, func(dst []string, v int64) []string {
			return append(dst, fmt.Sprint("w", v), "x")
		})
		got, err := words.Take(ctx, 5)
		check(t, err, got, []string{"w0", "x", "w1", "x", "w2"})
		u, err := engine.Union(d, d).Count(ctx)
		check(t, err, u, 2000)
		co := engine.Coalesce(d, 2)
		rows, err := co.Collect(ctx)
		check(t, err, rows, ints(1000))
		a, err := engine.Sample(d, 0.1, 7).Collect(ctx)
		b, err2 := engine.Sample(d, 0.1, 7).Collect(ctx)
		check(t, errors.Join(err, err2), a, b)
		if len(a) < 50 || len(a) > 170 {
			t.Errorf("sample of 10 %% of 1000 holds %d", len(a))
		}
		f, err := d.Fold(ctx, 0, func(a, b int64) int64 { return max(a, b) })
		check(t, err, f, 999)
	}
	none, ok, err := engine.Parallelize(s, []string{}, 3).Reduce(ctx, func(a, b string) string { return a + b })
	check(t, err, none, "")
	check(t, nil, ok, false)
}

func TestWide(t *testing.T) {
	ctx := t.Context()
	rng := rand.New(rand.NewPCG(1, 2))
	type rec struct {
		ID   int32
		Name string
		F    float64
	}
	var pairs []engine.Pair[string, int64]
	var recs []rec
	wantSum := map[string]int64{}
	wantGroup := map[string][]int64{}
	for i := range 5000 {
		k := fmt.Sprintf("key-%d", rng.IntN(300))
		pairs = append(pairs, engine.Pair[string, int64]{Key: k, Value: int64(i)})
		wantSum[k] += int64(i)
		wantGroup[k] = append(wantGroup[k], int64(i))
		recs = append(recs, rec{rng.Int32N(1000) - 500, k, rng.Float64()})
	}
	for _, parts := range []int{1, 2, 7} {
		s := open(t, engine.Config{})
		d := engine.Parallelize(s, pairs, 3)
		got, err := engine.ReduceByKey(d, func(a, b int64) int64 { return a + b }, engine.Partitions(parts)).Collect(ctx)
		m := map[string]int64{}
		for _, p := range got {
			m[p.Key] += p.Value
		}
		check(t, err, len(got), len(wantSum))
		if !maps.Equal(m, wantSum) {
			t.Errorf("reduceByKey differs")
		}
		grouped, err := engine.GroupByKey(d, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(grouped), len(wantGroup))
		for _, g := range grouped {
			slices.Sort(g.Value)
			if !slices.Equal(g.Value, wantGroup[g.Key]) {
				t.Fatalf("groupByKey of %s: %d values, want %d", g.Key, len(g.Value), len(wantGroup[g.Key]))
			}
		}
		agg, err := engine.AggregateByKey(d, func() int64 { return 0 }, func(n, _ int64) int64 { return n + 1 }, func(a, b int64) int64 { return a + b }, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(agg), len(wantGroup))
		for _, p := range agg {
			if int(p.Value) != len(wantGroup[p.Key]) {
				t.Fatalf("aggregateByKey of %s: %d, want %d", p.Key, p.Value, len(wantGroup[p.Key]))
			}
		}
		r := engine.Parallelize(s, recs, 4)
		sorted, err := engine.SortBy(r, func(v rec) int32 { return v.ID }, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(sorted), len(recs))
		if !slices.IsSortedFunc(sorted, func(a, b rec) int { return int(a.ID) - int(b.ID) }) {
			t.Error("sortBy int32 is not sorted")
		}
		byName, err := engine.SortBy(r, func(v rec) string { return v.Name }, engine.Partitions(parts), engine.Descending()).Collect(ctx)
		check(t, err, len(byName), len(recs))
		if !slices.IsSortedFunc(byName, func(a, b rec) int { return strings.Compare(b.Name, a.Name) }) {
			t.Error("sortBy string, descending, is not sorted")
		}
		dn, err := engine.Distinct(engine.Keys(d), engine.Partitions(parts)).Count(ctx)
		check(t, err, int(dn), len(wantSum))
		rp, err := engine.Repartition(d, parts).Count(ctx)
		check(t, err, int(rp), len(pairs))
		names := engine.MapValues(engine.ReduceByKey(d, func(a, b int64) int64 { return a + b }), func(v int64) string { return fmt.Sprint(v) })
		joined, err := engine.Join(d, names, engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(joined), len(pairs))
		for _, j := range joined {
			if j.Value.Right != fmt.Sprint(wantSum[j.Key]) {
				t.Fatalf("join of %s: %s, want %d", j.Key, j.Value.Right, wantSum[j.Key])
			}
		}
		cg, err := engine.CoGroup(d, engine.Filter(names, func(p engine.Pair[string, string]) bool { return p.Key < "key-2" }), engine.Partitions(parts)).Collect(ctx)
		check(t, err, len(cg), len(wantSum))
		for _, g := range cg {
			right := 0
			if g.Key < "key-2" {
				right = 1
			}
			if len(g.Value.Left) != len(wantGroup[g.Key]) || len(g.Value.Right) != right {
				t.Fatalf("cogroup of %s: %d and %d", g.Key, len(g.Value.Left), len(g.Value.Right))
			}
		}
	}
}

func TestPersist(t *testing.T) {
	ctx := t.Context()
	for _, level := range []block.Level{block.MemoryOnly, block.MemoryAndDisk, block.DiskOnly, block.OffHeap} {
		s := open(t, engine.Config{})
		calls := engine.NewLongAccumulator(s, "calls")
		d := engine.MapBatches(engine.Parallelize(s, ints(10000), 4), func(t *engine.Task, dst, src []int64) ([]int64, error) {
			calls.Add(t, int64(len(src)))
			return append(dst, src...), nil
		}).Persist(level)
		for range 3 {
			got, err := d.Collect(ctx)
			check(t, err, got, ints(10000))
		}
		check(t, nil, calls.Value(), 10000)
		first, err := d.Take(ctx, 2)
		check(t, err, first, []int64{0, 1})
		d.Unpersist()
		n, err := d.Count(ctx)
		check(t, err, n, 10000)
		check(t, nil, calls.Value(), 20000)
	}
}

func TestStream(t *testing.T) {
	s := open(t, engine.Config{})
	d := engine.Map(engine.Parallelize(s, ints(50000), 9), func(v int64) int64 { return v })
	var got []int64
	for b, err := range d.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	check(t, nil, got, ints(50000))
	n := 0
	for b, err := range d.Batches(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n += len(b); n > 100 {
			break
		}
	}
	c, err := d.Count(t.Context()) // the workers are free again
	check(t, err, c, 50000)
}

func TestFailures(t *testing.T) {
	s := open(t, engine.Config{})
	bad := engine.Map(engine.Parallelize(s, ints(10), 2), func(v int64) int64 {
		if v == 7 {
			panic("seven")
		}
		return v
	})
	_, err := bad.Count(t.Context())
	var te *engine.TaskError
	if !errors.As(err, &te) || !strings.Contains(err.Error(), "seven") || te.Partition != 1 {
		t.Fatalf("got %v", err)
	}
	var pe *engine.PanicError
	if !errors.As(err, &pe) || !strings.Contains(pe.Stack, "dataset_test.go") {
		t.Fatalf("the panic's stack is lost: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough of this")
	started := make(chan struct{}, 100)
	slow := engine.MapBatches(engine.Parallelize(s, ints(10), 2), func(t *engine.Task, dst, src []int64) ([]int64, error) {
		started <- struct{}{}
		<-t.Context().Done()
		return dst, context.Cause(t.Context())
	})
	go func() { <-started; cancel(stop) }()
	if _, err := slow.Count(ctx); !errors.Is(err, stop) {
		t.Fatalf("got %v, want the cause of the cancellation", err)
	}
	n, err := engine.Parallelize(s, ints(10), 2).Count(t.Context())
	check(t, err, n, 10)
}
