package spill

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Every round gives every reducer one key, and both tell the key again.
func TestDeal(t *testing.T) {
	for _, least := range []int64{0, 1, -5, math.MinInt64, math.MaxInt64 - 999} {
		for _, reducers := range []int{2, 3, 59, 1000, 2000} {
			d, ok := NewDeal(task.KeySpan{Rows: 500, Least: least, Most: least + 999}, reducers)
			if !ok {
				t.Fatalf("no deal from %d to %d reducers", least, reducers)
			}
			seen := map[[2]uint64]bool{}
			for k := range uint64(1000) {
				word := uint64(least) + k
				r, ok := d.Of(word)
				round, also := d.round(word)
				if !ok || !also || r < 0 || int(r) >= reducers || round != k/uint64(reducers) || int(round) >= d.rounds() {
					t.Fatalf("key %d from %d: reducer %d of %d, round %d of %d", k, least, r, reducers, round, d.rounds())
				}
				if back := d.key(uint64(r), round); back != word {
					t.Fatalf("round %d of reducer %d has key %d, not %d", round, r, int64(back), int64(word))
				}
				if at := [2]uint64{uint64(r), round}; seen[at] {
					t.Fatalf("round %d gives reducer %d two keys", round, r)
				} else {
					seen[at] = true
				}
			}
			for _, word := range []uint64{uint64(least) - 1, uint64(least) + 1000, uint64(least) + 1<<40, uint64(least) + 1<<63} {
				if r, ok := d.Of(word); ok {
					t.Errorf("key %d, which is none of those from %d on, goes to reducer %d", int64(word), least, r)
				}
			}
			if again, ok := DecodeDeal(d.Append(nil), reducers); !ok || again != d {
				t.Errorf("decoded %v (%v), want %v", again, ok, d)
			}
		}
	}
	// The largest deal: the quotient is exact.
	d, ok := NewDeal(task.KeySpan{Rows: 1 << 31, Least: 0, Most: dealtMost - 1}, MaxDealt)
	for _, k := range []uint64{0, MaxDealt - 1, MaxDealt, dealtMost - 1, dealtMost - MaxDealt, dealtMost - MaxDealt - 1} {
		if round, in := d.round(k); !ok || !in || round != k/MaxDealt {
			t.Errorf("key %d: round %d (%v, %v)", k, round, ok, in)
		}
	}
}

// Keys at equal distances go to all reducers.
func TestDealSpreadsSteps(t *testing.T) {
	const keys, reducers = 1 << 20, 64
	d, _ := NewDeal(task.KeySpan{Rows: keys, Least: 0, Most: keys - 1}, reducers)
	for _, step := range []uint64{1, 2, 63, 64, 65, 128, 1000, 4096} {
		counts := make([]int, reducers)
		n := 0
		for k := uint64(0); k < keys; k += step {
			r, _ := d.Of(k)
			counts[r]++
			n++
		}
		if least, most := slices.Min(counts), slices.Max(counts); most > n/reducers+5*int(math.Sqrt(float64(n/reducers)))+1 || least == 0 {
			t.Errorf("of %d keys, each %d from the next, a reducer has from %d to %d", n, step, least, most)
		}
	}
}

func TestNoDeal(t *testing.T) {
	for name, c := range map[string]struct {
		span     task.KeySpan
		reducers int
	}{
		"no rows":                 {task.KeySpan{}, 4},
		"one reducer":             {task.KeySpan{Rows: 9, Least: 0, Most: 9}, 1},
		"too many reducers":       {task.KeySpan{Rows: 9, Least: 0, Most: 9}, MaxDealt + 1},
		"more keys than twice":    {task.KeySpan{Rows: 9, Least: 0, Most: 19}, 4},
		"all there are":           {task.KeySpan{Rows: math.MaxInt64, Least: math.MinInt64, Most: math.MaxInt64}, 4},
		"more than the limit":     {task.KeySpan{Rows: 1 << 40, Least: 0, Most: dealtMost}, 4},
		"from one end to another": {task.KeySpan{Rows: 2, Least: math.MinInt64, Most: 0}, 4},
	} {
		if d, ok := NewDeal(c.span, c.reducers); ok {
			t.Errorf("%s: %v", name, d)
		}
	}
	good, _ := NewDeal(task.KeySpan{Rows: 9, Least: 0, Most: 9}, 4)
	data := good.Append(nil)
	for name, src := range map[string][]byte{"empty": nil, "short": data[:len(data)-1], "long": append(slices.Clone(data), 0), "no keys": {0, 0}, "endless": slices.Repeat([]byte{0xff}, 20)} {
		if d, ok := DecodeDeal(src, 4); ok {
			t.Errorf("%s: %v", name, d)
		}
	}
	if _, ok := DecodeDeal(data, 1); ok {
		t.Error("a deal to one reducer")
	}
}

