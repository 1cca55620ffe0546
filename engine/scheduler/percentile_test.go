package scheduler

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSPC_007_PercentileIsTheSortedElement(t *testing.T) {
	for _, part := range []float64{0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999} {
		if _, err := (&percentile{part: part}).value(); !errors.Is(err, errNoValue) {
			t.Fatalf("part %v of nothing: error %v", part, err)
		}
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 7))
			p := percentile{part: part}
			var sorted []int64
			for n := 1; n <= 300; n++ {
				v := r.Int64N(1 + int64(seed)*50) // many equal ones at first
				p.add(v)
				at, _ := slices.BinarySearch(sorted, v)
				sorted = slices.Insert(sorted, at, v)
				want := sorted[int(float64(n)*part)]
				if got, err := p.value(); err != nil || got != want || p.len() != n {
					t.Fatalf("part %v, seed %d: of %d values %d, %v, %d counted; want %d", part, seed, n, got, err, p.len(), want)
				}
			}
		}
	}
	// Spark's median is the upper one of two.
	for want, of := range map[int64][]int64{9: {5, 9}, 2: {1, 2, 3}, 3: {1, 2, 3, 4}, 4: {1, 2, 3, 4, 5, 6}} {
		p := percentile{part: 0.5}
		for _, v := range of {
			p.add(v)
		}
		if got, _ := p.value(); got != want {
			t.Errorf("median of %v is %d, want %d", of, got, want)
		}
	}
}
