package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/execbench/execbench/bench/report"
)

// Verdict says how new stands to old.
type Verdict string

// The verdicts. Less is better in every row.
const (
	Better Verdict = "better" // a change of at least the minimum effect, downwards
	Worse  Verdict = "worse"  // the same, upwards
	Same   Verdict = "same"   // what difference there may be is below the minimum effect
	Unsure Verdict = "unsure" // the samples cannot tell
)

// Options says how comparing decides. The zero value of each field means its
// default.
type Options struct {
	MinEffect  float64 // smallest change worth a verdict, as a share; 0.05
	Alpha      float64 // chance of a false alarm in a table; 0.05
	Confidence float64 // of the intervals; 0.95
	Power      float64 // chance with which the smallest detectable effect is seen; 0.8
	Resamples  int     // of the bootstrap; 5000
	Seed       uint64  // of the bootstrap

	noisy bool // the machine was not quiet: see decide
}

func (o Options) withDefaults() Options {
	for _, f := range []struct {
		at    *float64
		value float64
	}{{&o.MinEffect, 0.05}, {&o.Alpha, 0.05}, {&o.Confidence, 0.95}, {&o.Power, 0.8}} {
		if *f.at == 0 {
			*f.at = f.value
		}
	}
	if o.Resamples == 0 {
		o.Resamples = 5000
	}
	return o
}

// Ratio is a share, 0.2 for 20 %. In JSON what has no value, or no end, is
// null.
type Ratio float64

// MarshalJSON implements json.Marshaler.
func (r Ratio) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(r)) || math.IsInf(float64(r), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(r))
}

// Interval is a range of changes.
type Interval struct {
	Low  Ratio `json:"low"`
	High Ratio `json:"high"`
}

func (i Interval) within(effect float64) bool {
	return float64(i.Low) > -effect && float64(i.High) < effect
}

// Row is one comparison: the same figure, of iterations of both sides.
type Row struct {
	Workload string    `json:"workload"`
	Stage    string    `json:"stage,omitempty"` // empty: of the whole iteration
	Part     string    `json:"part"`
	Old      []float64 `json:"old_s"`
	New      []float64 `json:"new_s"`

	OldMedian float64   `json:"old_median_s"`
	NewMedian float64   `json:"new_median_s"`
	Change    Ratio     `json:"change"` // new/old − 1 of the medians
	Interval  *Interval `json:"interval,omitempty"`
	P         float64   `json:"p"`
	Adjusted  float64   `json:"p_adjusted"` // for the number of rows in its table
	Verdict   Verdict   `json:"verdict"`
	Why       string    `json:"why,omitempty"` // when unsure
	// Detectable is the smallest change that samples of this number and
	// spread would show; nil when no change could be.
	Detectable *Ratio `json:"detectable,omitempty"`
	// Needed is how many iterations a side would show the minimum effect.
	Needed int `json:"needed,omitempty"`

	side int // on which the ranks of New lie
}

// judge fills in the rows of one table. Rows without values on one of the
// sides are unsure and do not count as tests.
func judge(rows []*Row, o Options) {
	var p []float64
	var tested []*Row
	for _, r := range rows {
		if len(r.Old) == 0 || len(r.New) == 0 {
			r.P, r.Adjusted, r.Verdict, r.Why = 1, 1, Unsure, "one side has no samples"
			continue
		}
		tested = append(tested, r)
		r.OldMedian, r.NewMedian = report.Median(r.Old), report.Median(r.New)
		r.Change = Ratio(ratio(r.OldMedian, r.NewMedian) - 1)
		r.P, r.side = mannWhitney(r.Old, r.New)
		p = append(p, r.P)
	}
	for i, adjusted := range holm(p) {
		r := tested[i]
		r.Adjusted = adjusted
		// Every row draws from a stream of its own: what it says does not
		// depend on which rows stand beside it.
		random := rand.New(rand.NewPCG(o.Seed, uint64(len(r.Old))<<32|uint64(len(r.New))))
		interval := bootstrap(r.Old, r.New, o.Confidence, o.Resamples, random)
		r.Interval = &interval
		r.decide(len(tested), o)
	}
}

// decide gives the verdict of one of so many tests. What else a machine does
// falls on a whole process, and its iterations do not tell: where there was
// something, all of a change's interval must lie beyond the minimum effect.
func (r *Row) decide(tests int, o Options) {
	alpha := o.Alpha / float64(tests) // of Holm's first step
	constant := r.Interval.Low == 0 && r.Interval.High == 0 && variation(r.Old) == 0 && variation(r.New) == 0
	if leastP(len(r.Old), len(r.New)) > alpha && !constant {
		r.Needed = enough(tests, o.Alpha)
		r.Verdict = Unsure
		r.Why = fmt.Sprintf("too few samples: at least %d a side are needed", r.Needed)
		return
	}
	least := Ratio(detectable(r.Old, r.New, alpha, o.Power))
	r.Detectable = &least
	change := float64(r.Change)
	up, down := change, change
	if o.noisy {
		up, down = float64(r.Interval.Low), float64(r.Interval.High)
	}
	switch {
	case r.Adjusted <= o.Alpha && up >= o.MinEffect && r.side > 0:
		r.Verdict = Worse
	case r.Adjusted <= o.Alpha && down <= -o.MinEffect && r.side < 0:
		r.Verdict = Better
	case r.Interval.within(o.MinEffect):
		r.Verdict = Same
	default:
		r.Verdict = Unsure
		r.Needed = max(needed(r.Old, r.New, o.MinEffect, alpha, o.Power), enough(tests, o.Alpha))
		if have := min(len(r.Old), len(r.New)); r.Needed <= have {
			r.Needed = have + 1
		}
		r.Why = fmt.Sprintf("too much spread for the minimum effect: about %d samples a side would tell", r.Needed)
		switch {
		case r.Adjusted <= o.Alpha && math.Abs(change) >= o.MinEffect:
			r.Why = "there is a difference, which the machine can have made, as it was not quiet: make several runs a side, in turns"
		case r.Adjusted <= o.Alpha:
			r.Why = "there is a difference, and it may be below or above the minimum effect: " + fmt.Sprintf("about %d samples a side would tell", r.Needed)
		}
	}
}

// overall is the verdict of several rows: what is worst of them, where not
// knowing is worse than being the same.
func overall(rows []*Row) Verdict {
	has := map[Verdict]bool{}
	for _, r := range rows {
		has[r.Verdict] = true
	}
	for _, v := range []Verdict{Worse, Unsure, Better, Same} {
		if has[v] {
			return v
		}
	}
	return Unsure
}
