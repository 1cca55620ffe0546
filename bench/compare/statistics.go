package compare

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/execbench/execbench/bench/report"
)

// exactMax is the number of values, of both sides together, up to which the
// Mann–Whitney test is exact: the counts of ways then stay whole numbers in
// a float64 (the largest is C(50, 25) ≈ 1.3e14 < 2⁵³).
const exactMax = 50

// mannWhitney returns the two-sided p value of the Mann–Whitney test, and on
// which side of its expectation the rank sum of new lies: +1 when new tends
// to be larger. Ties share their ranks' mean.
//
// Up to exactMax values the distribution of the rank sum is counted out over
// all ways to deal the observed ranks to the sides, which is right with ties
// too. Beyond that it is normal, with the variance corrected for ties and
// the statistic for continuity (sources: Mann and Whitney, 1947; Lehmann,
// Nonparametrics, §1.2 and §1.4; gonum has no such test).
func mannWhitney(old, new []float64) (p float64, side int) {
	if len(old) == 0 || len(new) == 0 {
		return 1, 0
	}
	ranks, isNew, ties := rank(old, new)
	total, sum := 0, 0
	for i, r := range ranks {
		total += r
		if isNew[i] {
			sum += r
		}
	}
	n, m := len(new), len(ranks)
	// Ranks are doubled; distance is 2·m times what the sum is off by.
	distance := m*sum - n*total
	switch {
	case distance > 0:
		side = 1
	case distance < 0:
		side = -1
	}
	if m <= exactMax {
		return exactP(ranks, n, total, abs(distance)), side
	}
	return normalP(float64(len(old)), float64(n), float64(distance)/float64(2*m), ties), side
}

// rank returns twice the mid-ranks of the pooled values, which of them are of
// new, and Σ(t³−t) over groups of t ties.
func rank(old, new []float64) (ranks []int, isNew []bool, ties float64) {
	type value struct {
		v   float64
		new bool
	}
	var pool []value
	for _, v := range old {
		pool = append(pool, value{v, false})
	}
	for _, v := range new {
		pool = append(pool, value{v, true})
	}
	slices.SortStableFunc(pool, func(a, b value) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})
	for i := 0; i < len(pool); {
		j := i
		for j < len(pool) && pool[j].v == pool[i].v {
			j++
		}
		for k := i; k < j; k++ {
			ranks = append(ranks, i+1+j) // ranks i+1 … j: twice their mean
			isNew = append(isNew, pool[k].new)
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, isNew, ties
}

// exactP counts the ways to choose n of the ranks whose sum is at least as
// far from its expectation.
func exactP(ranks []int, n, total, distance int) float64 {
	// ways[k][s]: ways to choose k ranks with sum s among those seen so far.
	ways := make([][]float64, n+1)
	for k := range ways {
		ways[k] = make([]float64, total+1)
	}
	ways[0][0] = 1
	seen := 0
	for i, r := range ranks {
		for k := min(i+1, n); k >= 1; k-- {
			from, to := ways[k-1], ways[k]
			for s := seen; s >= 0; s-- {
				if from[s] > 0 {
					to[s+r] += from[s]
				}
			}
		}
		seen += r
	}
	all, far := 0.0, 0.0
	for s, w := range ways[n] {
		all += w
		if abs(len(ranks)*s-n*total) >= distance {
			far += w
		}
	}
	return far / all
}

// normalP is the approximation for many values; off is how far the rank sum
// lies from its expectation.
func normalP(a, b, off, ties float64) float64 {
	n := a + b
	variance := a * b / 12 * (n + 1 - ties/(n*(n-1)))
	if variance <= 0 {
		return 1 // all values are equal
	}
	z := max(0, math.Abs(off)-0.5) / math.Sqrt(variance)
	return min(1, 2*distuv.UnitNormal.Survival(z))
}

// leastP is the smallest p value that the test can give for so many values
// on each side: both tails of one way among all.
func leastP(a, b int) float64 {
	if a == 0 || b == 0 {
		return 1
	}
	ways := 1.0
	for i := 1; i <= min(a, b); i++ {
		ways = ways * float64(a+b-min(a, b)+i) / float64(i)
	}
	return min(1, 2/ways)
}

// enough returns the number of values a side from which one of tests many
// can be significant after Holm's correction.
func enough(tests int, alpha float64) int {
	n := 1
	for leastP(n, n)*float64(max(1, tests)) > alpha {
		n++
	}
	return n
}

// holm returns the p values adjusted for being many: each is the level at
// which its test would be rejected (source: Holm, 1979).
func holm(p []float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch {
		case p[i] < p[j]:
			return -1
		case p[i] > p[j]:
			return 1
		}
		return 0
	})
	out, least := make([]float64, len(p)), 0.0
	for k, i := range order {
		least = max(least, min(1, p[i]*float64(len(p)-k)))
		out[i] = least
	}
	return out
}

