package scheduler

import (
	"slices"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// What workers and driver say to each other of chains, as package executor and
// driver.go have it.

// row is what was launched together: an attempt and those that follow it on
// its slot, mostly none.
type row struct {
	on      *simExecutor
	left    int    // attempts that have not ended for the core
	waits   []*run // have not begun
	chained bool   // there were any
	// held are the reports that the worker holds back, since when.
	held  []*TaskStatus
	since int64
}

// holdReports is how long a worker holds reports back for others to join
// them.
const holdReports = int64(400 * time.Microsecond)

// launchRow launches attempts, of which each begins when the one before it has
// ended.
func (s *sim) launchRow(c *Launch) (launched []*run) {
	x := s.find(c.Executor)
	s.checkMessages(c.Desc, c.Then)
	l := &row{on: x, left: 1 + len(c.Then), chained: len(c.Then) > 0, since: s.now}
	launched = append(launched, s.launch(c.Task, l))
	for _, next := range c.Then {
		r := s.launch(next.Task, l)
		before := launched[len(launched)-1]
		if r.StageAttempt != before.StageAttempt || r.Barrier {
			s.t.Fatalf("attempt %d of %v is to follow one of %v", r.Task, r.StageAttempt, before.StageAttempt)
		}
		s.stream.follows[r.Task], s.stream.leads[before.Task] = before.Task, true
		l.waits = append(l.waits, r)
		launched = append(launched, r)
	}
	for _, ts := range s.core.sets {
		if r := launched[0]; len(c.Then) > 0 && ts.id != r.StageAttempt && !ts.draining && ts.idle > 0 {
			s.t.Fatalf("attempts follow attempt %d though %d tasks of %v want slots", r.Task, ts.idle, ts.id)
		}
	}
	if s.followed += len(c.Then); len(c.Then) > s.w.chain {
		s.t.Fatalf("%d attempts follow attempt %d", len(c.Then), c.Task)
	}
	x.core++
	s.rows = append(s.rows, l)
	if x.alive {
		s.soon(func() {
			if r := launched[0]; s.lives(r) {
				s.begin(r)
			}
		})
	}
	return launched
}

// leave takes an attempt off its row, and the row off its slot with the last.
func (s *sim) leave(l *row) {
	if l.left--; l.left == 0 {
		l.on.core--
		s.rows = slices.DeleteFunc(s.rows, func(o *row) bool { return o == l })
	}
}

// handOn is what a worker does when an attempt of a chain ends: the next one
// begins at once, and the report is held back unless there is no next one, or
// it failed, or too long has passed.
func (s *sim) handOn(r *run, e *TaskStatus) {
	l := r.row
	l.hold(s, e)
	hold := e.Status.State == task.Finished && s.now-l.since <= holdReports && len(l.waits) > 0
	var next *run
	if len(l.waits) > 0 {
		next, l.waits = l.waits[0], l.waits[1:]
		next.began = s.now
		if !next.silent {
			l.hold(s, saysRuns(next))
		}
	}
	if hold {
		s.work(next)
		return
	}
	bring := l.held
	l.held = nil
	deliver := func() {
		for _, e := range bring {
			s.report(e)
		}
		if next != nil && s.lives(next) {
			s.work(next)
		}
	}
	if r.inHand == 0 {
		deliver()
		return
	}
	s.at(s.now+int64(r.inHand), deliver)
}

func (l *row) hold(s *sim, e *TaskStatus) {
	if len(l.held) == 0 {
		l.since = s.now
	}
	l.held = append(l.held, e)
}

// callBack is the driver's: reports that are held back come first, then the
// attempts that have not begun go.
func (s *sim) callBack() {
	var back []id.Task
	for _, l := range slices.Clone(s.rows) {
		for _, e := range l.held {
			s.due = append(s.due, e)
		}
		l.held = nil
		for _, r := range l.waits {
			back = append(back, r.Task)
			s.drop(r)
			s.stream.neverWas[r.Task] = true
		}
		l.waits = nil
	}
	s.calledBack += len(back)
	s.due = append(s.due, &Recalled{Tasks: back})
}

// endsChains reports whether nothing may wait behind another after an event:
// it may decide about those, or about slots. So does what ends an attempt
// without success (stream.failedAt).
func endsChains(e Event) bool {
	switch e.(type) {
	case *JobSubmitted, *JobCancelled, *GroupCancelled, *TagCancelled, *StageCancelled, *AllCancelled, *KillRequested, *BarrierArrived,
		*ExecutorAdded, *ExecutorGone, *ExecutorLost, *SlotLost, *TimerDue:
		return true
	}
	return false
}

// checkChains looks at the attempts that have not begun, after a step and all
// that came of it. The step began after so many others.
func (s *sim) checkChains(e Event, after int) {
	if !endsChains(e) {
		after = s.stream.failedAt
	}
	var waits *run
	for _, l := range s.rows {
		for _, r := range l.waits {
			waits = r
			if at := s.stream.stages[r.StageAttempt]; !at.open {
				s.t.Fatalf("attempt %d waits though its stage attempt %v is over", r.Task, r.StageAttempt)
			}
			if r.step < after {
				s.t.Fatalf("attempt %d still waits after %T, or after an attempt that failed", r.Task, e)
			}
			if kept := s.now - r.launched; kept > chainLook {
				s.t.Fatalf("attempt %d is kept waiting for %v", r.Task, time.Duration(kept))
			}
		}
	}
	if waits == nil || s.core.asked > 0 {
		return
	}
	for _, x := range s.execs {
		if x.alive && s.core.executor(x.id).alive && (x.core+1)*s.w.cpus <= x.slots {
			s.t.Fatalf("attempt %d waits though executor %s has a free slot", waits.Task, x.id)
		}
	}
}
