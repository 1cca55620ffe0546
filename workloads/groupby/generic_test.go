package groupby

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads/internal/beside"
)

// The types and functions of a user who knows nothing of the engine's kernels.
type (
	sale struct {
		Price float64
		Units int64
	}
	stats struct {
		Sales, Units int64
		Revenue      float64
	}
	customer int64
	item     struct { // with padding
		Shop uint16
		Item uint32
	}
	visit struct {
		Store int64
		Day   int32
	}
	place struct {
		Country string
		Shop    uint16
	}
)

func (s stats) add(v sale) stats { return stats{s.Sales + 1, s.Units + v.Units, s.Revenue + v.Price} }

func (s stats) merge(o stats) stats {
	return stats{s.Sales + o.Sales, s.Units + o.Units, s.Revenue + o.Revenue}
}

func textOf(k uint64) string { return "key-" + strconv.FormatUint(k, 10) }

// BenchmarkGeneric groups the same rows by what the workload uses and by a
// user's types.
func BenchmarkGeneric(b *testing.B) {
	for _, keys := range []uint64{100, 1 << 17} {
		number := func(k uint64) int64 { return int64(k) }
		versus(b, "key=int64", keys, number, func(k uint64) customer { return customer(k) }, aggregated)
		versus(b, "key=padded", keys, number, func(k uint64) item { return item{uint16(k % 7), uint32(k)} }, aggregated)
		versus(b, "key=two", keys, number, func(k uint64) visit { return visit{int64(k), int32(k % 7)} }, aggregated)
		versus(b, "key=string", keys, textOf, textOf, aggregated)
		versus(b, "key=text", keys, textOf, func(k uint64) place { return place{textOf(k), uint16(k % 7)} }, aggregated)
		versus(b, "key=padded/reduce", keys, number, func(k uint64) item { return item{uint16(k % 7), uint32(k)} }, reduced)
	}
}

func aggregated[K any](d *engine.Dataset[engine.Pair[K, sale]], parts engine.Option) *engine.Dataset[engine.Pair[K, stats]] {
	return engine.AggregateByKey(d, func() stats { return stats{} }, stats.add, stats.merge, parts)
}

func reduced[K any](d *engine.Dataset[engine.Pair[K, sale]], parts engine.Option) *engine.Dataset[engine.Pair[K, stats]] {
	one := engine.MapValues(d, func(v sale) stats { return stats{1, v.Units, v.Price} })
	return engine.ReduceByKey(one, func(a, b stats) stats { return a.merge(b) }, parts)
}

// versus runs the workload's aggregation over keys that kernelKey makes beside
// a user's over keys that userKey makes.
func versus[K, U any](b *testing.B, name string, keys uint64, kernelKey func(uint64) K, userKey func(uint64) U,
	user func(*engine.Dataset[engine.Pair[U, sale]], engine.Option) *engine.Dataset[engine.Pair[U, stats]]) {
	b.Run(name+"/keys="+strconv.FormatUint(keys, 10), func(b *testing.B) {
		const parts, rows = 4, 1 << 19
		s, err := engine.Open(engine.Config{Temp: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		shared := map[uint64]K{}
		kernels, users := make([][]engine.Pair[K, cell], parts), make([][]engine.Pair[U, sale], parts)
		names := map[uint64]U{}
		for p := range parts {
			rng := rand.New(rand.NewPCG(7, uint64(p)))
			kernels[p], users[p] = make([]engine.Pair[K, cell], rows), make([]engine.Pair[U, sale], rows)
			for i := range rows {
				r := rng.Uint64()
				k := r % keys
				if _, ok := names[k]; !ok {
					shared[k], names[k] = kernelKey(k), userKey(k)
				}
				kernels[p][i] = engine.Pair[K, cell]{Key: shared[k], Value: cell{int64(r >> 57), float64(r >> 54)}}
				users[p][i] = engine.Pair[U, sale]{Key: names[k], Value: sale{float64(r >> 54), int64(r >> 57)}}
			}
		}
		option := engine.Partitions(8)
		total := func(d *engine.Dataset[stats]) string {
			all, err := d.Collect(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			var sum stats
			for _, s := range all {
				sum = sum.merge(s)
			}
			return fmt.Sprint(sum)
		}
		var k, g string
		beside.Run(b, parts*rows, func() {
			round := s.Scope()
			defer round.Release()
			groups := engine.AggregateByKey(rowsOf(round, kernels), func() group { return group{} }, group.add, group.merge, option)
			k = total(engine.AggregateBatches(groups, func() stats { return stats{} }, func(s stats, batch []engine.Pair[K, group]) stats {
				for i := range batch {
					v := &batch[i].Value
					s = s.merge(stats{v.Count, v.V, v.F})
				}
				return s
			}))
		}, func() {
			round := s.Scope()
			defer round.Release()
			g = total(engine.AggregateBatches(user(rowsOf(round, users), option), func() stats { return stats{} }, func(s stats, batch []engine.Pair[U, stats]) stats {
				for i := range batch {
					s = s.merge(batch[i].Value)
				}
				return s
			}))
		})
		if k != g {
			b.Fatalf("the workload's kernels find %s, the user's functions %s", k, g)
		}
	})
}

// rowsOf hands out rows that are there.
func rowsOf[T any](s *engine.Session, rows [][]T) *engine.Dataset[T] {
	const batch = 4096
	return engine.FromFunc(s, "rows", len(rows), func(_ *engine.Task, part int, emit func([]T) error) error {
		for left := rows[part]; len(left) > 0; {
			n := min(batch, len(left))
			if err := emit(left[:n]); err != nil {
				return err
			}
			left = left[n:]
		}
		return nil
	})
}
