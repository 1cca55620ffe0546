package executor

import (
	"context"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Labels under which profiles see an attempt, when Config.Labels says so:
// its job, its stage attempt, the part of the attempt that runs, and one for
// each property of its job whose key begins with LabelProperty.
const (
	LabelJob   = "job"
	LabelStage = "stage"
	LabelPart  = "part"
	// LabelProperty begins the keys of properties that become labels.
	LabelProperty = "execbench.label."
	// LabelDriver is the stage of a worker between attempts, when it steps
	// the driver or waits.
	LabelDriver = "driver"
)

// partLabels are the values of LabelPart inside the run; around it they are
// "decode" and "encode".
var partLabels = [task.PartCount]string{
	task.PartCompute:          "compute",
	task.PartInputRead:        "input read",
	task.PartShuffleFetchWait: "shuffle fetch wait",
	task.PartShuffleWrite:     "shuffle write",
	task.PartSpill:            "spill",
	task.PartOutputWrite:      "output write",
}

// labels are the contexts that carry a stage attempt's labels. Making them
// costs microseconds, so it is done once for each stage attempt; setting one
// costs some ten nanoseconds.
type labels struct {
	on    bool // the worker's goroutine carries labels
	job   id.Job
	stage id.StageAttempt
	all   context.Context // without the part
	parts [task.PartCount]context.Context
	// decode and encode are the parts around the run.
	decode, encode context.Context
	// watch sets the label of a part.
	watch func(task.Part)
}

// between labels the time between attempts: the driver's work.
var between = pprof.WithLabels(context.Background(), pprof.Labels(LabelStage, LabelDriver))

// of makes the labels of an attempt ready.
func (l *labels) of(d *task.Description) {
	if l.all != nil && l.job == d.Job && l.stage == d.StageAttempt {
		return
	}
	l.job, l.stage = d.Job, d.StageAttempt
	pairs := []string{LabelJob, strconv.Itoa(int(d.Job)), LabelStage, d.StageAttempt.String()}
	for k, v := range d.Properties {
		if name, ok := strings.CutPrefix(k, LabelProperty); ok && name != "" {
			pairs = append(pairs, name, v)
		}
	}
	l.all = pprof.WithLabels(context.Background(), pprof.Labels(pairs...))
	part := func(name string) context.Context { return pprof.WithLabels(l.all, pprof.Labels(LabelPart, name)) }
	for p, name := range partLabels {
		l.parts[p] = part(name)
	}
	l.decode, l.encode = part("decode"), part("encode")
	if l.watch == nil {
		l.watch = func(p task.Part) { pprof.SetGoroutineLabels(l.parts[p]) }
	}
}

// label gives the worker's goroutine the attempt's labels, if they are
// wanted now. What an earlier attempt left it takes away.
func (t *try) label() {
	l := &t.w.labels
	if want := t.w.e.cfg.Labels; want == nil || !want() {
		if l.on {
			l.on = false
			pprof.SetGoroutineLabels(context.Background())
		}
		return
	}
	l.of(&t.c.Description)
	l.on, t.c.labels = true, l.all
	pprof.SetGoroutineLabels(l.decode)
}

// labelRun lets the labels follow the parts of the run.
func (t *try) labelRun() {
	if t.c.labels != nil {
		t.c.Timer.Watch(t.w.labels.watch)
	}
}

// labelEncode labels what comes after the run.
func (t *try) labelEncode() {
	if t.c.labels != nil {
		pprof.SetGoroutineLabels(t.w.labels.encode)
	}
}

// unlabel takes the attempt's labels away.
func (t *try) unlabel() {
	if t.w.labels.on {
		pprof.SetGoroutineLabels(between)
	}
}
