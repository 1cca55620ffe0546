package explain

import (
	"math/rand/v2"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

const (
	us = int64(1e3)
	ms = int64(1e6)
)

// work is what one synthetic task does, in nanoseconds.
type work struct {
	gap, decode, input, fetch, spill, output, compute, shuffle, encode, other, gc int64
	waited                                                                        int64 // part of compute in which others had the processor
}

func (w work) body() int64 {
	return w.decode + w.input + w.fetch + w.spill + w.output + w.compute + w.shuffle + w.encode + w.other
}

// cluster makes the events of a session whose workers take tasks as they
// become free, on a clock of its own.
type cluster struct {
	events   []event.Event
	now      int64
	free     []int64
	job      id.Job
	stage    id.Stage
	task     id.Task
	stageGap int64 // from a stage's parents to its submission
	tail     int64 // from the last task's end to the stage's completion
	jobGap   int64 // of the program
}

func newCluster(workers int) *cluster {
	c := &cluster{free: make([]int64, workers), now: ms, stageGap: 50 * us, tail: 20 * us, jobGap: 100 * us}
	c.add(&event.ApplicationStart{Cores: int32(workers), Memory: 256 << 20, Name: "synthetic", ID: "local-1"},
		&event.ExecutorAdded{At: 1, Executor: id.Driver, Cores: int32(workers)})
	return c
}

func (c *cluster) add(e ...event.Event) { c.events = append(c.events, e...) }

// iteration runs jobs, each a chain of stages.
func (c *cluster) iteration(index int32, jobs ...[][]work) {
	begin := c.now
	for _, stages := range jobs {
		c.now += c.jobGap
		c.runJob(stages)
	}
	c.now += c.jobGap
	c.add(&event.Phase{Begin: begin, End: c.now, Name: "iteration", Index: index})
}

func (c *cluster) runJob(stages [][]work) {
	var infos []event.StageInfo
	for i, tasks := range stages {
		s := event.StageInfo{StageAttempt: id.StageAttempt{Stage: c.stage}, Name: "stage at x.go:1", NumTasks: int32(len(tasks)), Shuffle: -1, Kind: task.ResultTask}
		if i > 0 {
			s.Parents = []id.Stage{c.stage - 1}
		}
		c.stage++
		infos = append(infos, s)
	}
	c.add(&event.JobStart{At: c.now, Job: c.job, Stages: infos})
	for i, tasks := range stages {
		c.runStage(infos[i], tasks)
	}
	c.now += c.tail
	c.add(&event.JobEnd{At: c.now, Job: c.job})
	c.job++
}

func (c *cluster) runStage(s event.StageInfo, tasks []work) {
	c.now += c.stageGap
	s.Submitted = c.now
	c.add(&event.StageSubmitted{At: c.now, Job: c.job, Stage: s})
	for w := range c.free {
		c.free[w] = max(c.free[w], c.now)
	}
	for i, t := range tasks {
		worker := 0
		for w := range c.free {
			if c.free[w] < c.free[worker] {
				worker = w
			}
		}
		e := &event.TaskEnd{Kind: s.Kind, HasMetrics: true, Reason: task.Success, Worker: int32(worker)}
		e.Info = event.TaskInfo{TaskAttempt: id.TaskAttempt{StageAttempt: s.StageAttempt, Index: int32(i), Task: c.task}, Executor: id.Driver, Launch: c.free[worker]}
		c.task++
		at := c.free[worker] + t.gap
		e.Stamps.Start = at
		at += t.decode
		e.Stamps.RunStart = at
		at += t.input + t.fetch + t.spill + t.output + t.compute + t.shuffle
		e.Stamps.RunEnd = at
		at += t.encode
		e.Stamps.EncodeEnd = at
		at += t.other
		e.Stamps.End, e.Info.Finish = at, at
		m := &e.Metrics
		m[task.InputReadTime], m[task.ShuffleFetchWaitTime], m[task.SpillTime] = t.input, t.fetch, t.spill
		m[task.OutputWriteTime], m[task.ComputeTime], m[task.ShuffleWriteTime] = t.output, t.compute, t.shuffle
		m[task.ExecutorCPUTime], m[task.JVMGCTime] = t.compute+t.shuffle-t.waited, t.gc
		if t.spill > 0 {
			m[task.DiskBytesSpilled] = 1 << 20
		}
		c.free[worker] = at
		c.add(&event.TaskStart{Info: e.Info}, e)
	}
	for _, at := range c.free {
		c.now = max(c.now, at)
	}
	c.now += c.tail
	s.Completed = c.now
	c.add(&event.StageCompleted{At: c.now, Stage: s})
}

// done ends the session.
func (c *cluster) done() []event.Event {
	c.add(&event.ApplicationEnd{At: c.now})
	return c.events
}

// repeat makes n tasks, varied by some percent.
func repeat(r *rand.Rand, n int, w work) []work {
	out := make([]work, n)
	for i := range out {
		f := 1 + 0.05*r.Float64()
		v := w
		for _, p := range []*int64{&v.input, &v.fetch, &v.spill, &v.output, &v.compute, &v.shuffle} {
			*p = int64(float64(*p) * f)
		}
		out[i] = v
	}
	return out
}
