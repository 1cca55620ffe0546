package main

import (
	"time"

	"github.com/execbench/execbench/engine/units"
)

// Result is a row as measured.
type Result struct {
	Row    string       `json:"row"`
	Title  string       `json:"title"`
	Date   time.Time    `json:"date"`
	Commit string       `json:"commit"`
	Rounds int          `json:"rounds"`
	Scale  float64      `json:"scale"`
	Budget units.Bytes  `json:"budget_bytes,omitempty"`
	Sides  []SideResult `json:"sides"`
	Judged []Judgement  `json:"targets,omitempty"`
	Growth []Growth     `json:"growth,omitempty"`
	Costs  []Cost       `json:"costs,omitempty"`
	// AtMost is the target of Growth and of Costs.
	AtMost float64 `json:"at_most,omitempty"`
	// WithinBudget is whether the peak RSS of every run of ours stayed within
	// the budget and 64 MiB.
	WithinBudget *bool    `json:"within_budget,omitempty"`
	Verified     string   `json:"verified"` // how
	Failures     []string `json:"failures,omitempty"`
	Missing      []string `json:"missing,omitempty"`
}

// SideResult is what one side took.
type SideResult struct {
	Name     string      `json:"name"`
	Metric   string      `json:"metric"`
	Command  []string    `json:"command,omitempty"`
	Seconds  Spread      `json:"seconds"`
	CPU      float64     `json:"cpu_seconds"`
	PeakRSS  units.Bytes `json:"peak_rss_bytes"` // the largest of all runs
	Ratio    *Spread     `json:"ratio,omitempty"`
	Ours     bool        `json:"ours,omitempty"` // and held against the budget
	Floor    bool        `json:"floor,omitempty"`
	Recorded bool        `json:"recorded,omitempty"`
	Runs     []Run       `json:"runs,omitempty"`
}

// full reports whether the row was measured as it is. Targets are for nothing
// else: of a part of the work, its start is most of what is measured.
func (x *Result) full() bool { return x.Scale == 1 }

// Judgement is a target and what was measured of it.
type Judgement struct {
	Against string  `json:"against"`
	AtMost  float64 `json:"at_most"`
	Got     float64 `json:"got"` // a ratio; seconds where Against is absolute
	Holds   bool    `json:"holds"`
}

// spare is what the promise about memory allows beside the budget.
const spare = 64 * units.MiB

// judge makes a result's figures from the runs of each side.
func judge(row *Row, runs map[string][]Run, result *Result) error {
	first := runs[row.Sides[0].Name]
	for _, s := range row.Sides {
		r := runs[s.Name]
		if len(r) == 0 {
			continue
		}
		side := SideResult{Name: s.Name, Metric: s.Metric.String(), Ours: s.Run != "" && s.Name != inMemory, Floor: s.Floor, Recorded: s.Recorded > 0, Runs: r,
			Seconds: spreadOf(of(r, secondsOf)),
			CPU:     spreadOf(of(r, func(r Run) float64 { return r.CPU })).Median}
		if s.Recorded == 0 {
			side.Command = append(append([]string{s.Program}, s.Args...), s.Counted...)
		}
		for _, x := range r {
			side.PeakRSS = max(side.PeakRSS, x.PeakRSS)
		}
		if s != row.Sides[0] && len(first) > 0 && len(row.Sizes) == 0 && !row.Measuring {
			ratio := spreadOf(ratios(first, r))
			side.Ratio = &ratio
		}
		result.Sides = append(result.Sides, side)
	}
	if peak := result.ourPeak(); peak > 0 && row.Budget > 0 {
		within := peak <= row.Budget+spare
		result.WithinBudget = &within
	}
	if len(row.Sizes) > 0 || row.Measuring {
		result.AtMost = row.Targets[0].AtMost
		var err error
		if row.Measuring {
			result.Costs, err = costs(row, runs)
		} else {
			result.Growth, err = growth(row, runs)
		}
		return err
	}
	if len(first) == 0 || !result.full() {
		return nil
	}
	for _, t := range row.Targets {
		if j, ok := judgeTarget(t, result.Sides); ok {
			result.Judged = append(result.Judged, j)
		}
	}
	return nil
}

// judgeTarget holds a target against the sides, ours first; false: nobody
// was there to be compared with.
func judgeTarget(t Target, sides []SideResult) (Judgement, bool) {
	j := Judgement{Against: t.Against, AtMost: t.AtMost}
	if t.Against == absolute {
		j.Got = sides[0].Seconds.Median
		j.Holds = j.Got <= t.AtMost
		return j, true
	}
	var to *SideResult
	for i := range sides {
		s := &sides[i]
		switch {
		case s.Ratio == nil:
		case t.Against == s.Name:
			to = s
		case t.Against == fastestPeer && !s.Floor && !s.Recorded && (to == nil || s.Seconds.Median < to.Seconds.Median):
			to = s
		}
	}
	if to == nil {
		return j, false
	}
	if t.Against == fastestPeer {
		j.Against = fastestPeer + ", " + to.Name
	}
	j.Got = to.Ratio.Median
	j.Holds = j.Got <= t.AtMost
	return j, true
}