// What is aggregated of keys that were dealt is what a map says, whether
// memory allows the array or not, and for keys that were not dealt, too.
func TestDealtIsAMap(t *testing.T) {
	type stats struct {
		Sum, Count int64
	}
	counting := Aggregate[int64, stats]{
		Add:   func(s stats, v int64) stats { return stats{s.Sum + v, s.Count + 1} },
		Merge: func(a, b stats) stats { return stats{a.Sum + b.Sum, a.Count + b.Count} },
	}
	batches := Aggregate[int64, stats]{Merge: counting.Merge, AddAll: func(f Folding[int64, stats]) {
		for i := range f.Len() {
			s := f.State(i)
			s.Sum, s.Count = s.Sum+*f.Value(i), s.Count+1
		}
	}}
	rng := rand.New(rand.NewPCG(1, 2))
	const reducers, reducer = 5, 3
	for _, share := range []units.Bytes{1 * units.MiB, 64 * units.MiB} {
		if share > units.MiB { // where nothing is spilled, a key has one zero
			counting.Zero.Count, batches.Zero.Count = 100, 100
		}
		for _, keys := range []int64{1, 700, 300_000} {
			for _, strays := range []int{0, 7} {
				t.Run(fmt.Sprintf("memory=%s/keys=%d/strays=%d", share, keys, strays), func(t *testing.T) {
					d, ok := NewDeal(task.KeySpan{Rows: keys, Least: -keys / 2, Most: keys - keys/2 - 1}, reducers)
					if !ok {
						t.Fatal("no deal")
					}
					var values []pair[int64, int64]
					var partial []pair[int64, stats]
					sums, want := map[int64]int64{}, map[int64]stats{}
					for i := range 2*keys/reducers + 50 {
						k := rng.Int64N(keys) - keys/2
						if strays > 0 && i%97 == 0 {
							k = 1<<50 + rng.Int64N(int64(strays))
						} else if r, _ := d.Of(uint64(k)); r != reducer {
							continue
						}
						values = append(values, kv(k, i))
						sums[k] += i
						s, there := want[k]
						if !there {
							s = counting.Zero
						}
						want[k] = counting.Add(s, i)
					}
					for k, s := range want {
						p := stats{rng.Int64N(100), 3}
						partial = append(partial, kv(k, p))
						want[k] = counting.Merge(s, p)
					}
					last := d.key(reducer, 0) // of a key of its own, only a partial result
					if _, there := want[int64(last)]; !there {
						partial = append(partial, kv(int64(last), stats{1, 2}))
						want[int64(last)] = stats{1, 2}
					}
					aggregatedDealt(t, newBench(t, share), d, reducer, values, nil, sum, sums)
					aggregatedDealt(t, newBench(t, share), d, reducer, values, partial, counting, want)
					aggregatedDealt(t, newBench(t, share), d, reducer, values, partial, batches, want)
				})
			}
		}
	}
}

