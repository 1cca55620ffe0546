package spill

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSortEntriesIsStableForAnyKeys(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	shapes := map[string]func(i int) uint64{
		"random":    func(int) uint64 { return rng.Uint64() },
		"few":       func(int) uint64 { return uint64(rng.IntN(5)) << 40 },
		"equal":     func(int) uint64 { return 7 },
		"ascending": func(i int) uint64 { return uint64(i) },
		"falling":   func(i int) uint64 { return ^uint64(i) },
		"clustered": func(int) uint64 { return rng.Uint64()&0xff<<56 | rng.Uint64()&3 },
		"text":      func(int) uint64 { return 0x6161616161616161 + uint64(rng.IntN(26)) + uint64(rng.IntN(26))<<32 },
		"outlier":   func(i int) uint64 { return uint64(i%97) | uint64(i/5000)<<63 },
		"extremes":  func(i int) uint64 { return -uint64(i & 1) },
	}
	for name, key := range shapes {
		for _, n := range []int{0, 1, 2, 24, 25, 300, 4096, 4097, 20_000, 150_000} {
			a := make([]entry, n)
			for i := range a {
				a[i] = entry{key(i), uint64(i)}
			}
			want := slices.Clone(a)
			slices.SortStableFunc(want, func(x, y entry) int {
				switch {
				case x.key < y.key:
					return -1
				case x.key > y.key:
					return 1
				}
				return 0
			})
			sortEntries(a, make([]entry, n), nil)
			if !slices.Equal(a, want) {
				t.Errorf("%s, %d entries: not the stable order", name, n)
			}
		}
	}
}

func TestSortEntriesAsksTiesForEveryGroup(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 30, 5000, 100_000} {
		a := make([]entry, n)
		for i := range a {
			a[i] = entry{uint64(rng.IntN(n/2)) << 20, rng.Uint64()}
		}
		sortEntries(a, make([]entry, n), func(group, tmp []entry) {
			mergeSort(group, tmp, func(x, y uint64) bool { return x < y })
		})
		if !slices.IsSortedFunc(a, func(x, y entry) int {
			if x.key < y.key || x.key == y.key && x.ref < y.ref {
				return -1
			}
			return 1
		}) {
			t.Errorf("%d entries: not sorted by key and then by ref", n)
		}
	}
}

func BenchmarkSortEntries(b *testing.B) {
	for _, n := range []int{4096, 160_000, 5_000_000} {
		b.Run(fmt.Sprintf("rows=%d", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			src, a, tmp := make([]entry, n), make([]entry, n), make([]entry, n)
			for i := range src {
				src[i] = entry{rng.Uint64(), uint64(i)}
			}
			b.ReportAllocs()
			for b.Loop() {
				copy(a, src)
				sortEntries(a, tmp, nil)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/row")
		})
	}
}
