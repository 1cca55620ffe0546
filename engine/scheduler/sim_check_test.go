package scheduler

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// What must hold, in the eyes of executors, callers and listeners; what holds
// inside the core is Core.Check's.

// derived tells which computations something was made from: of map tasks that
// may write other rows each time, the attempt that did.
type derived struct {
	from map[outputPart]int64
	torn string // it was made from two computations of one partition
}

type outputPart struct {
	shuffle id.Shuffle
	part    int32
}

func (d *derived) add(o derived) {
	if d.torn == "" {
		d.torn = o.torn
	}
	for part, version := range o.from {
		d.note(part, version)
	}
}

func (d *derived) note(part outputPart, version int64) {
	if d.from == nil {
		d.from = map[outputPart]int64{}
	}
	if before, ok := d.from[part]; ok && before != version && d.torn == "" {
		d.torn = fmt.Sprintf("computations %d and %d of map partition %d of shuffle %d", before, version, part.part, part.shuffle)
	}
	d.from[part] = version
}

// outputOf is what the output of a map attempt is made from.
func (s *sim) outputOf(r *run) derived {
	d := derived{torn: r.from.torn, from: maps.Clone(r.from.from)}
	part := outputPart{r.req.Shuffle.Shuffle, r.Partition}
	switch {
	case r.req.Node.Determinism == plan.Indeterminate:
		d.note(part, int64(r.Task))
	case s.versions:
		d.note(part, s.rowSum(r))
	}
	return d
}

// rowSum is the checksum of the rows that a map attempt writes.
func (s *sim) rowSum(r *run) int64 {
	sum := int64(1 + r.Partition)
	for _, v := range r.from.from {
		sum += v
	}
	if r.ends == writesOtherRows && !s.calm() {
		sum += 1000 * int64(r.Task+1)
	}
	return sum
}

func (s *sim) deliver(c *Deliver) {
	j := s.jobs[c.Job]
	switch {
	case j.ended:
		s.t.Fatalf("result %d of job %d comes after its end", c.Index, c.Job)
	case j.got[c.Index]:
		s.t.Fatalf("result %d of job %d comes twice", c.Index, c.Job)
	}
	j.got[c.Index] = true
	j.left--
	if j.spec.Shuffle != nil {
		if len(c.Totals) != j.spec.Shuffle.Reducers {
			s.t.Fatalf("job %d is told %d totals", c.Job, len(c.Totals))
		}
		return
	}
	text, _, _ := strings.Cut(string(bytes.TrimRight(c.Value, "\x00")), " ")
	part, by, _ := strings.Cut(text, "/")
	want := c.Index
	if j.spec.Partitions != nil {
		want = j.spec.Partitions[c.Index]
	}
	if part != strconv.Itoa(int(want)) {
		s.t.Fatalf("result %d of job %d is %q, want one of partition %d", c.Index, c.Job, c.Value, want)
	}
	n, err := strconv.Atoi(by)
	if err != nil {
		s.t.Fatalf("result %d of job %d: %v", c.Index, c.Job, err)
	}
	j.from.add(s.made[id.Task(n)])
	if strings.HasPrefix(s.stream.killed[id.Task(n)], "stage rolled back") {
		s.t.Fatalf("result %d of job %d is of attempt %d, which was rolled back", c.Index, c.Job, n)
	}
	size, job := int64(len(c.Value)), c.Job
	j.untaken += size
	s.soon(func() {
		j.untaken -= size
		s.do(&ResultsTaken{Job: job, Bytes: size})
	})
}