// bootstrap returns the interval that holds the middle of the ratios
// new/old of the medians of samples drawn anew from each side (the
// percentile bootstrap: Efron and Tibshirani, An Introduction to the
// Bootstrap, §13.3). Below about ten values a side it is narrower than it
// should be; a verdict never rests on it alone to report a change.
func bootstrap(old, new []float64, confidence float64, resamples int, r *rand.Rand) Interval {
	ratios, scratch := make([]float64, resamples), make([]float64, max(len(old), len(new)))
	draw := func(from []float64) float64 {
		s := scratch[:len(from)]
		for i := range s {
			s[i] = from[r.IntN(len(from))]
		}
		slices.Sort(s)
		return report.Middle(s)
	}
	for i := range ratios {
		ratios[i] = ratio(draw(old), draw(new))
	}
	slices.Sort(ratios)
	tail := (1 - confidence) / 2
	last := float64(resamples - 1)
	return Interval{Ratio(ratios[int(math.Floor(tail*last))] - 1), Ratio(ratios[int(math.Ceil((1-tail)*last))] - 1)}
}

// ratio is new/old, 1 when both are 0.
func ratio(old, new float64) float64 {
	if old == new {
		return 1
	}
	return new / old
}

// efficiency of the Mann–Whitney test beside the t test for normal values,
// 3/π (source: Lehmann, Nonparametrics, §2.4).
const efficiency = 3 / math.Pi

// detectable returns the smallest change that two samples of that size and
// spread would show with probability power in a test at level alpha:
// (z(1−α/2) + z(power)) · √(CV₁²/n₁ + CV₂²/n₂), by the efficiency of the
// test. 1.25 times the coefficient of variation for 10 values, 5 % and 80 %,
// before the efficiency.
func detectable(old, new []float64, alpha, power float64) float64 {
	spread := func(v []float64) float64 {
		c := variation(v)
		return c * c / float64(len(v))
	}
	return factor(alpha, power) * math.Sqrt((spread(old)+spread(new))/efficiency)
}

// needed returns how many values a side would show the effect, with the
// spread seen.
func needed(old, new []float64, effect, alpha, power float64) int {
	a, b := variation(old), variation(new)
	f := factor(alpha, power)
	return int(math.Ceil(f * f * (a*a + b*b) / efficiency / (effect * effect)))
}

func factor(alpha, power float64) float64 {
	return distuv.UnitNormal.Quantile(1-alpha/2) + distuv.UnitNormal.Quantile(power)
}

// variation is the standard deviation over the mean; 0 when there is no
// telling.
func variation(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	sum, squares := 0.0, 0.0
	for _, x := range v {
		sum += x
	}
	mean := sum / float64(len(v))
	if mean == 0 {
		return 0
	}
	for _, x := range v {
		squares += (x - mean) * (x - mean)
	}
	return math.Sqrt(squares/float64(len(v)-1)) / math.Abs(mean)
}

func abs(n int) int { return max(n, -n) }
