package main

import (
	"strconv"

	"github.com/execbench/execbench/engine/units"
)

// withoutEvents ends the name of a workload's side that writes no event file.
const withoutEvents = ", no event file"

// measuringRow bounds what measuring every attempt costs the three main
// workloads at 64 partitions, in two ways. An empty attempt does little else
// than being measured, so all that it takes, times the attempts of a job, is
// more than measuring takes of the job. And each workload runs with the event
// file and without it, in pairs, by their processor time: 20 pairs where
// other rows have five rounds. (Figures of attempts are taken either way: they
// decide how attempts run.)
func (l *lab) measuringRow() *Row {
	n := l.scaled(1e6)
	empty := l.timedJob("tasks", 1, "--tasks", strconv.Itoa(n), "--metg=false")
	empty.Per = float64(n)
	in, text, table := l.records(l.scaled(1e7)), l.text(units.Bytes(l.scaled(1e9))), l.table(l.scaled(1e7), l.scaled(1e6))
	row := &Row{Name: "measuring", Title: "what measuring costs, at most: an empty attempt × attempts ÷ run time, at 64 partitions; and the event file, on ÷ off", Inputs: []*Input{in, text, table}, Budget: l.budget,
		Sides: []*Side{empty}, Targets: []Target{{absolute, 0.01}}, Measuring: true, Times: 4}
	for _, w := range []struct {
		workload string
		in       *Input
	}{{"terasort", in}, {"wordcount", text}, {"groupby", table}} {
		on := l.timedJob(w.workload, 1, "--input", w.in.Path, "--partitions", "64")
		on.Name = w.workload
		off := l.timedJob(w.workload, 1, "--input", w.in.Path, "--partitions", "64", "--events=off")
		off.Name = w.workload + withoutEvents
		row.Sides = append(row.Sides, on, off)
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
	// OnOff is the processor time with the event file ÷ without it, of pairs;
	// Low and High are the interval of its median at 95 %.
	OnOff Spread  `json:"on_off"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	Pairs int     `json:"pairs"`
	Holds bool    `json:"holds"`
}

// costs works them out, round by round, of the workloads that have runs.
func costs(row *Row, runs map[string][]Run) (table []Cost) {
	empty := runs[row.Sides[0].Name]
	for _, s := range row.Sides {
		on, off := runs[s.Name], runs[s.Name+withoutEvents]
		var shares, pairs []float64
		for k := range min(len(on), len(off), len(empty)) {
			shares = append(shares, empty[k].Seconds*float64(on[k].Attempts)/on[k].Seconds)
			pairs = append(pairs, on[k].CPU/off[k].CPU)
		}
		if len(pairs) == 0 {
			continue
		}
		c := Cost{Workload: s.Name, Attempts: on[0].Attempts, Attempt: spreadOf(of(empty, secondsOf)).Median, Seconds: spreadOf(of(on, secondsOf)).Median,
			Share: spreadOf(shares), OnOff: spreadOf(pairs), Pairs: len(pairs)}
		c.Low, c.High = medianInterval(pairs)
		// Nothing beyond its own interval: it may be that there is no cost.
		c.Holds = c.Share.Median <= row.Targets[0].AtMost && c.Low <= 1
		table = append(table, c)
	}
	return table
}
