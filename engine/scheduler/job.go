package scheduler

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
)

// job is one active job.
type job struct {
	id       id.Job
	spec     *JobSpec
	final    *stage
	stages   []*stage // every stage it needs, by id
	finished []bool   // [results] by result index
	left     int      // results missing
	fetching int64    // bytes of stored results on their way
	untaken  int64    // bytes of values delivered and not yet handled, as far as was told
}

// waitingJob is a barrier job that found too few slots and looks again.
type waitingJob struct {
	id       id.Job
	spec     *JobSpec
	at       int64
	failures int
}

func (s *JobSpec) results() int {
	switch {
	case s.Shuffle != nil:
		return 1
	case s.Partitions != nil:
		return len(s.Partitions)
	}
	return s.Final.Partitions
}

func (s *JobSpec) name() string {
	if s.Site == "" {
		return s.Action
	}
	return s.Action + " at " + s.Site
}

func (j *job) interrupt() bool {
	yes, err := strconv.ParseBool(j.spec.Properties[propInterrupt])
	return err == nil && yes
}

func (j *job) hasTag(tag string) bool {
	for t := range strings.SplitSeq(j.spec.Properties[propTags], ",") {
		if t == tag && t != "" {
			return true
		}
	}
	return false
}

func (c *Core) jobSubmitted(n id.Job, spec *JobSpec) { c.startJob(&waitingJob{id: n, spec: spec}) }

// startJob creates the job's stages and submits the last. What goes wrong
// before that is told to the caller alone: there are no events of such a job.
func (c *Core) startJob(w *waitingJob) {
	spec := w.spec
	if g := spec.Properties[propGroup]; g != "" && slices.Contains(c.groups, g) {
		c.refuse(w.id, fmt.Sprintf("its group %q is cancelled", g), ErrCancelled)
		return
	}
	if len(c.executors) > 0 && !c.anyExecutor() {
		c.refuse(w.id, ErrNoExecutor.Error(), ErrNoExecutor)
		return
	}
	for _, p := range spec.Partitions {
		if p < 0 || int(p) >= spec.Final.Partitions {
			c.refuse(w.id, fmt.Sprintf("partition %d is none of the %d of %s", p, spec.Final.Partitions, spec.Final.Name), nil)
			return
		}
	}
	if spec.results() == 0 {
		c.emptyJob(w.id, spec)
		return
	}
	if spec.Shuffle != nil && spec.Final.Partitions == 0 {
		c.refuse(w.id, "a map-stage job needs at least one partition", nil)
		return
	}
	clear(c.locations)
	j := &job{id: w.id, spec: spec, finished: make([]bool, spec.results()), left: spec.results()}
	if err := c.createStages(j); err != nil {
		c.forget(j)
		if errors.Is(err, ErrSlots) && spec.Shuffle == nil && w.failures < c.cfg.Barrier.CheckMaxFailures {
			w.failures++
			w.at = c.now + int64(c.cfg.Barrier.CheckInterval)
			c.waiting = append(c.waiting, w)
			c.warn(fmt.Sprintf("job %d waits: %v", w.id, err))
			return
		}
		c.refuse(w.id, err.Error(), err)
		return
	}
	c.jobs[j.id] = j
	at, _ := slices.BinarySearchFunc(c.active, j.id, func(a *job, b id.Job) int { return cmp.Compare(a.id, b) })
	c.active = slices.Insert(c.active, at, j)

	start := &event.JobStart{At: c.now, Job: j.id, Name: spec.name(), Properties: maps.Clone(spec.Properties)}
	for _, s := range j.stages {
		start.Stages = append(start.Stages, s.info)
	}
	c.emit(start)
	if spec.Shuffle != nil {
		j.final.mapJobs = append(j.final.mapJobs, j)
		if !j.final.busy() && c.outputs.complete(spec.Shuffle.Shuffle) {
			c.finishMapJobs(j.final)
			return
		}
	}
	c.enqueue(j.final)
}

func (c *Core) refuse(n id.Job, reason string, cause error) {
	c.command(&EndJob{Job: n, Err: &JobError{Job: n, Reason: reason, Cause: cause}})
}

