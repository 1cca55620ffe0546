package sparklog

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
)

// story is what the lines have told so far, as far as order matters.
type story struct {
	n         int // line
	faults    []string
	executors map[string]string // that are there: their host
	managers  map[string]bool   // of blocks, by executor
	jobs      map[int64][]int64 // all that began: the stages that they list; nil: ended
	stages    map[attempt]*stage
	running   map[int64]*stage // by id, their latest attempt
	next      map[int64]int64  // by id, the number of the next attempt

	tasks   map[int64]*task
	sums    map[int64]int64 // accumulators
	closing *stage          // its peaks were told; its end follows
}

type attempt struct{ stage, number int64 }

func (a attempt) String() string { return fmt.Sprintf("%d.%d", a.stage, a.number) }

// stage is an attempt of a stage.
type stage struct {
	attempt
	info   stageInfo
	done   map[int64]bool   // tasks that succeeded since it was submitted, in whichever attempt
	tries  map[int64]int64  // attempts of each task
	kind   string           // of its tasks
	values map[int64]string // of accumulators, after the last of its ends
	copies bool             // some were announced
}

type task struct {
	info    taskInfo
	stage   *stage
	getting int64
	end     string // its reason; empty: it runs
	again   bool   // it was resubmitted
}

// line has the fields that the order of lines is about.
type line struct {
	Timestamp int64
	Executor  string                `json:"Executor ID"`
	Info      struct{ Host string } `json:"Executor Info"`
	AppID     string                `json:"App ID"`
	Manager   manager               `json:"Block Manager ID"`
	Job       int64                 `json:"Job ID"`
	StageIDs  []int64               `json:"Stage IDs"`
	Stages    []stageInfo           `json:"Stage Infos"`
	Result    struct {
		Result    string
		Exception *struct{}
	} `json:"Job Result"`
	Stage     stageInfo               `json:"Stage Info"`
	StageID   int64                   `json:"Stage ID"`
	AttemptID int64                   `json:"Stage Attempt ID"`
	Type      string                  `json:"Task Type"`
	End       struct{ Reason string } `json:"Task End Reason"`
	Task      taskInfo                `json:"Task Info"`
	Block     blockInfo               `json:"Block Updated Info"`
	// Of events that Spark writes by the names of their fields.
	CopyStage   int64 `json:"stageId"`
	CopyAttempt int64 `json:"stageAttemptId"`
}

type (
	manager struct {
		Executor string `json:"Executor ID"`
		Host     string
	}
	stageInfo struct {
		ID           int64  `json:"Stage ID"`
		Attempt      int64  `json:"Stage Attempt ID"`
		Tasks        int64  `json:"Number of Tasks"`
		Submitted    int64  `json:"Submission Time"`
		Completed    int64  `json:"Completion Time"`
		Failure      string `json:"Failure Reason"`
		Accumulables []accumulable
	}
	taskInfo struct {
		ID            int64 `json:"Task ID"`
		Index         int64
		Attempt       int64
		Partition     int64  `json:"Partition ID"`
		Launch        int64  `json:"Launch Time"`
		Executor      string `json:"Executor ID"`
		Host          string
		Locality      string
		Speculative   bool
		GettingResult int64 `json:"Getting Result Time"`
		Finish        int64 `json:"Finish Time"`
		Failed        bool
		Killed        bool
		Accumulables  []accumulable
	}
	accumulable struct {
		ID            int64
		Name          string
		Update, Value any
	}
	blockInfo struct {
		Manager manager `json:"Block Manager ID"`
		Block   string  `json:"Block ID"`
		Level   struct {
			Disk   bool `json:"Use Disk"`
			Memory bool `json:"Use Memory"`
		} `json:"Storage Level"`
		Memory int64 `json:"Memory Size"`
		Disk   int64 `json:"Disk Size"`
	}
)

func newStory() *story {
	return &story{executors: map[string]string{}, managers: map[string]bool{}, jobs: map[int64][]int64{}, stages: map[attempt]*stage{},
		running: map[int64]*stage{}, next: map[int64]int64{}, tasks: map[int64]*task{}, sums: map[int64]int64{}}
}

// driver has a block manager also where it is no executor.
const driver = "driver"

// blockNames are those that the History Server can parse.
var blockNames = regexp.MustCompile(`^(rdd_\d+_\d+|broadcast_\d+(_\w+)?|taskresult_\d+|shuffle_\d+_\d+_\d+(\.data|\.index)?)$`)

