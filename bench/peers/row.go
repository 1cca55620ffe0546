package main

import "github.com/execbench/execbench/engine/units"

// Row is one piece of work that all sides do.
type Row struct {
	Name, Title string
	Inputs      []*Input
	Sides       []*Side // the first is ours
	Targets     []Target
	// Budget is the memory that ours was given; 0 where the row states none.
	Budget units.Bytes
	// Verify names the workload by which the sides' outputs are verified; empty:
	// ours verifies itself in the round that is not counted.
	Verify string
	// Part of what the side in memory needs is the memory of the others; 0: the
	// row's budget.
	Part float64
	// Times multiplies the rounds: a row whose figures are smaller than what
	// few rounds can show has more of them. 0 is 1.
	Times int
	// Sizes make a row one about growth: sides come by size, see growth.go.
	Sizes []units.Bytes
	// Measuring makes a row one about what measuring costs, see measuring.go.
	Measuring bool
}

// The names of sides that the program knows.
const (
	ours       = "ours"
	limitSide  = "limit"
	duckdb     = "duckdb"
	clickhouse = "clickhouse"
	polars     = "polars"
	gnusort    = "gnu sort"
	spark      = "spark"
)

// Side is one way to do a row's work.
type Side struct {
	Name string
	// Peer is the name of what must be installed; empty: nothing.
	Peer    string
	Program string
	Args    []string
	// Counted are more arguments in the rounds that are counted.
	Counted []string
	// Run is ours' run folder, where figures are read; empty for all others.
	Run string
	// Answer is the folder of the output that is verified, if any.
	Answer string
	// Input is what the answer is verified against; empty: the input of ours.
	Input string
	// Folder is made before every run: of a side that writes a file in it.
	Folder string
	// Shape are the flags that say what ours' answer is, for who verifies it.
	Shape []string
	// Outputs are files or folders that are removed before and after every run.
	Outputs []string
	// Free has all the memory that it wants, whatever the row's budget.
	Free bool
	// Before is the side of ours that this one is with an earlier program.
	Before *Side
	Metric Metric
	// Per divides the measured seconds: tasks, where a row is told a task. 0
	// is 1.
	Per float64
	// Recorded is a figure, in seconds, from somewhere else: nothing is run.
	Recorded float64
	// Floor marks what does nothing but this work: no peer.
	Floor bool
}

// Metric says what is measured of a side: the whole process, the median of
// the timings that it prints, or a figure of ours' run folder.
type Metric struct{ Timing, Figure string }

// String says it in words.
func (m Metric) String() string {
	switch {
	case m.Figure != "":
		return m.Figure
	case m.Timing != "":
		return "query"
	}
	return "process"
}

// Target is a ratio, ours ÷ another side's, to stay at or under.
type Target struct {
	// Against names a side, or is fastestPeer, or absolute: then AtMost is
	// seconds.
	Against string
	AtMost  float64
}

const (
	fastestPeer = "fastest peer"
	absolute    = "absolute"
)

// Input is a file that rows read. It is made once and kept.
type Input struct {
	Path string // of the file, in the cache
	// Generate are the arguments of execbench gen that make its folder.
	Generate []string
	// From is another input that this one is made from, by Make.
	From *Input
	Make func(from, to string) *Side
	// Passing is an input that no side reads: it is removed when what is made
	// from it is there.
	Passing bool
}
