package report

import (
	"fmt"

	"github.com/execbench/execbench/bench/table"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
)

// Failure is what attempts of a stage failed of, with the first of them.
type Failure struct {
	Stage        id.Stage `json:"stage"`
	StageAttempt int32    `json:"stage_attempt"`
	Task         id.Task  `json:"task"`
	Index        int32    `json:"index"`
	Number       int32    `json:"number"`
	Reason       string   `json:"reason"` // Spark's name of it
	Cause        string   `json:"cause"`
	Stack        string   `json:"stack,omitempty"` // of a panic
	Attempts     int64    `json:"attempts"`        // that failed of the same
}

// failuresMax bounds how many different failures a model keeps: the first
// ones lead to the rest, and causes may be long.
const failuresMax = 16

// failed takes an attempt that failed into the model.
func (m *Model) failed(e *event.TaskEnd) {
	f := Failure{Stage: e.Info.Stage, StageAttempt: e.Info.StageAttempt.Attempt, Task: e.Info.Task, Index: e.Info.Index, Number: e.Info.Number,
		Reason: e.Reason.String(), Attempts: 1}
	if e.Failure != nil {
		f.Cause, f.Stack = e.Failure.Error(), e.Failure.Stack
	} else if !counted(e) {
		f.Cause = "it had succeeded, and its output was lost with executor " + string(e.Info.Executor)
	}
	for i := range m.Failures {
		if k := &m.Failures[i]; k.Stage == f.Stage && k.StageAttempt == f.StageAttempt && k.Reason == f.Reason && k.Cause == f.Cause {
			k.Attempts++
			return
		}
	}
	if len(m.Failures) < failuresMax {
		m.Failures = append(m.Failures, f)
	} else {
		m.MoreFailures++
	}
}

// writeFailures tells of what attempts failed: a row for each cause, and
// below the table the stacks of panics.
func (m *Model) writeFailures(d *document) {
	t := &table.Table{Title: "Failed attempts", Left: []int{0, 1, 3, 4}, Header: []string{"stage", "first", "attempts", "reason", "cause"}}
	for i := range m.Failures {
		f := &m.Failures[i]
		t.Add(f.stage(), f.attempt(), text(f.Attempts), f.Reason, f.Cause)
	}
	d.table(t)
	if m.MoreFailures > 0 {
		d.line("%d more attempts failed of other causes: report --tasks lists them.", m.MoreFailures)
	}
	told := map[string]bool{}
	for i := range m.Failures {
		if f := &m.Failures[i]; f.Stack != "" && !told[f.Cause] {
			told[f.Cause] = true
			d.line("Stack of attempt %s of stage %s, %s:", f.attempt(), f.stage(), f.Cause)
			d.verbatim(f.Stack)
		}
	}
}

func (f *Failure) stage() string {
	return id.StageAttempt{Stage: f.Stage, Attempt: f.StageAttempt}.String()
}

func (f *Failure) attempt() string { return fmt.Sprintf("%d.%d (TID %d)", f.Index, f.Number, f.Task) }