func (s *sim) end(c *EndJob) {
	j := s.jobs[c.Job]
	if j.ended {
		s.t.Fatalf("job %d ends twice", c.Job)
	}
	j.ended, j.err = true, c.Err
	s.checkSlotsError(c.Err)
	s.jobTooLarge(c.Job, c.Err)
	if c.Err != nil {
		var e *JobError
		if !errors.As(c.Err, &e) || e.Job != c.Job || e.Reason == "" {
			s.t.Fatalf("job %d ends with %v", c.Job, c.Err)
		}
		return
	}
	if j.left > 0 {
		s.t.Fatalf("job %d ends without %d of its results", c.Job, j.left)
	}
	if j.from.torn != "" {
		s.t.Fatalf("the results of job %d were made from %s", c.Job, j.from.torn)
	}
	if stage, ok := s.stream.results[c.Job]; ok && j.spec.Shuffle == nil {
		for i := range j.got {
			if !s.stream.merged[stage][int32(i)] {
				s.t.Fatalf("the accumulator updates of result %d of job %d were not merged", i, c.Job)
			}
		}
	}
}

// checkLaunches looks at what one step launched, and at the slots.
func (s *sim) checkLaunches(launched []*run) {
	together := map[id.StageAttempt]int32{}
	for _, r := range launched {
		for _, place := range []exclusion{{executor: r.on.id, stage: ofSession}, {host: s.core.executor(r.on.id).host, stage: ofSession}} {
			stage := place
			if stage.stage = r.StageAttempt; s.stream.excluded[place] || s.stream.excluded[stage] {
				s.t.Fatalf("attempt %d is launched on %s, which is excluded", r.Task, r.on.id)
			}
		}
		if r.on.core*s.w.cpus > r.on.slots {
			s.t.Fatalf("%d attempts are on the %d slots of %s", r.on.core, r.on.slots, r.on.id)
		}
		if j := s.jobs[r.Job]; r.Kind == task.ResultTask && s.w.maxUntaken > 0 && j.untaken > int64(s.w.maxUntaken) {
			s.t.Fatalf("attempt %d is launched, and the caller of job %d is to handle %d bytes", r.Task, r.Job, j.untaken)
		}
		if r.Barrier {
			if together[r.StageAttempt]++; s.stream.stages[r.StageAttempt].info.NumTasks != r.NumPartitions {
				s.t.Fatalf("barrier stage %v has not all of its %d tasks", r.StageAttempt, r.NumPartitions)
			}
		}
		copies := 0
		for _, n := range s.order {
			if o := s.runs[n]; o != r && o.StageAttempt == r.StageAttempt && o.Index == r.Index {
				copies++
			}
		}
		if copies > 1 || copies == 1 && !(r.Speculative && s.w.speculates) {
			s.t.Fatalf("attempt %d is launched while %d others of the same task run", r.Task, copies)
		}
	}
	for stage, n := range together {
		at := s.stream.stages[stage]
		if want := at.info.NumTasks; n != want && !s.tooLarge(at.info.Failure) {
			s.t.Fatalf("%d of the %d tasks of barrier stage %v are launched", n, want, stage)
		}
	}
}

// checkSlots counts what runs, as the events tell, on the slots.
func (s *sim) checkSlots() {
	for _, x := range s.execs {
		n := 0
		for _, r := range s.runs {
			if r.on == x && s.starts[r.Task] > 0 {
				n++
			}
		}
		if n*s.w.cpus > x.slots {
			s.t.Fatalf("%d attempts run on the %d slots of %s", n, x.slots, x.id)
		}
	}
}

// checkWinners looks at the other attempts of tasks that have succeeded.
func (s *sim) checkWinners(won []id.TaskAttempt) {
	for _, a := range won {
		for _, n := range s.order {
			if r := s.runs[n]; r.StageAttempt == a.StageAttempt && r.Index == a.Index && !r.killed {
				s.t.Fatalf("attempt %d runs on though attempt %d of its task has succeeded", n, a.Task)
			}
		}
	}
}