func (c *Core) emptyJob(n id.Job, spec *JobSpec) {
	c.emit(&event.JobStart{At: c.now, Job: n, Name: spec.name(), Properties: maps.Clone(spec.Properties)})
	c.emit(&event.JobEnd{At: c.now, Job: n})
	c.command(&EndJob{Job: n})
}

func (c *Core) retryWaitingJobs() {
	due := c.waiting
	c.waiting = nil
	for _, w := range due {
		if c.now >= w.at {
			c.startJob(w)
		} else {
			c.waiting = append(c.waiting, w)
		}
	}
}

// deliver hands one result of a job to its caller.
func (c *Core) deliver(j *job, index int32, value []byte, totals []int64) {
	d := c.slabs.give.next()
	*d = Deliver{Job: j.id, Index: index, Value: value, Totals: totals}
	c.out = append(c.out, d)
}

// resultIn takes the value of result index. The event JobEnd(success) goes
// out before the last value.
func (c *Core) resultIn(j *job, s *stage, index int32, value []byte) {
	j.finished[index] = true
	j.left--
	if j.left > 0 {
		j.untaken += int64(len(value))
		c.deliver(j, index, value, nil)
		return
	}
	c.finishStage(s, "", false)
	c.endStages(j, "job "+strconv.Itoa(int(j.id))+" is complete", s)
	c.forget(j)
	c.killStage(s, false, "stage is finished")
	c.emit(&event.JobEnd{At: c.now, Job: j.id})
	c.deliver(j, index, value, nil)
	c.command(&EndJob{Job: j.id})
}

// resultsTaken notes that the caller of a job has handled values.
func (c *Core) resultsTaken(e *ResultsTaken) {
	if j := c.jobs[e.Job]; j != nil {
		c.lessUntaken(j, func(j *job) { j.untaken -= e.Bytes })
	}
}

// lessUntaken offers slots if what subtract does lets a job go on.
func (c *Core) lessUntaken(j *job, subtract func(*job)) {
	held := c.heldBack(j)
	subtract(j)
	c.offers = c.offers || held && !c.heldBack(j)
}

// heldBack reports whether a job's caller is so far behind its results that
// no more of them are to be made.
func (c *Core) heldBack(j *job) bool { return j.fetching+j.untaken > int64(c.cfg.MaxUntaken) }

// finishMapJobs ends the map-stage jobs of an available stage.
func (c *Core) finishMapJobs(s *stage) {
	jobs := s.mapJobs
	s.mapJobs = nil
	for _, j := range jobs {
		j.left, j.finished[0] = 0, true
		totals := c.outputs.totals(s.dep.Shuffle, s.dep.Reducers)
		c.endStages(j, "job "+strconv.Itoa(int(j.id))+" is complete", nil)
		c.forget(j)
		c.emit(&event.JobEnd{At: c.now, Job: j.id})
		c.deliver(j, 0, nil, totals)
		c.command(&EndJob{Job: j.id})
	}
}

// failJob ends a job without an answer: its stages first, then its caller,
// then the event. Stages that other jobs need go on.
func (c *Core) failJob(j *job, reason string, cause error) {
	err := &JobError{Job: j.id, Reason: reason, Cause: cause}
	c.endStages(j, err.Error(), nil)
	c.forget(j)
	c.command(&EndJob{Job: j.id, Err: err})
	c.emit(&event.JobEnd{At: c.now, Job: j.id, Error: err.Error()})
}

// endStages kills and closes the stages that only j uses and that run, or
// whose attempts still may, but for one that is closed already.
func (c *Core) endStages(j *job, reason string, but *stage) {
	for _, s := range j.stages {
		if s == but || len(s.jobs) != 1 || (!s.running && len(s.failures) == 0) {
			continue
		}
		c.killStage(s, j.interrupt(), "stage cancelled: "+reason)
		if s.running {
			c.finishStage(s, reason, false)
		}
	}
}

