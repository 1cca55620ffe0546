package report

import (
	"math"
	"slices"
)

// Quantiles are the five figures between which attempts spread, and the
// largest of all.
type Quantiles struct {
	Min    int64 `json:"min"`
	P25    int64 `json:"p25"`
	Median int64 `json:"median"`
	P75    int64 `json:"p75"`
	P95    int64 `json:"p95"`
	Max    int64 `json:"max"`
}

// rank returns the index of quantile q among n > 0 ascending values, by
// Spark's rule (see the package's doc).
func rank(q float64, n int) int { return min(int(math.Floor(q*float64(n))), n-1) }

// column gathers one figure of a stage's attempts: four bytes each while all
// values fit, which is known beforehand.
type column struct {
	narrow []int32
	wide   []int64
}

func newColumn(rows int, narrow bool) *column {
	if narrow {
		return &column{narrow: make([]int32, 0, rows)}
	}
	return &column{wide: make([]int64, 0, rows)}
}

func fitsNarrow(low, high int64) bool { return low >= math.MinInt32 && high <= math.MaxInt32 }

func (c *column) append(v int64) {
	if c.wide == nil {
		c.narrow = append(c.narrow, int32(v))
		return
	}
	c.wide = append(c.wide, v)
}

// quantiles sorts the column and picks from it.
func (c *column) quantiles() Quantiles {
	if c.wide == nil {
		slices.Sort(c.narrow)
		return pick(c.narrow)
	}
	slices.Sort(c.wide)
	return pick(c.wide)
}

func pick[T int32 | int64](v []T) Quantiles {
	if len(v) == 0 {
		return Quantiles{}
	}
	at := func(q float64) int64 { return int64(v[rank(q, len(v))]) }
	return Quantiles{at(0), at(0.25), at(0.5), at(0.75), at(0.95), at(1)}
}