// committed takes that an attempt was allowed to commit.
func (s *sim) committed(r *run) {
	for _, n := range s.order {
		if o := s.runs[n]; o != r && o.right && o.Stage == r.Stage && o.Partition == r.Partition &&
			(r.Kind == task.ResultTask || o.StageAttempt == r.StageAttempt) { // rights end with a map stage that is not tried again
			s.t.Fatalf("attempts %d and %d may both commit", o.Task, r.Task)
		}
	}
	if r.Kind == task.ShuffleMapTask {
		return
	}
	key := [2]int32{int32(r.Stage), r.Partition}
	if by, ok := s.stream.commits[key]; ok {
		s.t.Fatalf("attempt %d may commit after attempt %d has", r.Task, by)
	}
}

// stream follows the events: each is well formed in its place, and what was
// written of them reads back as the same.
type stream struct {
	at       int64
	jobs     map[id.Job]int // 1: started, 2: ended
	stages   map[id.StageAttempt]*stageSeen
	latest   map[id.Stage]id.StageAttempt
	stagesOf map[id.Job][]id.Stage
	results  map[id.Job]id.Stage
	merged   map[id.Stage]map[int32]bool
	commits  map[[2]int32]id.Task // of stage and partition: who committed and succeeded
	tries    map[id.StageAttempt]map[int32]int32
	reported map[id.Task]*TaskStatus
	excluded map[exclusion]bool
	follows  map[id.Task]id.Task // in chains: the attempt before
	leads    map[id.Task]bool    // some follow it
	neverWas map[id.Task]bool    // called back
	endedAt  map[id.Task]int64   // as its executor reported
	passedAt map[id.Task]int64   // of those with a follower: when they finished
	failedAt int                 // the step in which the last attempt ended without success
	counts
	log     bytes.Buffer
	file    *event.File
	written []string
}

// exclusion is a place where nothing is launched: an executor, or else a
// host; of one stage attempt, or with none of the session.
type exclusion struct {
	executor id.Executor
	host     string
	stage    id.StageAttempt
}

// ofSession is no stage's attempt.
var ofSession = id.StageAttempt{Stage: -1}

type stageSeen struct {
	info event.StageInfo
	open bool
	job  id.Job
}

type nopCloser struct{ *bytes.Buffer }

func (nopCloser) Close() error { return nil }

func newStream() *stream {
	return &stream{jobs: map[id.Job]int{}, stages: map[id.StageAttempt]*stageSeen{}, latest: map[id.Stage]id.StageAttempt{},
		stagesOf: map[id.Job][]id.Stage{}, results: map[id.Job]id.Stage{}, merged: map[id.Stage]map[int32]bool{}, commits: map[[2]int32]id.Task{},
		tries: map[id.StageAttempt]map[int32]int32{}, reported: map[id.Task]*TaskStatus{},
		excluded: map[exclusion]bool{}, follows: map[id.Task]id.Task{}, leads: map[id.Task]bool{},
		passedAt: map[id.Task]int64{}, counts: newCounts(), neverWas: map[id.Task]bool{}, endedAt: map[id.Task]int64{}}
}

