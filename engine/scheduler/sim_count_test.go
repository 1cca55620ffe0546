package scheduler

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// What the core counts, counted again from what was told of it.

// counts follow the events of task ends.
type counts struct {
	fails  map[id.StageAttempt]map[int32]int32       // failures that count, by index, since its task last succeeded
	wins   map[id.StageAttempt]map[int32]id.Executor // of map tasks: where the output that counts was written
	broken map[id.Stage]map[int32]bool               // attempts in a row that failed
	killed map[id.Task]string                        // why attempts were told to end
	ran    map[id.Task]bool                          // as their executors told
	total  map[id.StageAttempt]int64                 // bytes of the results of attempts that have ended
}

func newCounts() counts {
	return counts{fails: map[id.StageAttempt]map[int32]int32{}, wins: map[id.StageAttempt]map[int32]id.Executor{},
		broken: map[id.Stage]map[int32]bool{}, killed: map[id.Task]string{}, ran: map[id.Task]bool{}, total: map[id.StageAttempt]int64{}}
}

// inner returns the map in m under k.
func inner[K, L comparable, V any](m map[K]map[L]V, k K) map[L]V {
	x := m[k]
	if x == nil {
		x = map[L]V{}
		m[k] = x
	}
	return x
}

// taskEnded counts a task's end. The attempt had started, as its executor told.
func (m *stream) taskEnded(e *event.TaskEnd, started bool) {
	n, index := e.Info.StageAttempt, e.Info.Index
	wins := inner(m.wins, n)
	_, done := wins[index]
	switch {
	case e.Reason == task.Success:
		delete(inner(m.fails, n), index)
		if !done {
			wins[index] = e.Info.Executor
		}
	case e.Reason == task.Resubmitted:
		delete(wins, index)
	case e.Reason == task.FetchFailed:
		if m.latest[n.Stage] == n {
			inner(m.broken, n.Stage)[n.Attempt] = true
		}
	case !done && (e.Reason.CountsTowardsFailures() || e.Reason == task.ExecutorLostFailure && started && e.Failure.CausedByApp):
		inner(m.fails, n)[index]++
	}
}

// resultEnded counts the result of an attempt that had finished, which does not
// count if another's did.
func (m *stream) resultEnded(e *event.TaskEnd, reported *TaskStatus) {
	if reported == nil || reported.Status.State != task.Finished || e.Kind != task.ResultTask || e.Reason == task.TaskKilled {
		return
	}
	m.total[e.Info.StageAttempt] += resultSize(reported)
}

func resultSize(e *TaskStatus) int64 {
	if e.Status.Route == task.RouteDirect {
		return int64(len(e.Result.Value))
	}
	return e.Status.Size
}

// stageCompleted counts the end of a stage attempt.
func (m *stream) stageCompleted(e *event.StageCompleted) {
	n := e.Stage.StageAttempt
	switch {
	case e.Stage.Failure == "":
		delete(m.broken, n.Stage)
	case strings.HasPrefix(e.Stage.Failure, "barrier ") && e.Stage.Kind == task.ShuffleMapTask:
		inner(m.broken, n.Stage)[n.Attempt] = true
	}
}

// lost checks that what an executor had written is written again, by stages
// that run.
func (m *stream) lost(x id.Executor, bad func(string, ...any)) {
	for n, wins := range m.wins {
		at := m.stages[n]
		for index, on := range wins {
			if on == x && at.open && at.info.Kind == task.ShuffleMapTask {
				bad("the output of task %d of %v is lost, and nobody tells that it is written again", index, n)
			}
		}
	}
}

// checkCounts compares the core's counts with those of what was told.
func (s *sim) checkCounts() {
	for _, ts := range s.core.sets {
		if ts.stage.dep == nil && !ts.aborted {
			s.checkTotal(ts)
		}
		if ts.draining {
			continue
		}
		fails := s.stream.fails[ts.id]
		for pos, done := range ts.done {
			if index := ts.indices[pos]; !done && ts.fails[int32(pos)] != fails[index] {
				s.t.Fatalf("task %d of %v failed %d times, counted %d", index, ts.id, fails[index], ts.fails[int32(pos)])
			}
		}
	}
	for n, st := range s.core.stages {
		if told := s.stream.broken[n]; len(told) != len(st.failures) {
			s.t.Fatalf("%d attempts of stage %d in a row have failed, counted %v", len(told), n, st.failures)
		}
	}
	for n, j := range s.jobs {
		if c := s.core.jobs[id.Job(n)]; c != nil && c.untaken != j.untaken {
			s.t.Fatalf("the caller of job %d is to handle %d bytes of results, counted %d", n, j.untaken, c.untaken)
		}
	}
	for _, d := range s.shuffles {
		if m := s.core.outputs.shuffles[d.Shuffle]; m != nil {
			for _, status := range m.statuses {
				if status == nil {
					continue
				}
				if why := s.stream.killed[status.Map]; strings.HasPrefix(why, "stage rolled back") {
					s.t.Fatalf("the output of attempt %d counts, which was told to end: %s", status.Map, why)
				}
			}
		}
	}
}

