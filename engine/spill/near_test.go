package spill

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// cell and group are a row of three columns and what is known of its key.
type cell struct {
	V int64
	F float64
}

type group struct {
	Count, V int64
	F        float64
}

func (g group) add(c cell) group { return group{g.Count + 1, g.V + c.V, g.F + c.F} }

func addAll(f Folding[cell, group]) {
	for i := range f.Len() {
		g, c := f.State(i), f.Value(i)
		g.Count++
		g.V += c.V
		g.F += c.F
	}
}

func (g group) merge(o group) group { return group{g.Count + o.Count, g.V + o.V, g.F + o.F} }

// What is combined of keys close together is what a map says, with keys among
// them that were not dealt, and whether a state begins at zero or at a value.
func TestNearIsAMap(t *testing.T) {
	begun := Aggregate[cell, group]{First: func(c cell) group { return group{101, c.V, c.F} }, Add: group.add, Merge: group.merge}
	zero := Aggregate[cell, group]{Zero: group{Count: 100}, Add: group.add, Merge: group.merge}
	batches := Aggregate[cell, group]{Zero: group{Count: 100}, AddAll: addAll, Merge: group.merge}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, least := range []int64{0, -300, math.MinInt64, math.MaxInt64 - 9000} {
		for _, keys := range []int64{1, 700, 9000} {
			for _, strays := range []int{0, 7} {
				t.Run(fmt.Sprintf("least=%d/keys=%d/strays=%d", least, keys, strays), func(t *testing.T) {
					d, ok := NewDeal(task.KeySpan{Rows: 1 << 20, Least: least, Most: least + keys - 1}, 5)
					if !ok {
						t.Fatal("no deal")
					}
					var values []pair[int64, cell]
					want := map[int64]group{}
					for i := range 3*keys + 50 {
						k := least + rng.Int64N(keys)
						if strays > 0 && i%97 == 0 {
							k = least + 1<<50 + rng.Int64N(int64(strays)) // may be less, behind the greatest number
						}
						c := cell{i, float64(i) / 2}
						values = append(values, kv(k, c))
						if g, there := want[k]; there {
							want[k] = g.add(c)
						} else {
							want[k] = begun.First(c)
						}
					}
					for name, a := range map[string]Aggregate[cell, group]{"begun": begun, "zero": zero, "batches": batches} {
						if got := combinedNear(t, newBench(t, 64*units.MiB), a, d, values); !maps.Equal(got, want) {
							t.Errorf("%s: %d keys, want %d", name, len(got), len(want))
						}
					}
				})
			}
		}
	}
}

// combinedNear returns what comes out of a combiner, which no key may twice.
func combinedNear(t *testing.T, b *bench, a Aggregate[cell, group], d Deal, values []pair[int64, cell]) map[int64]group {
	t.Helper()
	got := map[int64]group{}
	c, err := NewCombiner(b.env, "combiner", mustKey[int64](t), a, &d, func(batch []pair[int64, group]) error {
		for _, p := range batch {
			if _, twice := got[p.Key]; twice {
				t.Errorf("key %d came out twice", p.Key)
			}
			got[p.Key] = p.Value
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, array := c.impl.(*near[int64, cell, group]); !array {
		t.Errorf("not in an array but %T", c.impl)
	}
	for in := values; len(in) > 0; {
		n := min(len(in), 1000)
		if err := c.Add(in[:n]); err != nil {
			t.Fatal(err)
		}
		in = in[n:]
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if held := b.env.Memory.Held(); held != 0 {
		t.Errorf("%d bytes are held after Close", held)
	}
	return got
}

// There is an array where its states fit and memory allows it; without, keys
// are combined in the hash table.
func TestNearForm(t *testing.T) {
	for name, c := range map[string]struct {
		keys  int64
		taken bool // all memory is another's
		array bool
	}{
		"few keys":  {nearMost / 9, false, true},
		"too many":  {nearMost/9 + 1, false, false},
		"no memory": {nearMost / 9, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, 4*units.MiB)
			other := b.env.Memory.Consumer("other", nil)
			if c.taken {
				for other.Acquire(1<<20) > 0 {
				}
			}
			d, _ := NewDeal(task.KeySpan{Rows: c.keys, Least: 1, Most: c.keys}, 2)
			got := map[int64]int64{}
			made, err := NewCombiner(b.env, "combiner", mustKey[int64](t), sum, &d, func(batch []pair[int64, int64]) error {
				for _, p := range batch {
					got[p.Key] += p.Value
				}
				return nil
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close()
			other.Close()
			if _, array := made.impl.(*near[int64, int64, int64]); array != c.array {
				t.Errorf("the combiner is %T", made.impl)
			}
			rows := []pair[int64, int64]{kv[int64, int64](1, 2), kv[int64, int64](c.keys, 3), kv[int64, int64](1, 4)}
			if err := made.Add(rows); err != nil {
				t.Fatal(err)
			}
			if err := made.Flush(); err != nil {
				t.Fatal(err)
			}
			if want := (map[int64]int64{1: 6, c.keys: 3}); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// BenchmarkNear combines rows of 100 keys in an array and in a hash table.
func BenchmarkNear(b *testing.B) {
	a := Aggregate[cell, group]{Add: group.add, Merge: group.merge}
	const keys, rows = 100, 1 << 14
	d, _ := NewDeal(task.KeySpan{Rows: rows, Least: 0, Most: keys - 1}, 4)
	rng := rand.New(rand.NewPCG(1, 2))
	pairs := make([]codec.Pair[int64, cell], rows)
	for i := range pairs {
		pairs[i] = kv(rng.Int64N(keys), cell{1, 0.5})
	}
	for _, form := range []string{"table", "array", "array, batches"} {
		b.Run("form="+form, func(b *testing.B) {
			deal, a := &d, a
			switch form {
			case "table":
				deal = nil
			case "array, batches":
				a = Aggregate[cell, group]{AddAll: addAll, Merge: group.merge}
			}
			x := newBench(b, 1*units.GiB)
			c, err := NewCombiner(x.env, "combiner", mustKey[int64](b), a, deal, func([]pair[int64, group]) error { return nil }, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			for b.Loop() {
				for in := pairs; len(in) > 0; in = in[1024:] {
					if err := c.Add(in[:1024]); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/row")
		})
	}
}
