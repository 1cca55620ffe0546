// Package stats summarises the samples of one benchmark: centre, spread and
// an interval that holds whatever the distribution of the samples is.
//
// Its noun is [Summary]. It compares nothing: two sides are the business of
// another page. Samples are seconds here, but any unit will do.
package stats

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Confidence is the least probability with which an [Interval] covers the
// true median.
const Confidence = 0.95

// MinForInterval is the smallest number of samples that has an interval at
// [Confidence]: the whole range of n samples covers the median with
// probability 1 − 2·2⁻ⁿ, which is 0.9375 for five and 0.969 for six.
const MinForInterval = 6

// Interval is a closed range between two samples.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
	// Confidence is the probability of covering the median that the two
	// chosen order statistics have: at least the asked one, usually more.
	Confidence float64 `json:"confidence"`
}

// Summary describes a set of samples. The zero Summary is that of none.
type Summary struct {
	N      int     `json:"n"`
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
	Mean   float64 `json:"mean"`
	// CV is the standard deviation over the mean, 0 for fewer than two
	// samples.
	CV float64 `json:"cv"`
	// Interval is that of the median; nil for fewer than MinForInterval
	// samples, where none would deserve its name.
	Interval *Interval `json:"interval,omitempty"`
}

// Summarise describes samples. It keeps and changes nothing of them.
func Summarise(samples []float64) Summary {
	if len(samples) == 0 {
		return Summary{}
	}
	x := slices.Clone(samples)
	slices.Sort(x)
	s := Summary{N: len(x), Min: x[0], Max: x[len(x)-1], Median: median(x)}
	if len(x) == 1 {
		s.Mean = x[0]
		return s
	}
	mean, dev := stat.MeanStdDev(x, nil)
	s.Mean = mean
	if mean != 0 {
		s.CV = dev / mean
	}
	if low, high, confidence, ok := MedianRanks(len(x), Confidence); ok {
		s.Interval = &Interval{Low: x[low], High: x[high], Confidence: confidence}
	}
	return s
}

// Median returns the middle of samples, or the mean of the two in the
// middle; NaN of none. It keeps and changes nothing of them.
func Median(samples []float64) float64 {
	x := slices.Clone(samples)
	slices.Sort(x)
	return median(x)
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return math.NaN()
	}
	low := stat.Quantile(0.5, stat.Empirical, sorted, nil)
	if n%2 == 1 {
		return low
	}
	return low + (sorted[n/2]-low)/2
}

// MedianRanks returns the indices, in n sorted samples, of the narrowest
// pair at equal distance from both ends between which the median lies with
// at least the given confidence, and that pair's own confidence. ok is
// false when n samples cannot give it.
//
// The number of samples below the median is binomial with n and ½, so the
// samples at index k and n−1−k fail to enclose it with probability
// 2·P(B ≤ k). Source: the sign test's interval; Conover, Practical
// Nonparametric Statistics, section 3.2.
func MedianRanks(n int, confidence float64) (low, high int, actual float64, ok bool) {
	if n < 1 {
		return 0, 0, 0, false
	}
	below := distuv.Binomial{N: float64(n), P: 0.5}
	for k := 0; k < n-1-k; k++ {
		c := 1 - 2*below.CDF(float64(k))
		if c < confidence {
			break
		}
		low, high, actual, ok = k, n-1-k, c, true
	}
	return low, high, actual, ok
}
