package engine_test

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/units"
)

// perRecord runs job b.N times and reports time and heap allocations for each
// record. Warm: buffers and pages of an earlier run are there.
func perRecord(b *testing.B, records int, bytes int64, job func()) {
	job()
	b.SetBytes(bytes)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		job()
	}
	runtime.ReadMemStats(&after)
	n := float64(records) * float64(b.N)
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/record")
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/n, "B/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/record")
}

// BenchmarkSortRecords sorts 100-byte records by their 10-byte keys and
// streams them through a count: terasort without its files.
func BenchmarkSortRecords(b *testing.B) {
	for _, memory := range []units.Bytes{512 * units.MiB, 96 * units.MiB} {
		b.Run("memory="+strconv.Itoa(int(memory>>20))+"MiB", func(b *testing.B) {
			s := open(b, engine.Config{Memory: memory})
			const parts, rows = 8, 125_000
			type record = [100]byte
			batches := make([][]record, parts)
			for p := range batches {
				batches[p] = make([]record, 1000)
				rng := rand.New(rand.NewPCG(1, uint64(p)))
				for i := range batches[p] {
					for j := range 10 {
						batches[p][i][j] = byte(rng.Uint32())
					}
				}
			}
			perRecord(b, parts*rows, parts*rows*100, func() {
				round := s.Scope()
				defer round.Release()
				d := engine.FromFunc(round, "records", parts, func(_ *engine.Task, part int, emit func([]record) error) error {
					for range rows / 1000 {
						if err := emit(batches[part]); err != nil {
							return err
						}
					}
					return nil
				})
				n, err := engine.SortBy(d, func(r record) [10]byte { return [10]byte(r[:10]) }, engine.Partitions(8)).Count(context.Background())
				if err != nil || n != parts*rows {
					b.Fatal(n, err)
				}
			})
		})
	}
}

// BenchmarkCountWords splits text into words and counts each: word count
// without its files.
func BenchmarkCountWords(b *testing.B) {
	s := open(b, engine.Config{})
	rng := rand.New(rand.NewPCG(3, 4))
	var text []byte
	words := 0
	for len(text) < 32<<10 {
		text = append(strconv.AppendInt(text, int64(rng.ExpFloat64()*5000), 36), ' ')
		words++
	}
	const parts, chunks = 8, 64
	perRecord(b, parts*chunks*words, int64(parts*chunks*len(text)), func() {
		round := s.Scope()
		defer round.Release()
		d := engine.FromFunc(round, "text", parts, func(_ *engine.Task, _ int, emit func([][]byte) error) error {
			one := [][]byte{text}
			for range chunks {
				if err := emit(one); err != nil {
					return err
				}
			}
			return nil
		})
		type count = engine.Pair[string, int64]
		pairs := engine.FlatMap(d, func(dst []count, text []byte) []count {
			start := 0
			for i, c := range text {
				if c == ' ' {
					dst = append(dst, count{Key: unsafe.String(&text[start], i-start), Value: 1})
					start = i + 1
				}
			}
			return dst
		})
		n, err := engine.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, engine.Partitions(4)).Count(context.Background())
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
	})
}

// BenchmarkGroupBy sums rows by key, once with what has kernels of its own
// (a whole number as the key, a sum of whole numbers as the state) and once
// with types and functions of the user's making. The latter is to reach half
// of the former's speed.
func BenchmarkGroupBy(b *testing.B) {
	type item struct {
		Shop uint16
		Item uint32
	}
	type sale struct {
		Count int64
		Price float64
	}
	type stats struct {
		Sales, Count int64
		Low, High    float64
	}
	const parts, rows, batch = 4, 1 << 19, 1 << 12
	for _, keys := range []uint64{100, 1 << 18} {
		b.Run("path=specialised/keys="+strconv.Itoa(int(keys)), func(b *testing.B) {
			groupBy(b, parts, rows, batch, func(r uint64) engine.Pair[int64, int64] {
				return engine.Pair[int64, int64]{Key: int64(r % keys), Value: int64(r >> 40)}
			}, func(d *engine.Dataset[engine.Pair[int64, int64]]) (int64, error) {
				return engine.ReduceByKey(d, func(a, b int64) int64 { return a + b }, engine.Partitions(8)).Count(context.Background())
			})
		})
		b.Run("path=generic/keys="+strconv.Itoa(int(keys)), func(b *testing.B) {
			groupBy(b, parts, rows, batch, func(r uint64) engine.Pair[item, sale] {
				k := r % keys
				return engine.Pair[item, sale]{Key: item{uint16(k % 7), uint32(k)}, Value: sale{int64(r >> 60), float64(r >> 40)}}
			}, func(d *engine.Dataset[engine.Pair[item, sale]]) (int64, error) {
				return engine.AggregateByKey(d, func() stats { return stats{Low: math.Inf(1), High: math.Inf(-1)} }, func(s stats, v sale) stats {
					return stats{s.Sales + 1, s.Count + v.Count, min(s.Low, v.Price), max(s.High, v.Price)}
				}, func(x, y stats) stats {
					return stats{x.Sales + y.Sales, x.Count + y.Count, min(x.Low, y.Low), max(x.High, y.High)}
				}, engine.Partitions(8)).Count(context.Background())
			})
		})
	}
}

// groupBy measures a job over rows that row makes of random numbers.
func groupBy[T any](b *testing.B, parts, rows, batch int, row func(r uint64) T, job func(*engine.Dataset[T]) (int64, error)) {
	s := open(b, engine.Config{})
	made := make([][]T, parts)
	for p := range made {
		rng := rand.New(rand.NewPCG(7, uint64(p)))
		for range rows {
			made[p] = append(made[p], row(rng.Uint64()))
		}
	}
	var one T
	perRecord(b, parts*rows, int64(parts*rows)*int64(unsafe.Sizeof(one)), func() {
		round := s.Scope()
		defer round.Release()
		n, err := job(engine.FromFunc(round, "rows", parts, func(_ *engine.Task, part int, emit func([]T) error) error {
			for at := 0; at < rows; at += batch {
				if err := emit(made[part][at : at+batch]); err != nil {
					return err
				}
			}
			return nil
		}))
		if err != nil || n == 0 {
			b.Fatal(n, err)
		}
	})
}

// BenchmarkEmptyTasks runs jobs of 100,000 tasks that do nothing, with every
// clock on.
func BenchmarkEmptyTasks(b *testing.B) {
	s := open(b, engine.Config{})
	const tasks = 100_000
	perRecord(b, tasks, 0, func() {
		round := s.Scope()
		defer round.Release()
		d := engine.FromFunc(round, "empty", tasks, func(*engine.Task, int, func([]byte) error) error { return nil })
		if _, err := d.Count(context.Background()); err != nil {
			b.Fatal(err)
		}
	})
}