func (m *stream) emit(s *sim, e event.Event, merged bool) {
	bad := func(format string, args ...any) {
		s.t.Fatalf("event %T: %s", e, fmt.Sprintf(format, args...))
	}
	moment := func(at int64) {
		if at < m.at || at > s.now {
			bad("it is of %v, the one before of %v, and now is %v", time.Duration(at), time.Duration(m.at), time.Duration(s.now))
		}
		m.at = at
	}
	switch e := e.(type) {
	case *event.JobStart:
		moment(e.At)
		if m.jobs[e.Job]++; m.jobs[e.Job] != 1 {
			bad("job %d starts twice", e.Job)
		}
		for i := range e.Stages {
			m.stagesOf[e.Job] = append(m.stagesOf[e.Job], e.Stages[i].Stage)
		}
	case *event.JobEnd:
		moment(e.At)
		if m.jobs[e.Job]++; m.jobs[e.Job] != 2 {
			bad("job %d ends where it has not started or has ended", e.Job)
		}
	case *event.StageSubmitted:
		moment(e.At)
		before, ok := m.latest[e.Stage.Stage]
		switch {
		case m.jobs[e.Job] != 1:
			bad("stage %v of job %d, which does not run", e.Stage.StageAttempt, e.Job)
		case ok && m.stages[before].open:
			bad("stage %v while %v is open", e.Stage.StageAttempt, before)
		case ok && before.Attempt >= e.Stage.Attempt:
			bad("stage %v after %v", e.Stage.StageAttempt, before)
		}
		m.latest[e.Stage.Stage] = e.Stage.StageAttempt
		m.stages[e.Stage.StageAttempt] = &stageSeen{info: e.Stage, open: true, job: e.Job}
		if e.Stage.Kind == task.ResultTask {
			m.results[e.Job] = e.Stage.Stage
		}
	case *event.StageCompleted:
		moment(e.At)
		// One that a fetch failure has closed may be completed once more, when
		// a copy of the failed attempt succeeds (DAG-025).
		if at := m.stages[e.Stage.StageAttempt]; at == nil || !at.open && (e.Stage.Failure != "" || at.info.Failure == "") {
			bad("stage %v is not open", e.Stage.StageAttempt)
		}
		if e.Stage.Completed < e.Stage.Submitted {
			bad("stage %v is complete before it was submitted", e.Stage.StageAttempt)
		}
		if ts := s.core.setOf(e.Stage.StageAttempt); e.Stage.Failure == "" && ts != nil && ts.outputs != nil {
			for pos, done := range ts.done {
				if part := ts.indices[pos]; !done && s.core.outputs.shuffles[e.Stage.Shuffle].statuses[part] == nil {
					bad("%v has succeeded without task %d", e.Stage.StageAttempt, part)
				}
			}
		}
		m.stageTooLarge(s, e, bad)
		m.stages[e.Stage.StageAttempt] = &stageSeen{info: e.Stage}
		m.stageCompleted(e)
	case *event.TaskStart:
		if m.neverWas[e.Info.Task] {
			bad("attempt %v was called back", e.Info.TaskAttempt)
		}
		if before, follows := m.follows[e.Info.Task]; !follows {
			moment(e.Info.Launch)
		} else if end, ended := m.endedAt[before]; ended && e.Info.Launch != end || e.Info.Launch > s.now {
			bad("attempt %v is launched at %v, and the one before it on its slot ended at %v", e.Info.TaskAttempt, time.Duration(e.Info.Launch), time.Duration(end))
		}
		// One that follows another may begin before the driver knows that the
		// attempt before it could not fetch.
		if passed, ok := m.passedAt[m.follows[e.Info.Task]]; ok && m.follower(e.Info.Task) && passed != e.Info.Launch {
			bad("attempt %v is launched at %v, and the one before it finished at %v", e.Info.TaskAttempt, time.Duration(e.Info.Launch), time.Duration(passed))
		}
		if at, follows := m.stages[e.Info.StageAttempt], m.follower(e.Info.Task); at == nil || !at.open && !follows {
			bad("attempt %v of a stage that is not open", e.Info.TaskAttempt)
		}
		tries := m.tries[e.Info.StageAttempt]
		if tries == nil {
			tries = map[int32]int32{}
			m.tries[e.Info.StageAttempt] = tries
		}
		if tries[e.Info.Index] != e.Info.Number {
			bad("attempt %v, of which there were %d", e.Info.TaskAttempt, tries[e.Info.Index])
		}
		tries[e.Info.Index]++
	case *event.Excluded:
		moment(e.At)
		m.excluded[excludes(e.Executor, e.Host, e.ForStage, e.Stage)] = true
	case *event.Unexcluded:
		moment(e.At)
		delete(m.excluded, excludes(e.Executor, e.Host, false, id.StageAttempt{}))
	case *event.SpeculativeTaskSubmitted:
		moment(e.At)
		if at := m.stages[e.Stage]; at == nil || !at.open || m.tries[e.Stage][e.Index] == 0 {
			bad("a copy of task %d of %v, which does not run", e.Index, e.Stage)
		}
	case *event.ExecutorAdded:
		moment(e.At)
	case *event.ExecutorRemoved:
		moment(e.At)
		m.lost(e.Executor, bad)
	case *event.TaskEnd:
		if e.Reason == task.Resubmitted { // of a former moment
			m.resubmitted(s, e, merged, bad)
			m.taskEnded(e, true)
			break
		}
		if e.Info.Finish == s.now || !m.leads[e.Info.Task] || e.Info.Finish != m.endedAt[e.Info.Task] {
			moment(e.Info.Finish) // else its slot went on to the next at its end
		}
		if m.leads[e.Info.Task] && e.Route == task.RouteDirect {
			m.passedAt[e.Info.Task] = e.Info.Finish
		}
		if e.Reason != task.Success {
			m.failedAt = s.steps
		}
		if e.Info.Finish < e.Info.Launch {
			bad("attempt %v ends before it began", e.Info.TaskAttempt)
		}
		m.taskEnded(e, m.ran[e.Info.Task])
		m.ended(s, e, merged, bad)
	}
	m.write(s, e)
}

