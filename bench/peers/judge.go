package main

import (
	"time"

	"github.com/execbench/execbench/engine/units"
)

// Result is a row as measured.
type Result struct {
	Row    string    `json:"row"`
	Title  string    `json:"title"`
	Date   time.Time `json:"date"`
	Commit string    `json:"commit"`
	// Programs is a digest of the programs that are ours.
	Programs string `json:"programs"`
	Rounds   int    `json:"rounds"` // that are counted
	// Of is how many rounds were asked for: more, if it was interrupted or
	// could not begin.
	Of int `json:"of"`
	// NotBegun says that its rounds could not begin; the failures say why.
	NotBegun bool `json:"not_begun,omitempty"`
	// Took are the seconds that measuring took, rounds that are not counted and
	// verifying included.
	Took   float64      `json:"took_seconds"`
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
	PeakRSS  units.Bytes `json:"peak_rss_bytes"` // the largest of all runs; 0 is unknown
	Ratio    *Spread     `json:"ratio,omitempty"`
	Ours     bool        `json:"ours,omitempty"` // and held against the budget
	Floor    bool        `json:"floor,omitempty"`
	Before   bool        `json:"before,omitempty"` // ours, an earlier build
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
func judge(row *Row, runs map[string][]Run, result *Result) {
	first := runs[row.Sides[0].Name]
	for _, s := range row.Sides {
		r := runs[s.Name]
		if len(r) == 0 {
			continue
		}
		side := SideResult{Name: s.Name, Metric: s.Metric.String(), Ours: s.Run != "" && !s.Free && s.Before == nil, Floor: s.Floor, Before: s.Before != nil, Recorded: s.Recorded > 0, Runs: r,
			Seconds: spreadOf(of(r, secondsOf)),
			CPU:     spreadOf(of(r, func(r Run) float64 { return r.CPU })).Median}
		if s.Recorded == 0 {
			side.Command = append(append([]string{s.Program}, s.Args...), s.Counted...)
		}
		for _, x := range r {
			side.PeakRSS = max(side.PeakRSS, x.PeakRSS)
		}
		var ours []Run // what the ratio is of
		switch {
		case s.Before != nil:
			ours = runs[s.Before.Name]
		case s != row.Sides[0] && len(row.Sizes) == 0 && !row.Measuring:
			ours = first
		}
		if len(ours) > 0 {
			ratio := spreadOf(ratios(ours, r))
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
		if row.Measuring {
			result.Costs = costs(row, runs)
		} else {
			result.Growth = growth(row, runs)
		}
		return
	}
	if len(first) == 0 || !result.full() {
		return
	}
	for _, t := range row.Targets {
		if j, ok := judgeTarget(t, result.Sides); ok {
			result.Judged = append(result.Judged, j)
		}
	}
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
		case t.Against == fastestPeer && !s.Floor && !s.Recorded && !s.Before && (to == nil || s.Seconds.Median < to.Seconds.Median):
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
