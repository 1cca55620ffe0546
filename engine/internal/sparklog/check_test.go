package sparklog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/sparklog"
	"github.com/execbench/execbench/engine/task"
)

// good is a log in which about everything happens: a copy wins, an executor is
// lost with two outputs, a result is fetched, and a second job fails.
func good(t *testing.T) []string {
	t.Helper()
	const ms = int64(1e6)
	now := 10 * ms
	tick := func() int64 { now += 10 * ms; return now }
	stage := func(n, tasks int32, kind task.Kind, parents ...id.Stage) event.StageInfo {
		return event.StageInfo{StageAttempt: id.StageAttempt{Stage: id.Stage(n)}, Name: "s", NumTasks: tasks, Kind: kind, Parents: parents}
	}
	maps, reduces, fails := stage(0, 2, task.ShuffleMapTask), stage(1, 1, task.ResultTask, 0), stage(2, 1, task.ResultTask)
	events := []event.Event{
		&event.ApplicationStart{At: now, Wall: 1_700_000_000_000 * ms, Name: "log", ID: "app", Host: "h", Cores: 2, Memory: 1 << 30},
		&event.ExecutorAdded{At: now, Executor: "0", Host: "h", Cores: 1}, &event.ExecutorAdded{At: now, Executor: "1", Host: "h", Cores: 1},
		&event.BlockManagerAdded{At: now, Executor: "0", Host: "h", Memory: 1 << 20}, &event.BlockManagerAdded{At: now, Executor: "1", Host: "h", Memory: 1 << 20},
	}
	add := func(e event.Event) { events = append(events, e) }
	submit := func(j id.Job, s *event.StageInfo) {
		s.Submitted = tick()
		add(&event.StageSubmitted{At: now, Job: j, Stage: *s})
	}
	complete := func(s *event.StageInfo, failure string) {
		s.Completed, s.Failure = tick(), failure
		add(&event.StageCompleted{At: now, Stage: *s})
	}
	start := func(s event.StageInfo, n id.Task, index, number int32, x id.Executor, copied bool) *event.TaskEnd {
		info := event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: s.StageAttempt, Index: index, Number: number, Task: n}, Partition: index,
			Executor: x, Host: "h", Speculative: copied, Launch: tick()}
		add(&event.TaskStart{Info: info, Kind: s.Kind})
		return &event.TaskEnd{Info: info, Kind: s.Kind, HasMetrics: true}
	}
	end := func(e *event.TaskEnd, how task.ReasonKind, accums ...event.Accumulable) {
		e.Info.Finish, e.Reason, e.Accums = tick(), how, accums
		e.Info.Failed, e.Info.Killed = how == task.ExceptionFailure, how == task.TaskKilled
		if how != task.Success {
			e.Failure = &task.Failure{Kind: how, Class: "error", Message: "so"}
		}
		add(e)
	}
	rows := func(update, value string) event.Accumulable {
		return event.Accumulable{ID: 7, Name: "rows", Update: update, Value: value}
	}

	add(&event.JobStart{At: tick(), Job: 0, Stages: []event.StageInfo{maps, reduces}})
	submit(0, &maps)
	t0, t1 := start(maps, 0, 0, 0, "1", false), start(maps, 1, 1, 0, "0", false)
	add(&event.BlockUpdated{At: now, Executor: "1", Block: "rdd_3_0", Level: block.MemoryOnly, Memory: 100})
	end(t0, task.Success)
	add(&event.SpeculativeTaskSubmitted{At: now, Stage: maps.StageAttempt, Index: 1, Partition: 1})
	t2 := start(maps, 2, 1, 1, "1", true)
	end(t2, task.Success)
	end(t1, task.TaskKilled)
	for _, e := range []*event.TaskEnd{t0, t2} {
		add(&event.TaskEnd{Info: e.Info, Kind: e.Kind, Reason: task.Resubmitted})
	}
	add(&event.ExecutorRemoved{At: tick(), Executor: "1", Reason: "gone"})
	add(&event.BlockManagerRemoved{At: now, Executor: "1"})
	end(start(maps, 3, 0, 1, "0", false), task.Success, rows("5", "5"), event.Accumulable{ID: 8, Name: "bytes", Update: "50", Value: "50"})
	end(start(maps, 4, 1, 2, "0", false), task.Success, rows("3", "8"))
	add(&event.MemorySample{At: now, RSS: 1 << 20})
	complete(&maps, "")
	submit(0, &reduces)
	t5 := start(reduces, 5, 0, 0, "0", false)
	t5.Info.GettingResult = tick()
	add(&event.TaskGettingResult{Info: t5.Info})
	end(t5, task.Success)
	complete(&reduces, "")
	add(&event.JobEnd{At: tick(), Job: 0})
	add(&event.JobStart{At: tick(), Job: 1, Stages: []event.StageInfo{fails}})
	submit(1, &fails)
	end(start(fails, 6, 0, 0, "0", false), task.ExceptionFailure)
	complete(&fails, "too many failures")
	add(&event.JobEnd{At: tick(), Job: 1, Error: "too many failures"})
	add(&event.NodeUnpersisted{At: now, Node: 3})
	add(&event.ApplicationEnd{At: tick()})

	var text bytes.Buffer
	err := event.WriteSpark(&text, func(yield func(event.Event, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
	}, event.SparkOptions{BlockUpdates: true})
	if err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// Each rule finds the fault of a log that breaks it.
func TestFaultsAreFound(t *testing.T) {
	lines := good(t)
	lines[len(lines)-1] += "\n"
	if faults := sparklog.Check(strings.Join(lines, ""), true); len(faults) > 0 {
		t.Fatalf("of the good log: %q", faults)
	}
	at := func(lines []string, kind string, n int) int {
		for i, l := range lines {
			if strings.HasPrefix(l, `{"Event":"SparkListener`+kind+`"`) || strings.HasPrefix(l, `{"Event":"org.apache.spark.scheduler.SparkListener`+kind+`"`) {
				if n--; n < 0 {
					return i
				}
			}
		}
		t.Fatalf("there is no such line of %s", kind)
		return 0
	}
	type damage func([]string) []string
	drop := func(kind string, n int) damage {
		return func(l []string) []string { i := at(l, kind, n); return slices.Delete(l, i, i+1) }
	}
	again := func(kind string, n int) damage {
		return func(l []string) []string { i := at(l, kind, n); return slices.Insert(l, i, l[i]) }
	}
	edit := func(kind string, n int, from, to string) damage {
		return func(l []string) []string {
			i := at(l, kind, n)
			was := l[i]
			if l[i] = strings.Replace(was, from, to, 1); l[i] == was {
				t.Errorf("%q is not in %s", from, was)
			}
			return l
		}
	}
	move := func(kind string, n int, before string, m int) damage {
		return func(l []string) []string {
			i := at(l, kind, n)
			line := l[i]
			l = slices.Delete(l, i, i+1)
			return slices.Insert(l, at(l, before, m), line)
		}
	}
	for _, c := range []struct {
		fault  string
		damage damage
	}{
		// The file.
		{"unknown event", edit("UnpersistRDD", 0, "UnpersistRDD", "UnpersistAll")},
		{"does not begin with its event", edit("TaskStart", 0, `{"Event":"SparkListenerTaskStart",`, `{"Stage ID":0,"Event":"SparkListenerTaskStart",`)},
		{"not one compact object", edit("TaskStart", 0, `"Index":`, `"Index": `)},
		{"not one compact object", edit("ApplicationEnd", 0, "\n", "")},
		{"not UTF-8", edit("ApplicationStart", 0, `"log"`, "\"l\xffg\"")},
		{"unexpected EOF", edit("ApplicationEnd", 0, "}\n", "\n")},
		// Fields.
		{"is missing", edit("TaskStart", 0, `"Index":0,`, ``)},
		{"not in the tables", edit("TaskStart", 0, `"Index":0,`, `"Index":0,"Indices":1,`)},
		{"want an integer", edit("TaskStart", 0, `"Finish Time":0`, `"Finish Time":"0"`)},
		{"want an integer", edit("TaskStart", 0, `"Partition ID":0`, `"Partition ID":"0"`)},
		{"want a number", edit("ResourceProfileAdded", 0, `"Amount":1}}`, `"Amount":"1"}}`)},
		{"is not an object", edit("JobEnd", 0, `{"Result":"JobSucceeded"}`, `"JobSucceeded"`)},
		{"is not an array", edit("TaskStart", 0, `"Accumulables":[]`, `"Accumulables":{}`)},
		{"not negative", edit("TaskEnd", 0, `"Result Size":0`, `"Result Size":-1`)},
		{"not negative", edit("TaskEnd", 0, `"Result Size":0`, `"Result Size":0.5`)},
		{"want a string", edit("StageSubmitted", 0, `"Stage Name":"s"`, `"Stage Name":null`)},
		{"want a boolean", edit("TaskStart", 0, `"Failed":false`, `"Failed":0`)},
		{"want a map of strings", edit("JobStart", 0, `"Properties":{}`, `"Properties":{"a":1}`)},
		{"want a map of strings", edit("JobStart", 0, `"Properties":{}`, `"Properties":[]`)},
		{"want a positive", edit("BlockManagerAdded", 0, `"Port":1`, `"Port":0`)},
		{"NEAR, want", edit("TaskStart", 0, `"PROCESS_LOCAL"`, `"NEAR"`)},
		{"want a task end reason", edit("TaskEnd", 0, `"Reason":"Success"`, `"Reason":"Fine"`)},
		{"Map ID is missing", edit("TaskEnd", 0, `{"Reason":"Success"}`, `{"Reason":"FetchFailed","Block Manager Address":null,"Shuffle ID":1,"Reduce ID":0}`)},
		{"Executor ID is missing", edit("TaskEnd", 0, `{"Reason":"Success"}`, `{"Reason":"FetchFailed","Block Manager Address":{"Host":"h","Port":1},"Shuffle ID":1,"Map ID":1,"Reduce ID":0}`)},
		{"Accumulator Updates is missing", edit("TaskEnd", 8, `,"Accumulator Updates":[]`, ``)},
		{"JobFine, want", edit("JobEnd", 0, `"JobSucceeded"`, `"JobFine"`)},
		{"want [ResultTask", edit("TaskEnd", 0, `"ShuffleMapTask"`, `"MapTask"`)},
		{"want a positive", edit("BlockUpdated", 0, `"Port":1`, `"Port":-1`)},
		{"accumulator's value", edit("TaskEnd", 5, `"Update":"5"`, `"Update":5`)},
		{"not negative", edit("TaskEnd", 5, `"Name":"rows"`, `"Name":"internal.metrics.rows"`)},
		{"Java Version is missing", edit("EnvironmentUpdate", 0, `,"Java Version":"none"`, ``)},
		// The frame.
		{"0 lines of SparkListenerLogStart", drop("LogStart", 0)},
		{"0 lines of SparkListenerEnvironmentUpdate", drop("EnvironmentUpdate", 0)},
		{"0 lines of SparkListenerApplicationStart", drop("ApplicationStart", 0)},
		{"0 lines of SparkListenerApplicationEnd", drop("ApplicationEnd", 0)},
		{"2 lines of SparkListenerApplicationStart", again("ApplicationStart", 0)},
		{"not in the first line", move("ExecutorAdded", 0, "LogStart", 0)},
		{"comes before SparkListenerEnvironmentUpdate", move("ApplicationStart", 0, "EnvironmentUpdate", 0)},
		{"ResourceProfileAdded comes after the environment", move("ResourceProfileAdded", 0, "ApplicationStart", 0)},
		{"ExecutorAdded comes before", move("ExecutorAdded", 0, "ResourceProfileAdded", 0)},
		{"comes before the application", move("JobStart", 0, "ApplicationStart", 0)},
		{"comes after the end of the application", move("ApplicationEnd", 0, "UnpersistRDD", 0)},
		{"without an id", edit("ApplicationStart", 0, `"App ID":"app"`, `"App ID":""`)},
		// Executors and blocks.
		{"a task on executor 0, which is not there", drop("ExecutorAdded", 0)},
		{"a task on executor 0, which is not there", edit("ExecutorRemoved", 0, `"1"`, `"0"`)},
		{"executor 1 is there already", again("ExecutorAdded", 1)},
		{"executor 1 is not there", again("ExecutorRemoved", 0)},
		{"whose block manager is not there", drop("BlockManagerAdded", 0)},
		{"block manager on executor 1, which is not there", move("BlockManagerAdded", 1, "ExecutorAdded", 1)},
		{"of host", edit("BlockManagerAdded", 1, `"Host":"h"`, `"Host":"g"`)},
		{"a task on executor 1 of host", edit("TaskStart", 0, `"Host":"h"`, `"Host":"g"`)},
		{"the block manager of executor 1 is not there", again("BlockManagerRemoved", 0)},
		{"block rdd_3_0 of executor 1, whose", move("BlockUpdated", 0, "JobEnd", 0)},
		{"is no block's name", edit("BlockUpdated", 0, `"rdd_3_0"`, `"rdd_three"`)},
		{"which its level does not have", edit("BlockUpdated", 0, `"Use Memory":true`, `"Use Memory":false`)},
		// Jobs.
		{"job 0 starts again", again("JobStart", 0)},
		{"described are", edit("JobStart", 0, `"Stage IDs":[0,1]`, `"Stage IDs":[0,1,7]`)},
		{"is of no job that runs", drop("JobStart", 0)},
		{"job 0 ends and does not run", again("JobEnd", 0)},
		{"job 1 does not end", drop("JobEnd", 1)},
		{"job 0 ends before stage 1.0", move("JobEnd", 0, "StageCompleted", 1)},
		{"with an exception: false", edit("JobEnd", 0, "JobSucceeded", "JobFailed")},
		{"with an exception: true", edit("JobEnd", 1, "JobFailed", "JobSucceeded")},
		// Stages.
		{"a task of stage 0.0, which does not run", drop("StageSubmitted", 0)},
		{"is submitted while attempt 0 runs", again("StageSubmitted", 0)},
		{"want attempt 0", edit("StageSubmitted", 0, `"Stage Attempt ID":0`, `"Stage Attempt ID":2`)},
		{"submitted as one that has completed", edit("StageSubmitted", 0, `"Submission Time"`, `"Completion Time":1,"Submission Time"`)},
		{"with values", edit("StageSubmitted", 0, `"Accumulables":[]`, `"Accumulables":[{"ID":1}]`)},
		{"without a time", edit("StageSubmitted", 0, `"Submission Time"`, `"Completion Time"`)},
		{"stage 1.0 does not end", drop("StageCompleted", 1)},
		{"the end of stage 0.0, which does not run", again("StageCompleted", 0)},
		{"ends as", edit("StageCompleted", 0, `"Number of Tasks":2`, `"Number of Tasks":3`)},
		{"ends as", edit("StageCompleted", 0, `"Completion Time":17`, `"Completion Time":16`)},
		{"1 of its 2 tasks have succeeded", move("StageCompleted", 0, "TaskEnd", 6)},
		{"0 of its 1 tasks have succeeded", edit("StageCompleted", 2, `"Failure Reason":"too many failures",`, ``)},
		{"1 of its 2 tasks have succeeded", edit("TaskEnd", 6, `{"Reason":"Success"}`, `{"Reason":"TaskResultLost"}`)},
		{"between the peaks of stage 0.0 and its end", move("StageExecutorMetrics", 0, "TaskEnd", 6)},
		{"peaks of stage 1.0, which does not run", edit("StageExecutorMetrics", 0, `"Stage ID":0`, `"Stage ID":1`)},
		{"executor 9 is not there", edit("StageExecutorMetrics", 0, `"Executor ID":"0"`, `"Executor ID":"9"`)},
		// Tasks.
		{"task 0 ends and did not start", drop("TaskStart", 0)},
		{"task 0 starts again", again("TaskStart", 0)},
		{"attempt 1 of task 0 of stage 0.0 starts, want 0", edit("TaskStart", 0, `"Attempt":0`, `"Attempt":1`)},
		{"starts as one that has ended", edit("TaskStart", 0, `"Finish Time":0`, `"Finish Time":1`)},
		{"starts as one that has ended", edit("TaskStart", 0, `"Killed":false`, `"Killed":true`)},
		{"starts as one that has ended", edit("TaskStart", 0, `"Accumulables":[]`, `"Accumulables":[{"ID":1}]`)},
		{"starts before its stage", edit("TaskStart", 0, `"Launch Time":17`, `"Launch Time":16`)},
		{"which does not run", move("StageCompleted", 1, "TaskStart", 5)},
		{"a copy, which was not announced", drop("SpeculativeTaskSubmitted", 0)},
		{"a copy of stage 0.0, which does not run", move("SpeculativeTaskSubmitted", 0, "StageSubmitted", 0)},
		{"which does not run, or again", again("TaskGettingResult", 0)},
		{"the result of task 5 was fetched at", drop("TaskGettingResult", 0)},
		{"the result of task 5 is fetched:", edit("TaskGettingResult", 0, `"Finish Time":0`, `"Finish Time":1`)},
		{"task 6 does not end", drop("TaskEnd", 8)},
		{"task 0 ends again", again("TaskEnd", 0)},
		{"and was", edit("TaskEnd", 0, `"Index":0`, `"Index":1`)},
		{"and was", edit("TaskEnd", 0, `"Executor ID":"1"`, `"Executor ID":"0"`)},
		{"ended at 16", edit("TaskEnd", 0, `"Finish Time":17`, `"Finish Time":16`)},
		{"Success, failed true", edit("TaskEnd", 0, `"Failed":false`, `"Failed":true`)},
		{"TaskKilled, failed false, killed false", edit("TaskEnd", 2, `"Killed":true`, `"Killed":false`)},
		{"Resubmitted, failed false, killed true", edit("TaskEnd", 3, `"Killed":false`, `"Killed":true`)},
		{"ends as one of 0.1", edit("TaskEnd", 0, `"Stage Attempt ID":0`, `"Stage Attempt ID":1`)},
		{"others of its stage are ShuffleMapTask", edit("TaskEnd", 5, `"ShuffleMapTask"`, `"ResultTask"`)},
		{"task 0 is resubmitted, and has not succeeded", move("TaskEnd", 3, "TaskEnd", 0)},
		{"task 0 is resubmitted, and has not succeeded, or was already", again("TaskEnd", 3)},
		// Accumulators.
		{"accumulator 7 is 9 after task 4, and was 5", edit("TaskEnd", 6, `"Value":"8"`, `"Value":"9"`)},
		{"ends with accumulators", edit("StageCompleted", 0, `"Value":"8"`, `"Value":"5"`)},
		{"ends with accumulators", drop("TaskEnd", 6)},
		{"has an update of accumulator 7", edit("StageCompleted", 0, `"Value":"8"`, `"Update":"3","Value":"8"`)},
		{"not sorted by id", edit("TaskEnd", 5, `"ID":7`, `"ID":9`)},
		{"not sorted by id", edit("StageCompleted", 0, `"ID":7`, `"ID":9`)},
	} {
		text := strings.Join(c.damage(slices.Clone(lines)), "")
		faults := sparklog.Check(text, true)
		if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, c.fault) }) {
			t.Errorf("want a fault with %q, found %q", c.fault, faults)
		}
	}
}
