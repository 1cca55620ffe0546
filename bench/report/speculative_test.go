package report

import (
	"fmt"
	"strings"
	"testing"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// A slow task has a copy that wins, another one that does not, and a third
// one that fails.
func TestSecondAttemptsAreCounted(t *testing.T) {
	stage := event.StageInfo{StageAttempt: id.StageAttempt{Stage: 4}, Name: "slow at x.go:1", NumTasks: 3, Shuffle: -1, Kind: task.ResultTask}
	stage.Submitted = 20
	events := []event.Event{
		&event.ApplicationStart{At: 1, Wall: 1, Name: "a", ID: "local-1"},
		&event.JobStart{At: 10, Job: 0, Name: "count at x.go:1", Stages: []event.StageInfo{stage}},
		&event.StageSubmitted{At: 20, Stage: stage},
	}
	n := id.Task(0)
	for index, ends := range [][2]task.ReasonKind{{task.TaskKilled, task.Success}, {task.Success, task.TaskKilled}, {task.Success, task.ExceptionFailure}} {
		for number, reason := range ends {
			i := event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: stage.StageAttempt, Index: int32(index), Number: int32(number), Task: n},
				Launch: 30, Speculative: number == 1}
			events = append(events, &event.TaskStart{Info: i})
			i.Finish, i.Killed, i.Failed = 90, reason == task.TaskKilled, reason == task.ExceptionFailure
			events = append(events, &event.TaskEnd{Info: i, Reason: reason})
			n++
		}
	}
	stage.Completed = 100
	events = append(events, &event.StageCompleted{At: 100, Stage: stage}, &event.JobEnd{At: 110}, &event.ApplicationEnd{At: 120})
	m := load(t, EventSource(events), Options{})
	want := Speculative{Started: 3, Succeeded: 1, Failed: 1, Killed: 1}
	for what, c := range map[string]*Counts{"stage": &m.Stages[0].Counts, "job": &m.Jobs[0].Counts} {
		if c.Speculative != want || c.Started != 6 || c.Succeeded != 3 || c.Killed != 2 || c.Failed != 1 {
			t.Errorf("%s: %+v", what, c)
		}
	}
	rows := speculativeTable(m.Stages).Rows
	if got := fmt.Sprint(rows); len(rows) != 1 || !strings.Contains(got, "4.0 slow at x.go:1 3 1 1 1") {
		t.Errorf("table %s", got)
	}
	if rows := speculativeTable([]*Stage{{}}).Rows; len(rows) != 0 {
		t.Errorf("a stage without any has %v", rows)
	}
}