func aggregatedDealt[C comparable](t *testing.T, b *bench, d Deal, reducer int, values []pair[int64, int64], partial []pair[int64, C], a Aggregate[int64, C], want map[int64]C) {
	t.Helper()
	g, err := NewAggregator(b.env, "aggregator", mustKey[int64](t), a)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Dealt(d, reducer, int64(len(values)+len(partial)), math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	for in := values; len(in) > 0; {
		n := min(len(in), 1000)
		if err := g.Add(in[:n]); err != nil {
			t.Fatal(err)
		}
		in = in[n:]
	}
	if err := g.Merge(partial); err != nil {
		t.Fatal(err)
	}
	got := map[int64]C{}
	if err := g.Emit(func(batch []pair[int64, C]) error {
		for _, p := range batch {
			if _, twice := got[p.Key]; twice {
				t.Errorf("key %d came out twice", p.Key)
			}
			got[p.Key] = p.Value
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d keys, want %d", len(got), len(want))
	}
	if g.Add(values) == nil && len(values) > 0 || g.Emit(nil) == nil {
		t.Error("added to or emitted after the end")
	}
}

// The array is taken where memory allows it twice and there are rows enough;
// a key of another reducer's is an error.
func TestDealtForm(t *testing.T) {
	d, _ := NewDeal(task.KeySpan{Rows: 1 << 20, Least: 0, Most: 1<<20 - 1}, 2)
	for name, c := range map[string]struct {
		share units.Bytes
		rows  int64
		most  int64
		array bool
	}{
		"room":         {64 * units.MiB, 1 << 20, 5 << 20, true},
		"few rows":     {64 * units.MiB, 1000, 5 << 20, false},
		"short memory": {6 * units.MiB, 1 << 20, 5 << 20, false}, // 4 MiB of states
		"too large":    {64 * units.MiB, 1 << 20, 4 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.share)
			g, err := NewAggregator(b.env, "aggregator", mustKey[int64](t), sum)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			if err := g.Dealt(d, 1, c.rows, c.most); err != nil {
				t.Fatal(err)
			}
			if _, array := g.impl.(*dealt[int64, int64, int64]); array != c.array {
				t.Errorf("array: %v", array)
			}
			others := d.key(0, 5)
			if err := g.Add([]pair[int64, int64]{kv(int64(others), int64(1))}); errors.Is(err, ErrCorrupt) != c.array {
				t.Errorf("a key of reducer 0: %v", err)
			}
		})
	}
}

// A table of keys that were dealt out is joined as one of others is: keys that
// repeat or were not dealt take it to another form.
func TestDealtTable(t *testing.T) {
	const reducers, reducer = 7, 2
	rng := rand.New(rand.NewPCG(3, 4))
	for name, c := range map[string]struct {
		keys, rows int
		repeats    bool
		stray      bool
	}{
		"all keys":     {5000, 5000, false, false},
		"half of them": {5000, 2500, false, false},
		"few of them":  {50_000, 900, false, false}, // not in an array
		"one":          {5, 5, false, false},
		"repeats":      {5000, 5000, true, false},
		"strays":       {5000, 5000, false, true},
		"both":         {5000, 5000, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, ok := NewDeal(task.KeySpan{Rows: int64(c.keys), Least: -100, Most: int64(c.keys) - 101}, reducers)
			if !ok {
				t.Fatal("no deal")
			}
			mine := func(k int64) bool { r, dealt := d.Of(uint64(k)); return !dealt || r == reducer }
			var held, past []pair[int64, int64]
			for i, k := range rng.Perm(c.keys)[:c.rows] {
				if k := int64(k) - 100; mine(k) {
					held = append(held, kv(k, int64(i)))
				}
			}
			if c.repeats {
				held = append(held, held[:3]...)
			}
			if c.stray {
				held = append(held, kv(int64(1<<40), int64(5)))
			}
			for i := range 3 * c.rows {
				if k := rng.Int64N(int64(c.keys)) - 100; mine(k) {
					past = append(past, kv(k, int64(i)))
				}
			}
			past = append(past, kv(int64(1<<40), int64(7)), kv(int64(-1<<63), int64(8)))
			g := newGrouper(t, newBench(t, 64*units.MiB), held)
			table, err := g.Table(&d, reducer)
			if table == nil || err != nil {
				t.Fatal("no table", err)
			}
			defer table.Close()
			if array := table.present != nil; array != (!c.repeats && !c.stray && c.rows > c.keys/10 && len(held) > 0) {
				t.Errorf("in an array: %v", array)
			}
			got := map[int64]matches{}
			m := NewMatcher(table)
			found := func(batch []pair[int64, int64], held HeldRows[int64], list []Found) error {
				for _, f := range list {
					l := batch[f.At]
					s := got[l.Key]
					got[l.Key] = matches{s.n + 1, s.left + l.Value, s.right + *held.At(f.Row)}
				}
				return nil
			}
			if err := Match(m, past, found); err != nil {
				t.Fatal(err)
			}
			if err := same(got, modelJoin(past, held)); err != nil {
				t.Error(err)
			}
			others := []pair[int64, int64]{kv(int64(d.key(0, 0)), int64(1))}
			if err := Match(m, others, found); table.present != nil && !errors.Is(err, ErrCorrupt) {
				t.Errorf("a key of reducer 0: %v", err)
			}
		})
	}
}

// BenchmarkDealt aggregates one reducer's share of 1e7 rows with 1e6 keys, in
// an array and in a hash table.
func BenchmarkDealt(b *testing.B) {
	a := Aggregate[cell, group]{Add: group.add, Merge: group.merge}
	const keys, reducers, reducer, rows = 1_000_000, 59, 7, 10_000_000 / 59
	d, _ := NewDeal(task.KeySpan{Rows: 10 * keys, Least: 0, Most: keys - 1}, reducers)
	rng := rand.New(rand.NewPCG(1, 2))
	pairs := make([]pair[int64, cell], rows)
	for i := range pairs {
		pairs[i] = kv(int64(d.key(reducer, rng.Uint64N(keys/reducers))), cell{1, 0.5})
	}
	for _, form := range []string{"array", "table"} {
		b.Run("form="+form, func(b *testing.B) {
			x := newBench(b, 1*units.GiB)
			for b.Loop() {
				g, err := NewAggregator(x.env, "aggregator", mustKey[int64](b), a)
				if err != nil {
					b.Fatal(err)
				}
				g.Expect(rows)
				if form == "array" {
					if err := g.Dealt(d, reducer, rows, math.MaxInt64); err != nil {
						b.Fatal(err)
					}
				}
				n := 0
				if err = g.Add(pairs); err == nil {
					err = g.Emit(func(batch []pair[int64, group]) error { n += len(batch); return nil })
				}
				if err != nil || n == 0 {
					b.Fatal(n, err)
				}
				g.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
