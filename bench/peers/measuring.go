package main

import (
	"fmt"
	"strconv"

	"github.com/execbench/execbench/engine/units"
)

// measuringRow bounds what measuring every attempt costs the three main
// workloads at 64 partitions. It cannot be switched off, so that there is
// nothing to compare with; but an empty attempt does little else than being
// measured, and all that it takes, times the attempts of a job, is more than
// measuring takes of the job.
func (l *lab) measuringRow() *Row {
	n := l.scaled(1e6)
	empty := l.queryJob("tasks", l.budget, "--tasks", strconv.Itoa(n), "--metg=false")
	empty.Per = float64(n)
	in, text, table := l.records(l.scaled(1e7)), l.text(units.Bytes(l.scaled(1e9))), l.table(l.scaled(1e7), l.scaled(1e6))
	row := &Row{Name: "measuring", Title: "what measuring costs, at most: an empty attempt × attempts ÷ run time, at 64 partitions", Inputs: []*Input{in, text, table}, Budget: l.budget,
		Sides: []*Side{empty}, Targets: []Target{{absolute, 0.01}}, Measuring: true}
	for _, w := range []struct {
		workload string
		in       *Input
	}{{"terasort", in}, {"wordcount", text}, {"groupby", table}} {
		s := l.queryJob(w.workload, l.budget, "--input", w.in.Path, "--partitions", "64")
		s.Name = w.workload
		row.Sides = append(row.Sides, s)
	}
	return row
}

// Cost is the share of a job that its attempts would take if they were empty.
type Cost struct {
	Workload string  `json:"workload"`
	Attempts int64   `json:"attempts"`
	Attempt  float64 `json:"empty_attempt_seconds"` // wall ÷ attempts: both workers have some
	Seconds  float64 `json:"seconds"`
	Share    Spread  `json:"share"`
	Holds    bool    `json:"holds"`
}

// costs works them out, round by round.
func costs(row *Row, runs map[string][]Run) ([]Cost, error) {
	empty := runs[row.Sides[0].Name]
	var table []Cost
	for _, s := range row.Sides[1:] {
		r := runs[s.Name]
		if len(r) == 0 || len(empty) == 0 {
			return nil, fmt.Errorf("%s or empty attempts have no runs", s.Name)
		}
		var shares []float64
		for i := range min(len(r), len(empty)) {
			shares = append(shares, empty[i].Seconds*float64(r[i].Attempts)/r[i].Seconds)
		}
		share := spreadOf(shares)
		table = append(table, Cost{s.Name, r[0].Attempts, spreadOf(of(empty, secondsOf)).Median, spreadOf(of(r, secondsOf)).Median, share, share.Median <= row.Targets[0].AtMost})
	}
	return table, nil
}