// take takes the next line of the log, whose fields are as they should be.
func (s *story) take(event string, l *line) {
	if s.closing != nil && event != "SparkListenerStageExecutorMetrics" {
		if event != "SparkListenerStageCompleted" || s.closing.attempt != (attempt{l.Stage.ID, l.Stage.Attempt}) {
			s.bad("%s comes between the peaks of stage %v and its end", event, s.closing.attempt)
		}
		s.closing = nil
	}
	switch event {
	case "SparkListenerApplicationStart":
		if l.AppID == "" {
			s.bad("an application without an id is not listed")
		}
	case "SparkListenerExecutorAdded":
		if _, there := s.executors[l.Executor]; there {
			s.bad("executor %s is there already", l.Executor)
		}
		s.executors[l.Executor] = l.Info.Host
	case "SparkListenerExecutorRemoved":
		s.there("executor", l.Executor)
		delete(s.executors, l.Executor)
	case "SparkListenerBlockManagerAdded":
		if _, there := s.executors[l.Manager.Executor]; there || l.Manager.Executor != driver {
			s.at("block manager", l.Manager.Executor, l.Manager.Host)
		}
		s.managers[l.Manager.Executor] = true
	case "SparkListenerBlockManagerRemoved":
		if !s.managers[l.Manager.Executor] {
			s.bad("the block manager of executor %s is not there", l.Manager.Executor)
		}
		delete(s.managers, l.Manager.Executor)
	case "SparkListenerJobStart":
		s.jobStart(l)
	case "SparkListenerJobEnd":
		s.jobEnd(l)
	case "SparkListenerStageSubmitted":
		s.stageSubmitted(&l.Stage)
	case "SparkListenerStageExecutorMetrics":
		s.there("executor", l.Executor)
		s.closing = s.attemptThatRuns("peaks", attempt{l.StageID, l.AttemptID})
	case "SparkListenerStageCompleted":
		s.stageCompleted(&l.Stage)
	case "SparkListenerTaskStart":
		s.taskStart(attempt{l.StageID, l.AttemptID}, &l.Task)
	case "SparkListenerTaskGettingResult":
		s.gettingResult(&l.Task)
	case "SparkListenerTaskEnd":
		s.taskEnd(l)
	case "SparkListenerBlockUpdated":
		s.block(&l.Block)
	case "org.apache.spark.scheduler.SparkListenerSpeculativeTaskSubmitted":
		if st := s.attemptThatRuns("a copy", attempt{l.CopyStage, l.CopyAttempt}); st != nil {
			st.copies = true
		}
	}
}

func (s *story) there(what, x string) {
	if _, there := s.executors[x]; !there {
		s.bad("%s %s is not there", what, x)
	}
}

// at expects something on an executor that is there, on its host.
func (s *story) at(what, x, host string) {
	if at, there := s.executors[x]; !there {
		s.bad("%s on executor %s, which is not there", what, x)
	} else if at != host {
		s.bad("%s on executor %s of host %q, which is on %q", what, x, host, at)
	}
}

// attemptThatRuns returns the attempt of a stage if it was submitted and has
// not completed.
func (s *story) attemptThatRuns(what string, a attempt) *stage {
	st := s.running[a.stage]
	if st == nil || st.attempt != a {
		s.bad("%s of stage %v, which does not run", what, a)
		return nil
	}
	return st
}

func (s *story) jobStart(l *line) {
	if _, known := s.jobs[l.Job]; known {
		s.bad("job %d starts again", l.Job)
	}
	ids := []int64{}
	for i := range l.Stages {
		ids = append(ids, l.Stages[i].ID)
	}
	if !slices.Equal(ids, l.StageIDs) {
		s.bad("stages %v, described are %v", l.StageIDs, ids)
	}
	s.jobs[l.Job] = ids
}

func (s *story) jobEnd(l *line) {
	stages := s.jobs[l.Job]
	if stages == nil {
		s.bad("job %d ends and does not run", l.Job)
	}
	if failed := l.Result.Result == "JobFailed"; failed != (l.Result.Exception != nil) {
		s.bad("%s, with an exception: %v", l.Result.Result, l.Result.Exception != nil)
	}
	s.jobs[l.Job] = nil
	for _, id := range stages {
		if st := s.running[id]; st != nil && !s.wanted(id) {
			s.bad("job %d ends before stage %v, which no other job has", l.Job, st.attempt)
		}
	}
}

