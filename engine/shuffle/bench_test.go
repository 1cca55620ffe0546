package shuffle

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

type record [100]byte

func records(n int) []record {
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]record, n)
	for i := range rows {
		for j := range 10 {
			rows[i][j] = byte(rng.Uint32())
		}
	}
	return rows
}

// BenchmarkWriter partitions 100-byte rows; ceiling: a copy, 18 GB/s read and
// written on the machine of the first figures.
func BenchmarkWriter(b *testing.B) {
	const n = 640_000
	rows := records(n)
	c := mustCodec[record](b)
	for _, reducers := range []int{16, 64, 512} {
		b.Run(fmt.Sprintf("row=100B/reducers=%d", reducers), func(b *testing.B) {
			r := newRig(b, 2*units.GiB, Config{})
			byPrefix := func(dst []int32, rows []record) {
				for i := range rows {
					dst[i] = int32(uint32(rows[i][0])<<8|uint32(rows[i][1])) * int32(reducers) >> 16
				}
			}
			b.SetBytes(100 * n)
			b.ReportAllocs()
			task := id.Task(0)
			for b.Loop() {
				task++
				if _, err := write(r, Target{Shuffle: 1, Map: task, Reducers: reducers}, c, byPrefix, batches(rows, 4096)...); err != nil {
					b.Fatal(err)
				}
				r.m.RemoveShuffle(1)
			}
		})
	}
	b.Run("row=string/reducers=64", func(b *testing.B) {
		texts := make([]string, n)
		total := int64(0)
		for i := range texts {
			texts[i] = strings.Repeat("t", 8+i%24)
			total += int64(len(texts[i]))
		}
		r := newRig(b, 2*units.GiB, Config{})
		c := mustCodec[string](b)
		b.SetBytes(total)
		b.ReportAllocs()
		task := id.Task(0)
		for b.Loop() {
			task++
			if _, err := write(r, Target{Shuffle: 1, Map: task, Reducers: 64}, c, byText(64), batches(texts, 4096)...); err != nil {
				b.Fatal(err)
			}
			r.m.RemoveShuffle(1)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	})
}

func batches[T any](rows []T, n int) (out [][]T) {
	for len(rows) > 0 {
		k := min(n, len(rows))
		out = append(out, rows[:k])
		rows = rows[k:]
	}
	return out
}

// BenchmarkTerasort is the shuffle and the sort of one core's share: write by
// range, read in place, sort, gather.
func BenchmarkTerasort(b *testing.B) {
	const n, maps, reducers = 2_500_000, 4, 16
	rows := records(n)
	c := mustCodec[record](b)
	key, err := codec.KeyOf[[10]byte]()
	if err != nil {
		b.Fatal(err)
	}
	order := spill.By(key, func(r record) [10]byte { return [10]byte(r[:10]) })
	for _, budget := range []units.Bytes{1 * units.GiB, 128 * units.MiB} {
		b.Run(fmt.Sprintf("memory=%s", budget), func(b *testing.B) {
			r := newRig(b, budget, Config{})
			b.SetBytes(100 * n)
			b.ReportAllocs()
			for b.Loop() {
				var statuses []*task.MapStatus
				for m := range maps {
					s, err := write(r, Target{Shuffle: 1, Map: id.Task(m), Reducers: reducers}, c, func(dst []int32, rows []record) {
						for i := range rows {
							dst[i] = int32(rows[i][0] >> 4)
						}
					}, batches(rows[n/maps*m:n/maps*(m+1)], 4096)...)
					if err != nil {
						b.Fatal(err)
					}
					statuses = append(statuses, s)
				}
				total := 0
				for p := range reducers {
					err := r.attempt(id.Task(100+p), func(env spill.Env) error {
						s := spill.NewSorter(env, "sort", c, order)
						defer s.Close()
						rd := NewReader(r.m, env, Source{Shuffle: 1, Statuses: statuses, From: p, To: p + 1})
						defer rd.Close()
						for {
							f, err := rd.Next()
							if err == io.EOF {
								break
							}
							if err != nil {
								return err
							}
							if err := s.AddFrame(f.Data, f.Rows, f.Pin); err != nil {
								return err
							}
						}
						return s.Sorted(func(rows []record) error { total += len(rows); return nil })
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				if total != n {
					b.Fatalf("%d rows of %d", total, n)
				}
				r.m.RemoveShuffle(1)
			}
			b.ReportMetric(float64(r.metrics[task.DiskBytesSpilled])/float64(b.N), "spilled-B/op")
		})
	}
}

func BenchmarkWordCount(b *testing.B) {
	const words, maps, reducers = 4_000_000, 2, 16
	rng := rand.New(rand.NewPCG(1, 1))
	zipf := rand.NewZipf(rng, 1.1, 8, 200_000-1)
	dictionary := make([]string, 200_000)
	for i := range dictionary {
		dictionary[i] = fmt.Sprintf("w%0*d", 1+rng.IntN(8), i)
	}
	var page []byte
	for range words {
		page = append(append(page, dictionary[zipf.Uint64()]...), ' ')
	}
	pairs := make([]codec.Pair[string, int64], 0, words)
	for _, w := range strings.Fields(string(page)) {
		pairs = append(pairs, codec.Pair[string, int64]{Key: w, Value: 1})
	}
	key, err := codec.KeyOf[string]()
	if err != nil {
		b.Fatal(err)
	}
	c := mustCodec[codec.Pair[string, int64]](b)
	sum := spill.Reduce(func(a, b int64) int64 { return a + b })
	r := newRig(b, 1*units.GiB, Config{})
	b.ReportAllocs()
	for b.Loop() {
		var statuses []*task.MapStatus
		for m := range maps {
			err := r.attempt(id.Task(m), func(env spill.Env) error {
				w, err := NewCombineWriter(r.m, env, Target{Shuffle: 1, Map: id.Task(m), Reducers: reducers}, key, sum, c, nil)
				if err != nil {
					return err
				}
				defer w.Close()
				for _, batch := range batches(pairs[words/maps*m:words/maps*(m+1)], 4096) {
					if err := w.Add(batch); err != nil {
						return err
					}
				}
				s, err := w.Commit()
				statuses = append(statuses, s)
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		total := int64(0)
		for p := range reducers {
			err := r.attempt(id.Task(100+p), func(env spill.Env) error {
				g, err := spill.NewAggregator(env, "aggregate", key, sum)
				if err != nil {
					return err
				}
				defer g.Close()
				if err := r.frames(env, statuses, p, func(f Frame) error { return g.AddFrame(f.Data, f.Rows) }); err != nil {
					return err
				}
				return g.Emit(func(rows []codec.Pair[string, int64]) error {
					for _, r := range rows {
						total += r.Value
					}
					return nil
				})
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		if total != words {
			b.Fatalf("%d words of %d", total, words)
		}
		r.m.RemoveShuffle(1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/words, "ns/word")
}

// BenchmarkWriterPairs partitions pairs of some words by the hash of the key,
// as joins and aggregations do.
func BenchmarkWriterPairs(b *testing.B) {
	b.Run("bytes=16", benchmarkWriterPairs[int64])
	b.Run("bytes=24", benchmarkWriterPairs[[2]int64])
	b.Run("bytes=32", benchmarkWriterPairs[[3]int64])
}

func benchmarkWriterPairs[V any](b *testing.B) {
	const n = 1_250_000
	type row = codec.Pair[int64, V]
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]row, n)
	for i := range rows {
		rows[i].Key = int64(rng.Uint64N(n))
	}
	key, err := codec.KeyOf[int64]()
	if err != nil {
		b.Fatal(err)
	}
	c := mustCodec[row](b)
	for _, reducers := range []int{8, 64, 512} {
		b.Run(fmt.Sprintf("reducers=%d", reducers), func(b *testing.B) {
			r := newRig(b, 2*units.GiB, Config{})
			b.SetBytes(int64(n * c.Fixed()))
			task := id.Task(0)
			for b.Loop() {
				task++
				if _, err := write(r, Target{Shuffle: 1, Map: task, Reducers: reducers}, c, ByKey[int64, V](key, reducers), batches(rows, 4096)...); err != nil {
					b.Fatal(err)
				}
				r.m.RemoveShuffle(1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
