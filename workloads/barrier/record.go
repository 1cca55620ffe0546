package barrier

import (
	"fmt"
	"math"
	"slices"

	"github.com/execbench/execbench/workloads"
)

// record is what the caller of the job keeps of all rounds. It is filled by
// one goroutine.
type record struct {
	rounds  int
	heard   [][]heard // by task, then by round; shorter than rounds if a task told of fewer
	barrier syncs
	gather  syncs
}

// heard is what one task gathered in one round.
type heard struct {
	messages int64
	hash     uint64 // of all messages, in order
	first    uint64 // of the first task's
}

// syncs are the syncs of one kind, by round.
type syncs []moments

// moments of a sync, over all of its tasks.
type moments struct {
	lastCame  int64
	firstLeft int64
	lastLeft  int64
}

func newRecord(tasks, rounds int) *record {
	r := &record{rounds: rounds, heard: make([][]heard, tasks), barrier: make(syncs, rounds), gather: make(syncs, rounds)}
	for i := range rounds {
		none := moments{math.MinInt64, math.MaxInt64, math.MinInt64}
		r.barrier[i], r.gather[i] = none, none
	}
	return r
}

// add takes what one task tells.
func (r *record) add(part int, told []round) error {
	if len(told) > r.rounds {
		return fmt.Errorf("task %d tells of %d rounds of %d", part, len(told), r.rounds)
	}
	of := make([]heard, len(told))
	for i := range told {
		x := &told[i]
		of[i] = heard{x.Messages, x.Hash, x.First}
		r.barrier[i].add(x.BarrierFrom, x.BarrierTo)
		r.gather[i].add(x.GatherFrom, x.GatherTo)
	}
	r.heard[part] = of
	return nil
}

func (m *moments) add(from, to int64) {
	m.lastCame = max(m.lastCame, from)
	m.firstLeft = min(m.firstLeft, to)
	m.lastLeft = max(m.lastLeft, to)
}

// figures describes the latencies.
func (s syncs) figures(name string) []workloads.Figure {
	took := make([]int64, len(s))
	for i, m := range s {
		took[i] = m.lastLeft - m.lastCame
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[min(int(q*float64(len(took))), len(took)-1)]) / 1e9 }
	return []workloads.Figure{
		{Name: name + ", median", Value: at(0.5), Unit: "s"},
		{Name: name + ", p99", Value: at(0.99), Unit: "s"},
		{Name: name + ", max", Value: at(1), Unit: "s"},
	}
}