// wanted reports whether a job that runs lists a stage.
func (s *story) wanted(stage int64) bool {
	for _, stages := range s.jobs {
		if slices.Contains(stages, stage) {
			return true
		}
	}
	return false
}

func (s *story) stageSubmitted(i *stageInfo) {
	a := attempt{i.ID, i.Attempt}
	switch {
	case !s.wanted(i.ID):
		s.bad("stage %v is of no job that runs", a)
	case s.running[i.ID] != nil:
		s.bad("stage %v is submitted while attempt %d runs", a, s.running[i.ID].number)
	case i.Attempt != s.next[i.ID] && (i.Attempt != 1 || s.next[i.ID] > 0): // 1: its outputs were there at first
		s.bad("stage %v is submitted, want attempt %d", a, s.next[i.ID])
	}
	if i.Completed != 0 || i.Failure != "" || len(i.Accumulables) > 0 {
		s.bad("stage %v is submitted as one that has completed, or with values", a)
	}
	if i.Tasks > 0 && i.Submitted == 0 {
		s.bad("stage %v is submitted without a time", a)
	}
	st := &stage{attempt: a, info: *i, done: map[int64]bool{}, tries: map[int64]int64{}, values: map[int64]string{}}
	s.stages[a], s.running[i.ID], s.next[i.ID] = st, st, i.Attempt+1
}

func (s *story) stageCompleted(i *stageInfo) {
	a := attempt{i.ID, i.Attempt}
	st := s.attemptThatRuns("the end", a)
	if st == nil {
		return
	}
	delete(s.running, i.ID)
	if i.Submitted != st.info.Submitted || i.Tasks != st.info.Tasks || i.Completed < i.Submitted {
		s.bad("stage %v ends as %+v, submitted as %+v", a, *i, st.info)
	}
	if n := int64(len(st.done)); i.Failure == "" && n < i.Tasks {
		s.bad("stage %v completes and %d of its %d tasks have succeeded", a, n, i.Tasks)
	}
	values := map[int64]string{}
	s.sorted(i.Accumulables)
	for _, v := range i.Accumulables {
		if v.Update != nil {
			s.bad("stage %v has an update of accumulator %d", a, v.ID)
		}
		values[v.ID] = fmt.Sprint(v.Value)
	}
	if !maps.Equal(values, st.values) {
		s.bad("stage %v ends with accumulators %v, its tasks with %v", a, values, st.values)
	}
}

func (s *story) sorted(list []accumulable) {
	if !slices.IsSortedFunc(list, func(a, b accumulable) int { return cmp.Compare(a.ID, b.ID) }) {
		s.bad("accumulators are not sorted by id")
	}
}

func (s *story) taskStart(a attempt, i *taskInfo) {
	st := s.attemptThatRuns("a task", a)
	s.at("a task", i.Executor, i.Host)
	if !s.managers[i.Executor] {
		s.bad("a task on executor %s, whose block manager is not there", i.Executor)
	}
	if s.tasks[i.ID] != nil {
		s.bad("task %d starts again", i.ID)
	}
	if i.Finish != 0 || i.GettingResult != 0 || i.Failed || i.Killed || len(i.Accumulables) > 0 {
		s.bad("task %d starts as one that has ended: %+v", i.ID, *i)
	}
	s.tasks[i.ID] = &task{info: *i, stage: st}
	if st == nil {
		return
	}
	if i.Attempt != st.tries[i.Index] {
		s.bad("attempt %d of task %d of stage %v starts, want %d", i.Attempt, i.Index, a, st.tries[i.Index])
	}
	st.tries[i.Index]++
	if i.Launch < st.info.Submitted {
		s.bad("task %d starts before its stage", i.ID)
	}
	if i.Speculative && !st.copies {
		s.bad("task %d is a copy, which was not announced", i.ID)
	}
}

func (s *story) gettingResult(i *taskInfo) {
	t := s.tasks[i.ID]
	if t == nil || t.end != "" || t.getting != 0 {
		s.bad("the result of task %d is fetched, which does not run, or again", i.ID)
		return
	}
	if t.getting = i.GettingResult; t.getting == 0 || i.Finish != 0 || len(i.Accumulables) > 0 {
		s.bad("the result of task %d is fetched: %+v", i.ID, *i)
	}
	s.same(t, i)
}

