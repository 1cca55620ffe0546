package report

import (
	"fmt"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// wanted is a column to gather: a figure of a stage.
type wanted struct {
	stage  *Stage
	figure Figure
}

// bytes returns the memory that the column needs.
func (w wanted) bytes() int64 {
	k := w.stage.fold
	if fitsNarrow(k.low[w.figure], k.high[w.figure]) {
		return 4 * w.stage.Sampled
	}
	return 8 * w.stage.Sampled
}

// gather reads the events again: for the accounts of worker time, which need
// the phases to be known, and for the columns from which quantiles are taken,
// as many at a time as the limit lets in.
func (m *Model) gather(src Source, limit int64, workers workerTimes) error {
	stages := make(map[id.StageAttempt]*Stage)
	var queue []wanted
	for _, s := range m.Stages {
		stages[id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}] = s
		if s.Sampled == 0 {
			continue
		}
		for f := range FigureCount {
			if low, high := s.fold.low[f], s.fold.high[f]; low == high { // nothing to order
				s.fold.stats[f] = Quantiles{low, low, low, low, low, low}
			} else {
				queue = append(queue, wanted{s, f})
			}
		}
	}
	var untimed int64
	for charge := &untimed; charge != nil || len(queue) > 0; charge = nil {
		n, bytes := 0, int64(0)
		for n < len(queue) && (n == 0 || bytes+queue[n].bytes() <= limit) {
			bytes += queue[n].bytes()
			n++
		}
		if err := m.pass(src, stages, queue[:n], charge); err != nil {
			return err
		}
		queue = queue[n:]
	}
	m.Session.settle()
	for i := range m.Phases {
		m.Phases[i].settle()
	}
	for _, s := range m.Stages {
		s.finish()
	}
	busy, charged := workers.busy(), m.Session.WorkerTime-m.Session.Idle
	if len(workers.lives) > 0 && !near(busy, min(max(busy, charged), charged+untimed)) {
		m.Problems = append(m.Problems, fmt.Sprintf("workers were inside attempts for %s, the attempts' own times add up to %s",
			duration(busy), duration(charged)))
	}
	if m.Session.Idle < 0 {
		m.Problems = append(m.Problems, fmt.Sprintf("attempts took %s more than the workers had", duration(-m.Session.Idle)))
	}
	return nil
}

// near allows for the last attempts of a session, whose ends and the workers'
// own figures are taken at different moments.
func near(a, b int64) bool {
	d := max(a-b, b-a)
	return d <= max(a, b)/100+1e6 // 1 % + 1 ms
}

// pass reads the events once, fills the columns of the queue and takes their
// quantiles; the first pass also charges the accounts, and adds to untimed how
// long those attempts lived at most that ended with their executor or their
// slot and have no times.
func (m *Model) pass(src Source, stages map[id.StageAttempt]*Stage, queue []wanted, untimed *int64) error {
	for _, w := range queue {
		k := w.stage.fold
		k.columns[w.figure] = newColumn(int(w.stage.Sampled), fitsNarrow(k.low[w.figure], k.high[w.figure]))
	}
	var cut *event.Truncated
	var failed error
	for e := range whole(src, &cut, &failed) {
		end, ok := e.(*event.TaskEnd)
		if !ok || !counted(end) {
			continue
		}
		if untimed != nil && end.Stamps == (task.Stamps{}) && end.Reason == task.ExecutorLostFailure {
			*untimed += end.Info.Finish - end.Info.Launch
		}
		if untimed != nil && end.Stamps != (task.Stamps{}) {
			m.Session.charge(end)
			for i := range m.Phases {
				if p := &m.Phases[i]; p.Begin < end.Stamps.End && end.Stamps.Start < p.End {
					p.charge(end)
				}
			}
		}
		s := stages[end.Info.StageAttempt]
		if s == nil || !sampled(end) {
			continue
		}
		f := FiguresOf(end)
		for i, c := range s.fold.columns {
			if c != nil {
				c.append(f[i])
			}
		}
	}
	if failed != nil {
		return failed
	}
	for _, w := range queue {
		w.stage.fold.stats[w.figure] = w.stage.fold.columns[w.figure].quantiles()
		w.stage.fold.columns[w.figure] = nil
	}
	return nil
}

// finish turns what was folded into the stage's statistics.
func (s *Stage) finish() {
	k := s.fold
	s.fold = nil
	s.Other.OK = true
	if s.Counts.Started == 0 && s.Sampled == 0 {
		return
	}
	for f := range FigureCount {
		st := FigureStats{Figure: f, Name: f.Key(), Unit: unitName(f.Unit()), Total: s.totals[f], Quantiles: k.stats[f]}
		if f > Compute && st.Total == 0 && k.low[f] == 0 && k.high[f] == 0 {
			continue
		}
		if f.Unit() == task.Nanoseconds && s.totals[Wall] > 0 {
			st.Share = float64(st.Total) / float64(s.totals[Wall])
		}
		if s.Sampled > 0 {
			st.Largest = &k.largest[f]
		}
		if cpu, ok := cpuOf[f]; ok {
			st.CPU = &s.totals[cpu]
		}
		s.Figures = append(s.Figures, st)
	}
	onWorker := func(q Figure) int64 { return k.stats[q].Median }
	s.Other.Median = onWorker(Other)
	s.Other.Limit = (onWorker(TaskDecode)+onWorker(Run)+onWorker(ResultEncode)+onWorker(Other))/100 + otherAllowance
	s.Other.OK = s.Other.Median <= s.Other.Limit // 0 and 0.5 µs when none was sampled
}

// otherAllowance is the part of Other's bound that does not grow with the
// attempt, ns (design: Per-task breakdown).
const otherAllowance = 500

// cpuOf names the figure that holds the CPU time of a part.
var cpuOf = map[Figure]Figure{TaskDecode: DecodeCPU, Run: RunCPU, ResultEncode: EncodeCPU}

// judge adds what the figures themselves say is wrong.
func (m *Model) judge() {
	if !m.Application.Complete {
		m.Problems = append(m.Problems, "the session has no end: it was cut off, or is still running")
	}
	for _, s := range m.Stages {
		name := id.StageAttempt{Stage: s.ID, Attempt: s.Attempt}
		if !s.Other.OK {
			m.Problems = append(m.Problems, fmt.Sprintf("stage %s: the median attempt's other is %s, more than the %s allowed",
				name, duration(s.Other.Median), duration(s.Other.Limit)))
		}
		if s.Unbalanced > 0 {
			m.Problems = append(m.Problems, fmt.Sprintf("stage %s: the parts of %d attempts do not add up to their run", name, s.Unbalanced))
		}
	}
}
