package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/execbench/execbench/bench/report"
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

// String writes ratios.
func (s Spread) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Min), number(s.Max))
}

// medianInterval is an interval that holds the median of what the values are
// drawn from at 95 % or more; of too few values for one, it is all of them.
func medianInterval(values []float64) (low, high float64) {
	s := report.Summarise(values)
	if s.Interval == nil {
		return s.Min, s.Max
	}
	return s.Interval.Low, s.Interval.High
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