// same expects what was told of a task when it started.
func (s *story) same(t *task, i *taskInfo) {
	now := *i
	now.Finish, now.GettingResult, now.Failed, now.Killed, now.Accumulables = 0, 0, false, false, t.info.Accumulables
	if fmt.Sprint(now) != fmt.Sprint(t.info) {
		s.bad("task %d is %+v, and was %+v", i.ID, now, t.info)
	}
}

func (s *story) taskEnd(l *line) {
	i, reason := &l.Task, l.End.Reason
	a := attempt{l.StageID, l.AttemptID}
	t := s.tasks[i.ID]
	switch {
	case t == nil:
		s.bad("task %d ends and did not start", i.ID)
		return
	case reason == "Resubmitted" && (t.end != "Success" || t.again):
		s.bad("task %d is resubmitted, and has not succeeded, or was already", i.ID)
	case reason != "Resubmitted" && t.end != "":
		s.bad("task %d ends again", i.ID)
	}
	s.same(t, i)
	if i.Finish < i.Launch {
		s.bad("task %d ended at %d, launched at %d", i.ID, i.Finish, i.Launch)
	}
	failed, killed := true, false
	switch reason {
	case "Success", "Resubmitted", "TaskResultLost": // the last did finish
		failed = false
	case "TaskKilled", "TaskCommitDenied":
		failed, killed = false, true
	}
	if i.Failed != failed || i.Killed != killed {
		s.bad("task %d: %s, failed %v, killed %v", i.ID, reason, i.Failed, i.Killed)
	}
	st := t.stage
	if st == nil {
		return
	}
	if st.attempt != a {
		s.bad("task %d of stage %v ends as one of %v", i.ID, st.attempt, a)
	}
	if st.kind = cmp.Or(st.kind, l.Type); st.kind != l.Type {
		s.bad("task %d is a %s, others of its stage are %s", i.ID, l.Type, st.kind)
	}
	if reason == "Resubmitted" {
		t.again = true
		s.succeeded(st, i.Index, false)
		return
	}
	t.end = reason
	if i.GettingResult != t.getting {
		s.bad("the result of task %d was fetched at %d, want %d", i.ID, i.GettingResult, t.getting)
	}
	if reason == "Success" {
		s.succeeded(st, i.Index, true)
	}
	s.accumulate(st, i)
}

// succeeded notes that a task is done, or that it is no more, for the attempt
// of its stage that runs: a success of an earlier attempt counts, too.
func (s *story) succeeded(of *stage, index int64, done bool) {
	st := s.running[of.stage]
	switch {
	case st == nil:
	case done:
		st.done[index] = true
	default:
		delete(st.done, index)
	}
}

// accumulate expects each value to be the one before and the update.
func (s *story) accumulate(st *stage, i *taskInfo) {
	s.sorted(i.Accumulables)
	for _, a := range i.Accumulables {
		update, err := strconv.ParseInt(fmt.Sprint(a.Update), 10, 64)
		value, err2 := strconv.ParseInt(fmt.Sprint(a.Value), 10, 64)
		if before := s.sums[a.ID]; err == nil && err2 == nil && value != before+update {
			s.bad("accumulator %d is %d after task %d, and was %d: its update is %d", a.ID, value, i.ID, before, update)
		}
		s.sums[a.ID] = value
		st.values[a.ID] = fmt.Sprint(a.Value)
	}
}

func (s *story) block(b *blockInfo) {
	if !s.managers[b.Manager.Executor] {
		s.bad("block %s of executor %s, whose block manager is not there", b.Block, b.Manager.Executor)
	}
	if !blockNames.MatchString(b.Block) {
		s.bad("%q is no block's name", b.Block)
	}
	if b.Memory > 0 && !b.Level.Memory || b.Disk > 0 && !b.Level.Disk {
		s.bad("block %s has %d bytes in memory and %d on disk, which its level does not have", b.Block, b.Memory, b.Disk)
	}
}

// end expects that nothing is left open.
func (s *story) end() {
	for id, stages := range s.jobs {
		if stages != nil {
			s.bad("job %d does not end", id)
		}
	}
	for _, st := range s.running {
		s.bad("stage %v does not end", st.attempt)
	}
	for id, t := range s.tasks {
		if t.end == "" {
			s.bad("task %d does not end", id)
		}
	}
}
