package compare

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/engine/id"
)

// stageParts are the exclusive parts of the attempts' time, summed over the
// attempts of a stage. (Run is the sum of those inside it.)
var stageParts = []struct {
	figure report.Figure
	name   string
}{
	{report.SchedulerDelay, "scheduler delay"},
	{report.TaskDecode, "task decode"},
	{report.InputRead, "input read"},
	{report.ShuffleFetchWait, "shuffle fetch wait"},
	{report.Compute, "compute"},
	{report.ShuffleWrite, "shuffle write"},
	{report.Spill, "spill"},
	{report.OutputWrite, "output write"},
	{report.ResultEncode, "result encode"},
	{report.ResultFetch, "result fetch"},
	{report.Other, "other"},
}

// partKey names a part alike in every iteration of both runs.
type partKey struct{ stage, part string }

// partSeries holds the value of each part, in seconds, for each iteration.
type partSeries struct {
	order  []partKey
	values map[partKey][]float64
}

// siteLine is the line of a stage's place in its source, which moves when
// the source is edited.
var siteLine = regexp.MustCompile(`:\d+$`)

// partsOf reads the parts of the iterations that may be reported. A part
// that some iteration does not have is 0 there.
func partsOf(m *report.Model, samples []folder.Sample) partSeries {
	out := partSeries{values: map[partKey][]float64{}}
	wanted := map[int32]bool{}
	for _, s := range samples {
		if s.Phase == folder.Iteration && !s.Profiled && s.Error == "" {
			wanted[int32(s.Index)] = true
		}
	}
	iteration := 0
	for i := range m.Phases {
		p := &m.Phases[i]
		if p.Name != folder.Iteration || p.Error != "" || !wanted[p.Index] {
			continue
		}
		put := func(k partKey, ns int64) {
			v, known := out.values[k]
			if !known {
				out.order = append(out.order, k)
			}
			for len(v) <= iteration {
				v = append(v, 0)
			}
			v[iteration] += float64(ns) / 1e9
			out.values[k] = v
		}
		putStages(m, p, put)
		iteration++
	}
	out.pad(iteration)
	return out
}

// pad gives every part n values: it took no time where it is missing.
func (s *partSeries) pad(n int) {
	for k, v := range s.values {
		s.values[k] = append(v, make([]float64, n-len(v))...)
	}
}

// addMedians appends the medians of the parts of a run, which is number n.
func (s *partSeries) addMedians(run partSeries, n int) {
	if s.values == nil {
		s.values = map[partKey][]float64{}
	}
	s.order = union(s.order, run.order)
	for _, k := range run.order {
		s.values[k] = slices.Grow(s.values[k], 1) // known from here on
	}
	s.pad(n)
	for _, k := range run.order {
		s.values[k] = append(s.values[k], report.Median(run.values[k]))
	}
}

// putStages tells the parts of the stages of one iteration. The first stage
// that it ran is number 1, whatever its id.
func putStages(m *report.Model, p *report.Account, put func(partKey, int64)) {
	jobs := map[id.Job]bool{}
	for _, j := range m.Jobs {
		jobs[j.ID] = j.Submitted >= p.Begin && j.Submitted <= p.End
	}
	number, last := 0, id.Stage(-1)
	var spans [][2]int64
	for _, s := range m.Stages {
		if s.Submitted == 0 || !slices.ContainsFunc(s.Jobs, func(j id.Job) bool { return jobs[j] }) {
			continue
		}
		if s.ID != last {
			number, last = number+1, s.ID
		}
		name := fmt.Sprintf("%d %s", number, siteLine.ReplaceAllString(s.Name, ""))
		if s.Completed > s.Submitted {
			put(partKey{name, "elapsed"}, s.Completed-s.Submitted)
			spans = append(spans, [2]int64{s.Submitted, s.Completed})
		}
		for _, part := range stageParts {
			if ns := s.Total(part.figure); ns != 0 {
				put(partKey{name, part.name}, ns)
			}
		}
	}
	put(partKey{"", "outside of stages"}, p.Wall()-covered(spans))
}

// covered is the length of the union of spans.
func covered(spans [][2]int64) (ns int64) {
	slices.SortFunc(spans, func(a, b [2]int64) int { return int(max(-1, min(1, a[0]-b[0]))) })
	end := int64(0)
	for _, s := range spans {
		if from := max(s[0], end); s[1] > from {
			ns += s[1] - from
			end = s[1]
		}
	}
	return ns
}

// partShare is the share of all attempts' time, on the larger side, below
// which a part is left out: what cannot matter should cost no test. It is
// decided by size alone, never by difference.
const partShare = 0.01

// partRows pairs the parts of both sides.
func partRows(workload string, old, new partSeries) []*Row {
	var rows []*Row
	largest := 0.0
	for _, k := range union(old.order, new.order) {
		r := &Row{Workload: workload, Stage: k.stage, Part: k.part, Old: old.values[k], New: new.values[k]}
		rows = append(rows, r)
		if k.stage != "" && k.part != "elapsed" {
			largest += max(sum(r.Old)/float64(max(1, len(r.Old))), sum(r.New)/float64(max(1, len(r.New))))
		}
	}
	return slices.DeleteFunc(rows, func(r *Row) bool {
		size := max(sum(r.Old)/float64(max(1, len(r.Old))), sum(r.New)/float64(max(1, len(r.New))))
		return size < partShare*largest || size == 0
	})
}

// union keeps the order of the first, with what only the second has where
// it comes after the same predecessor.
func union(a, b []partKey) []partKey {
	out := slices.Clone(a)
	for i, k := range b {
		if slices.Contains(out, k) {
			continue
		}
		at := len(out)
		if i > 0 {
			at = slices.Index(out, b[i-1]) + 1
		}
		out = slices.Insert(out, at, k)
	}
	return out
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}