// follower reports whether an attempt was launched behind another.
func (m *stream) follower(n id.Task) bool { _, ok := m.follows[n]; return ok }

func excludes(x id.Executor, host string, forStage bool, stage id.StageAttempt) exclusion {
	if !forStage {
		stage = ofSession
	}
	if x != "" {
		host = ""
	}
	return exclusion{x, host, stage}
}

// resubmitted checks that a map task that had succeeded runs again, since its
// executor is lost: what it repeats is the harness's to check.
func (m *stream) resubmitted(s *sim, e *event.TaskEnd, merged bool, bad func(string, ...any)) {
	at := m.stages[e.Info.StageAttempt]
	switch {
	case at == nil || !at.open:
		bad("%v of a stage that is not open", e.Info.TaskAttempt)
	case s.core.executor(e.Info.Executor).alive && e.Info.Executor != s.adding: // another may take its place in this step
		bad("%v, whose executor %s lives", e.Info.TaskAttempt, e.Info.Executor)
	case merged:
		bad("%v adds to accumulators once more", e.Info.TaskAttempt)
	}
}

// ended compares the end of an attempt with what its executor reported.
func (m *stream) ended(s *sim, e *event.TaskEnd, merged bool, bad func(string, ...any)) {
	reported := m.reported[e.Info.Task]
	delete(m.reported, e.Info.Task)
	m.resultEnded(e, reported)
	if e.Info.Failed && e.Info.Killed || (e.Info.Failed || e.Info.Killed) == (e.Reason == task.Success || e.Reason == task.TaskResultLost) {
		bad("%v ended as %v, failed %v, killed %v", e.Info.TaskAttempt, e.Reason, e.Info.Failed, e.Info.Killed)
	}
	switch {
	case reported == nil:
		if e.Reason != task.ExecutorLostFailure {
			bad("%v ended as %v, and its executor said nothing", e.Info.TaskAttempt, e.Reason)
		}
	case reported.Status.State == task.Finished:
		if e.Reason == task.ExceptionFailure || e.Reason == task.FetchFailed {
			bad("%v ended as %v, but it finished", e.Info.TaskAttempt, e.Reason)
		}
	case reported.Failure != nil && reported.Failure.Kind != e.Reason, e.Reason == task.Success:
		bad("%v ended as %v, but its executor said %+v", e.Info.TaskAttempt, e.Reason, reported.Failure)
	}
	if e.Reason != task.Success || e.Kind != task.ResultTask {
		return
	}
	if r := s.rights[e.Info.Task]; r {
		m.commits[[2]int32{int32(e.Info.Stage), e.Info.Partition}] = e.Info.Task
	}
	if merged {
		done := m.merged[e.Info.Stage]
		if done == nil {
			done = map[int32]bool{}
			m.merged[e.Info.Stage] = done
		}
		if done[e.Info.Index] {
			bad("the accumulator updates of task %d of stage %d are merged twice", e.Info.Index, e.Info.Stage)
		}
		done[e.Info.Index] = true
	}
}