// forget takes the job out of every table, with the stages that nobody else
// needs.
func (c *Core) forget(j *job) {
	delete(c.jobs, j.id)
	c.active = slices.DeleteFunc(c.active, func(a *job) bool { return a == j })
	for _, s := range j.stages {
		s.jobs = slices.DeleteFunc(s.jobs, func(o *job) bool { return o == j })
		s.mapJobs = slices.DeleteFunc(s.mapJobs, func(o *job) bool { return o == j })
		if len(s.jobs) == 0 {
			c.dropStage(s)
		}
	}
	if len(c.jobs) == 0 {
		clear(c.locations)
	}
}

// abortStage fails every job that cannot be finished without s. One that
// reaches s only through outputs that are there goes on, and s is closed, so
// that it can be submitted again should those be lost.
func (c *Core) abortStage(s *stage, reason string, cause error) {
	if c.stages[s.id] != s {
		return
	}
	s.info.Completed = c.now
	for _, j := range slices.Clone(s.jobs) {
		if c.needs(j, s) {
			c.failJob(j, "stage failure: "+reason, cause)
		}
	}
	if c.stages[s.id] != s {
		return
	}
	c.killStage(s, false, "stage cancelled: "+reason)
	if s.running {
		c.finishStage(s, reason, false)
	}
	s.waiting = false
	waitNoMore(s)
}

// waitNoMore lets go the stages that wait for nobody but s, which will not
// run: whoever needs them submits them again.
func waitNoMore(s *stage) {
	work := []*stage{s}
	for len(work) > 0 {
		children := work[len(work)-1].children
		work = work[:len(work)-1]
		for _, ch := range children {
			if ch.waiting && !slices.ContainsFunc(ch.parents, (*stage).busy) {
				ch.waiting = false
				work = append(work, ch)
			}
		}
	}
}

// needs reports whether j's last stage reaches s, not looking behind map
// stages whose outputs are all there.
func (c *Core) needs(j *job, s *stage) bool {
	seen := map[*stage]bool{}
	work := []*stage{j.final}
	for len(work) > 0 {
		x := work[len(work)-1]
		work = work[:len(work)-1]
		if x == s {
			return true
		}
		if seen[x] || (x != j.final && x.dep != nil && c.outputs.complete(x.dep.Shuffle)) {
			continue
		}
		seen[x] = true
		work = append(work, x.parents...)
	}
	return false
}

// Cancellation (spark-semantics §1.9).

func (c *Core) cancelJob(n id.Job, reason string, cause error) {
	if cause == nil {
		cause = ErrCancelled
	}
	if reason == "" {
		reason = cause.Error()
	} else {
		reason = "cancelled: " + reason
	}
	if i := slices.IndexFunc(c.waiting, func(w *waitingJob) bool { return w.id == n }); i >= 0 {
		c.waiting = slices.Delete(c.waiting, i, i+1)
		c.refuse(n, reason, cause)
		return
	}
	if j := c.jobs[n]; j != nil {
		c.failJob(j, reason, cause)
	}
}

func (c *Core) cancelWhere(reason string, match func(*job) bool) {
	for _, w := range slices.Clone(c.waiting) {
		if match(&job{id: w.id, spec: w.spec}) {
			c.cancelJob(w.id, reason, nil)
		}
	}
	for _, j := range slices.Clone(c.active) {
		if match(j) {
			c.cancelJob(j.id, reason, nil)
		}
	}
}

func (c *Core) cancelGroup(e *GroupCancelled) {
	if e.Future && !slices.Contains(c.groups, e.Group) {
		c.groups = append(c.groups, e.Group)
		if more := len(c.groups) - c.cfg.MaxCancelledGroups; more > 0 {
			c.groups = slices.Delete(c.groups, 0, more)
		}
	}
	c.cancelWhere(e.Reason, func(j *job) bool { return j.spec.Properties[propGroup] == e.Group })
}

func (c *Core) cancelStage(e *StageCancelled) {
	if s := c.stages[e.Stage]; s != nil {
		for _, j := range slices.Clone(s.jobs) {
			c.cancelJob(j.id, e.Reason, nil)
		}
	}
}

func (c *Core) cancelAll(reason string, cause error) {
	for _, w := range slices.Clone(c.waiting) {
		c.cancelJob(w.id, reason, cause)
	}
	for _, j := range slices.Clone(c.active) {
		c.cancelJob(j.id, reason, cause)
	}
}
