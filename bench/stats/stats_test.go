package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestMedianIsTheMiddle(t *testing.T) {
	f := func(want float64, samples ...float64) {
		t.Helper()
		if got := Median(samples); got != want {
			t.Errorf("Median(%v) = %v, want %v", samples, got, want)
		}
	}
	f(3, 3)
	f(2, 3, 1, 2)
	f(2.5, 4, 1, 2, 3)
	f(1, 1, 1, 1, 1)
	if !math.IsNaN(Median(nil)) {
		t.Error("the median of nothing is a number")
	}
}

// The ranks are those of the printed tables of the sign test's interval.
func TestMedianRanksAgreeWithTables(t *testing.T) {
	f := func(n, low, high int, ok bool) {
		t.Helper()
		l, h, c, got := MedianRanks(n, 0.95)
		if got != ok || ok && (l != low || h != high) {
			t.Errorf("MedianRanks(%d) = %d, %d, %v; want %d, %d, %v", n, l, h, got, low, high, ok)
		}
		if ok && c < 0.95 {
			t.Errorf("MedianRanks(%d) has confidence %v", n, c)
		}
	}
	f(0, 0, 0, false)
	f(1, 0, 0, false)
	f(5, 0, 0, false)
	f(6, 0, 5, true)
	f(8, 0, 7, true)
	f(9, 1, 7, true)
	f(10, 1, 8, true)
	f(20, 5, 14, true)
	f(30, 9, 20, true)
}

func TestSummaryHasAnIntervalFromSixSamplesOn(t *testing.T) {
	samples := []float64{5, 3, 1, 4, 2}
	if s := Summarise(samples); s.Interval != nil || s.Median != 3 || s.Min != 1 || s.Max != 5 || s.Mean != 3 {
		t.Errorf("five samples: %+v", s)
	}
	if samples[0] != 5 {
		t.Error("Summarise sorted the caller's slice")
	}
	s := Summarise(append(samples, 6))
	if s.Interval == nil || s.Interval.Low != 1 || s.Interval.High != 6 || math.Abs(s.Interval.Confidence-0.96875) > 1e-9 {
		t.Errorf("six samples: %+v", s.Interval)
	}
	if len(samples)+1 != MinForInterval {
		t.Errorf("MinForInterval is %d", MinForInterval)
	}
	if got := Summarise(nil); got != (Summary{}) {
		t.Errorf("no samples: %+v", got)
	}
	if got := Summarise([]float64{7}); got.Median != 7 || got.CV != 0 || got.Mean != 7 {
		t.Errorf("one sample: %+v", got)
	}
}

// The interval covers the median as often as it says, for a skewed
// distribution too. 4000 intervals of ten samples have 97.9 % to expect;
// four standard errors are 0.9 %.
func TestIntervalCoversTheMedian(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 4000
	hit := 0
	for range rounds {
		x := make([]float64, 10)
		for i := range x {
			x[i] = math.Exp(rng.NormFloat64()) // median 1
		}
		if iv := Summarise(x).Interval; iv.Low <= 1 && 1 <= iv.High {
			hit++
		}
	}
	if got := float64(hit) / rounds; got < 0.970 || got > 0.988 {
		t.Errorf("covered %.3f of the time, want 0.979", got)
	}
}