// line says of an event what a report is made of.
func line(e event.Event) string {
	switch e := e.(type) {
	case *event.JobStart:
		return fmt.Sprint("job ", e.At, e.Job, e.Name, len(e.Stages), len(e.Properties))
	case *event.JobEnd:
		return fmt.Sprint("job end ", e.At, e.Job, e.Error)
	case *event.StageSubmitted:
		return fmt.Sprint("stage ", e.At, e.Job, e.Stage.StageAttempt, e.Stage.NumTasks, e.Stage.Name, e.Stage.Parents, len(e.Stage.Nodes))
	case *event.StageCompleted:
		return fmt.Sprint("stage end ", e.At, e.Stage.StageAttempt, e.Stage.Submitted, e.Stage.Completed, e.Stage.Failure)
	case *event.TaskStart:
		return fmt.Sprint("task ", e.Kind, e.Info)
	case *event.TaskGettingResult:
		return fmt.Sprint("task result ", e.Info)
	case *event.TaskEnd:
		return fmt.Sprint("task end ", e.Kind, e.Reason, e.Info, e.Failure)
	}
	return fmt.Sprintf("%T %+v", e, e)
}

// write keeps what is read back at the end.
func (m *stream) write(s *sim, e event.Event) {
	if m.file == nil {
		var err error
		if m.file, err = event.NewFile(nopCloser{&m.log}, "log"); err != nil {
			s.t.Fatal(err)
		}
	}
	m.file.Emit(e)
	m.written = append(m.written, line(e))
}

func (m *stream) close(s *sim) {
	for n, state := range m.jobs {
		if state != 2 {
			s.t.Fatalf("job %d has a start and no end", n)
		}
	}
	for n, at := range m.stages {
		if at.open {
			s.t.Fatalf("stage %v is not completed", n)
		}
	}
	if m.file == nil {
		return
	}
	if err := m.file.Close(); err != nil {
		s.t.Fatal(err)
	}
	var read []string
	for e, err := range event.Read(&m.log) {
		if err != nil {
			s.t.Fatalf("the events do not read back: %v", err)
		}
		read = append(read, line(e))
	}
	for i := range max(len(read), len(m.written)) {
		if i >= len(read) || i >= len(m.written) || read[i] != m.written[i] {
			s.t.Fatalf("event %d of %d reads back otherwise (%d): %q", i, len(m.written), len(read), slices.Concat(read, []string{""})[min(i, len(read))])
		}
	}
}

// describe tells of an event in a transcript.
func describe(e Event) string {
	switch e := e.(type) {
	case *JobSubmitted:
		what := fmt.Sprintf("all %d partitions", e.Spec.Final.Partitions)
		if e.Spec.Partitions != nil {
			what = fmt.Sprintf("partitions %v", e.Spec.Partitions)
		}
		if e.Spec.Shuffle != nil {
			what = fmt.Sprintf("shuffle %d", e.Spec.Shuffle.Shuffle)
		}
		properties := maps.Clone(e.Spec.Properties)
		if pad := properties["pad"]; pad != "" {
			properties["pad"] = fmt.Sprint(len(pad), " bytes")
		}
		return fmt.Sprintf("submit job %d: node %d, %s, %v", e.Job, e.Spec.Final.ID, what, properties)
	case *TaskStatus:
		what := ""
		if e.Failure != nil {
			what = fmt.Sprintf(", %v %s", e.Failure.Kind, e.Failure.Message)
			if e.Failure.Kind == task.FetchFailed {
				what += fmt.Sprintf(" %+v", e.Failure.Fetch)
			}
		}
		return fmt.Sprintf("status of %d: %v %v%s", e.Status.Task, e.Status.State, e.Status.Route, what)
	}
	return strings.TrimPrefix(fmt.Sprintf("%T %+v", e, e), "*scheduler.")
}