// checkTotal compares what the core counted of a set's results with those of
// attempts that have ended and of those whose result is fetched.
func (s *sim) checkTotal(ts *taskSet) {
	total := s.stream.total[ts.id]
	for n, e := range s.stream.reported {
		if a := s.core.attempts.get(n); a != nil && a.set == ts && a.fetch {
			total += resultSize(e)
		}
	}
	if total != int64(ts.total.Sum()) {
		s.t.Fatalf("the results of %v come to %d bytes, counted %d", ts.id, total, ts.total.Sum())
	}
}

// setOf returns the task set of a stage attempt, if it still launches.
func (c *Core) setOf(n id.StageAttempt) *taskSet {
	for _, ts := range c.sets {
		if ts.id == n && !ts.draining {
			return ts
		}
	}
	return nil
}

// slots is how many tasks can run at once on the executors that the driver
// thinks are there.
func (s *sim) slots() (n int) {
	for _, x := range s.execs {
		if s.core.executor(x.id).alive {
			n += x.slots / s.w.cpus
		}
	}
	return n
}

// checkWaits looks at barrier sets that no slots are free for: those that have
// too few to come wait for a time, the others for ever.
func (s *sim) checkWaits() {
	for _, ts := range s.core.sets {
		if ts.givesUp != 0 && (ts.draining || ts.idle < ts.left) {
			s.t.Fatalf("barrier stage %v, which waits no more, is to give up at %d", ts.id, ts.givesUp)
		}
	}
	slots, free := s.slots(), false
	for _, x := range s.execs {
		free = free || x.alive && s.core.executor(x.id).alive && (x.core+1)*s.w.cpus <= x.slots
	}
	if !free || s.w.excludes || s.core.asked > 0 {
		return // nothing was offered, so nobody has looked
	}
	for _, ts := range s.core.sets {
		if ts.barrier && !ts.draining && ts.idle == ts.left && !s.core.heldBack(ts.job) && (ts.left > slots) != (ts.givesUp != 0) {
			s.t.Fatalf("barrier stage %v waits for %d slots, there are %d, and it is to give up at %d", ts.id, ts.left, slots, ts.givesUp)
		}
	}
}

// checkDue finds what should have been done by now.
func (s *sim) checkDue() {
	due := func(what any, at int64) {
		if at != 0 && at < s.now {
			s.t.Fatalf("%v was due %v ago", what, time.Duration(s.now-at))
		}
	}
	c := s.core
	due("the resubmission of stages", c.resubmit)
	due("a look for slow tasks", c.check)
	due("a look for silent executors", c.silence)
	due("the end of an exclusion", c.lift)
	due("a look at chains", c.lookAt)
	due("a word on starvation", c.starves)
	for _, w := range c.waiting {
		due("another try to start a job", w.at)
	}
	for _, x := range c.barriers.syncs {
		due("the end of a sync", x.deadline)
	}
	for _, ts := range c.sets {
		if due(fmt.Sprint("the next locality level of ", ts.id), ts.opens); ts.health != nil && !ts.draining {
			due(fmt.Sprint("the abortion of ", ts.id), ts.health.abort)
		}
		due(fmt.Sprint("that barrier stage gives up: ", ts.id), ts.givesUp)
	}
}

// checkSlotsError checks that a job that failed for want of slots lacked them.
func (s *sim) checkSlotsError(err error) {
	if !errors.Is(err, ErrSlots) {
		return
	}
	_, text, _ := strings.Cut(err.Error(), "cannot run the ")
	var tasks, slots int
	if n, err := fmt.Sscanf(text, "%d tasks of a barrier stage at once on %d slots", &tasks, &slots); n != 2 {
		s.t.Fatalf("it does not tell what is missing: %v", err)
	}
	if tasks <= slots || slots != s.slots() {
		s.t.Fatalf("there are %d slots: %v", s.slots(), err)
	}
}
