package main

import (
	"math"
	"slices"
)

// Spread is the middle and the ends of some values.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf of no values is not a number.
func spreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// medianInterval is an interval that holds the median of what the values are
// drawn from at 95 % or more: the values whose ranks a fair coin's heads, one
// toss a value, keep between so often. With fewer than six values it is all of
// them, at less.
func medianInterval(values []float64) (low, high float64) {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	rank, below, next := 0, 0.0, math.Pow(0.5, float64(n)) // P(heads ≤ rank-1), P(heads = rank)
	for below+next <= 0.025 && rank < (n-1)/2 {
		below += next
		next *= float64(n-rank) / float64(rank+1)
		rank++
	}
	rank = max(rank-1, 0)
	return v[rank], v[n-1-rank]
}

// ratios are those of values of the same round, one by one, so that what
// slowed a whole round down does not show.
func ratios(a, b []Run) []float64 {
	var out []float64
	for i := range min(len(a), len(b)) {
		out = append(out, a[i].Seconds/b[i].Seconds)
	}
	return out
}

// of takes one figure of every run.
func of(runs []Run, figure func(Run) float64) []float64 {
	out := make([]float64, len(runs))
	for i, r := range runs {
		out[i] = figure(r)
	}
	return out
}

func secondsOf(r Run) float64 { return r.Seconds }

// turn is the order in which n sides run in a round: there and back, so that
// none is always behind the same one and drift falls on all alike.
func turn(round, n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}
