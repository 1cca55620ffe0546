package report

import (
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Summary describes repeated measurements of one thing, in seconds.
type Summary struct {
	Values []float64 `json:"values_s"` // in the order measured
	Median float64   `json:"median_s"`
	Min    float64   `json:"min_s"`
	Max    float64   `json:"max_s"`
	// Interval holds the true median with at least Confidence; nil with
	// fewer than MinSamples values, when no such interval exists.
	Interval   *Interval `json:"interval,omitempty"`
	Confidence float64   `json:"confidence"`
}

// Interval is a range of seconds.
type Interval struct {
	Low  float64 `json:"low_s"`
	High float64 `json:"high_s"`
	// Coverage is the interval's own confidence, which the ranks make at
	// least the one asked for.
	Coverage float64 `json:"coverage"`
}

const (
	// Confidence of the median's interval.
	Confidence = 0.95
	// MinSamples is the least number of values with an interval of that
	// confidence: 1 − 2·2⁻ⁿ ≥ 0.95 from n = 6 on.
	MinSamples = 6
)

// Median returns the median of values in any order, which stay as they are;
// 0 of none.
func Median[T ~int64 | ~float64](values []T) T { return Middle(slices.Sorted(slices.Values(values))) }

// Middle returns the median of ascending values, of an even number of them
// the mean of the middle two; 0 of none.
func Middle[T ~int64 | ~float64](ascending []T) T {
	n := len(ascending)
	if n == 0 {
		return 0
	}
	return (ascending[(n-1)/2] + ascending[n/2]) / 2
}

// Summarise computes the median of one or more values and its interval. The
// interval runs
// between two order statistics, x(k) and x(n+1−k) with the largest k that
// keeps the confidence: it assumes that values are independent and nothing of
// their distribution (source: the sign test's interval, as in Conover,
// Practical Nonparametric Statistics, §3.2). values is not changed.
func Summarise(values []float64) Summary {
	x := slices.Sorted(slices.Values(values))
	n := len(x)
	s := Summary{Values: slices.Clone(values), Confidence: Confidence}
	if n == 0 {
		return s
	}
	s.Min, s.Max, s.Median = x[0], x[n-1], Middle(x)
	below := distuv.Binomial{N: float64(n), P: 0.5}
	for k := n / 2; k >= 1; k-- {
		if coverage := 1 - 2*below.CDF(float64(k-1)); coverage >= Confidence {
			s.Interval = &Interval{x[k-1], x[n-k], coverage}
			break
		}
	}
	return s
}
