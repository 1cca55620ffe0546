package event

import (
	"maps"
	"slices"

	"github.com/execbench/execbench/engine/task"
)

// Kinds of event in a file. Numbers are never reused.
const (
	kindApplicationStart uint8 = iota + 1
	kindExecutorAdded
	kindBlockManagerAdded
	kindJobStart
	kindJobEnd
	kindStageSubmitted
	kindStageCompleted
	kindTaskStart
	kindTaskGettingResult
	kindTaskEnd
	kindBlockUpdated
	kindNodeUnpersisted
	kindMemorySample
	kindWorkerTime
	kindPhase
	kindApplicationEnd
	kindExecutorRemoved
	kindBlockManagerRemoved
	kindSpeculativeTaskSubmitted
	kindExcluded
	kindUnexcluded
)

// form is how an event of this package goes to and from a file: its kind and
// its fields in order.
//
// A field added to an event later goes at the end of its fields: an older
// reader skips it, and a newer one reads an older file's as zero. Elements of
// lists cannot grow; give the event a second list instead. Fields and kinds
// added later must not use the codec's running state (time, name, the last
// attempt), which older readers would then lose.
type form interface {
	Event
	kind() uint8
	fields(c *codec)
}

// Slots of codec.prev.
const (
	slotStart = iota
	slotGetting
	slotEnd
)

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

func (*ApplicationStart) kind() uint8 { return kindApplicationStart }
func (e *ApplicationStart) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.Wall, 0)
	c.text(&e.Name)
	c.text(&e.ID)
	c.text(&e.User)
	c.name(&e.Host)
	number(c, &e.Cores, 0)
	number(c, &e.Memory, 0)
	c.pairs(&e.Conf)
}

func (*ExecutorAdded) kind() uint8 { return kindExecutorAdded }
func (e *ExecutorAdded) fields(c *codec) {
	c.time(&e.At)
	c.name((*string)(&e.Executor))
	c.name(&e.Host)
	number(c, &e.Cores, 0)
}

func (*BlockManagerAdded) kind() uint8 { return kindBlockManagerAdded }
func (e *BlockManagerAdded) fields(c *codec) {
	c.time(&e.At)
	c.name((*string)(&e.Executor))
	c.name(&e.Host)
	number(c, &e.Memory, 0)
}

func (*JobStart) kind() uint8 { return kindJobStart }
func (e *JobStart) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.Job, 0)
	c.name(&e.Name)
	list(c, &e.Stages, (*codec).stage)
	c.pairs(&e.Properties)
}

func (*JobEnd) kind() uint8 { return kindJobEnd }
func (e *JobEnd) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.Job, 0)
	c.text(&e.Error)
}

func (*StageSubmitted) kind() uint8 { return kindStageSubmitted }
func (e *StageSubmitted) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.Job, 0)
	c.stage(&e.Stage)
	c.pairs(&e.Properties)
}

func (*StageCompleted) kind() uint8 { return kindStageCompleted }
func (e *StageCompleted) fields(c *codec) {
	c.time(&e.At)
	c.stage(&e.Stage)
}

func (c *codec) stage(s *StageInfo) {
	bits := bit(s.Submitted != 0, 0) | bit(s.Completed != 0, 1)
	c.flags(&bits)
	number(c, &s.Stage, 0)
	number(c, &s.Attempt, 0)
	c.name(&s.Name)
	c.name(&s.Site)
	number(c, &s.NumTasks, 0)
	number(c, (*uint8)(&s.Kind), 0)
	list(c, &s.Nodes, (*codec).node)
	list(c, &s.Parents, plain)
	number(c, &s.Shuffle, 0)
	if bits&1 != 0 {
		c.time(&s.Submitted)
	}
	if bits&2 != 0 {
		c.time(&s.Completed)
	}
	c.text(&s.Failure)
}

func (c *codec) node(n *NodeInfo) {
	number(c, &n.ID, 0)
	c.name(&n.Name)
	c.name(&n.Site)
	list(c, &n.Parents, plain)
	number(c, &n.Partitions, 0)
	number(c, (*uint8)(&n.Level), 0)
	bits := bit(n.Barrier, 0)
	c.flags(&bits)
	n.Barrier = bits&1 != 0
	c.name(&n.Determinism)
}

// plain codes a list's integer as it is.
func plain[T integer](c *codec, v *T) { number(c, v, 0) }

// info codes an attempt relative to the last one in its slot. The moments are
// coded by the caller where they fall among the event's own.
func (c *codec) info(i *TaskInfo, slot int) (getting, finish bool) {
	p := &c.prev[slot]
	was := &p.attempt
	bits := bit(i.GettingResult != 0, 0) | bit(i.Finish != 0, 1) | bit(i.Failed, 2) | bit(i.Killed, 3) |
		bit(i.Speculative, 4) | uint8(min(i.Locality, task.AnyLocality))<<5
	c.flags(&bits)
	number(c, &i.Stage, was.Stage)
	number(c, &i.Attempt, was.Attempt)
	number(c, &i.Index, was.Index)
	number(c, &i.Number, 0)
	number(c, &i.Task, was.Task)
	number(c, &i.Partition, i.Index)
	c.repeated((*string)(&i.Executor), &p.executor)
	c.repeated(&i.Host, &p.host)
	c.time(&i.Launch)
	i.Failed, i.Killed, i.Speculative = bits&4 != 0, bits&8 != 0, bits&16 != 0
	i.Locality = task.Locality(bits >> 5)
	*was = i.TaskAttempt
	return bits&1 != 0, bits&2 != 0
}

// ends codes the moments of an attempt that may be missing.
func (c *codec) ends(i *TaskInfo, getting, finish bool) {
	if getting {
		c.time(&i.GettingResult)
	}
	if finish {
		c.time(&i.Finish)
	}
}

func (*TaskStart) kind() uint8 { return kindTaskStart }
func (e *TaskStart) fields(c *codec) {
	getting, finish := c.info(&e.Info, slotStart)
	c.ends(&e.Info, getting, finish)
	number(c, (*uint8)(&e.Kind), 0)
	number(c, &e.LaunchBytes, 0)
}

func (*TaskGettingResult) kind() uint8 { return kindTaskGettingResult }
func (e *TaskGettingResult) fields(c *codec) {
	getting, finish := c.info(&e.Info, slotGetting)
	c.ends(&e.Info, getting, finish)
}

func (*TaskEnd) kind() uint8 { return kindTaskEnd }
func (e *TaskEnd) fields(c *codec) {
	bits := bit(e.Failure != nil, 0) | bit(e.HasMetrics, 1) | bit(e.Stamps != task.Stamps{}, 2) |
		bit(e.Metrics != task.Metrics{}, 3)
	c.flags(&bits)
	e.HasMetrics = bits&2 != 0
	getting, finish := c.info(&e.Info, slotEnd)
	if bits&4 != 0 {
		c.time(&e.Stamps.Start)
		c.time(&e.Stamps.RunStart)
		c.time(&e.Stamps.RunEnd)
		c.time(&e.Stamps.EncodeEnd)
		c.time(&e.Stamps.End)
	}
	c.ends(&e.Info, getting, finish)
	number(c, (*uint8)(&e.Kind), 0)
	number(c, (*uint8)(&e.Reason), 0)
	number(c, (*uint8)(&e.Route), 0)
	number(c, &e.Worker, 0)
	for i := range e.StatusBytes {
		number(c, &e.StatusBytes[i], 0)
	}
	if bits&8 != 0 {
		c.metrics(&e.Metrics)
	}
	list(c, &e.Accums, (*codec).accumulable)
	if bits&1 != 0 {
		if c.reading {
			e.Failure = new(task.Failure)
		}
		c.failure(e.Failure)
	}
}

func (c *codec) accumulable(a *Accumulable) {
	number(c, &a.ID, 0)
	c.name(&a.Name)
	c.text(&a.Update)
	c.text(&a.Value)
}

func (c *codec) failure(f *task.Failure) {
	number(c, (*uint8)(&f.Kind), 0)
	c.name(&f.Class)
	c.text(&f.Message)
	c.text(&f.Stack)
	bits := bit(f.NoRetry, 0) | bit(f.CausedByApp, 1)
	c.flags(&bits)
	if c.reading { // what is written may be anybody's
		f.NoRetry, f.CausedByApp = bits&1 != 0, bits&2 != 0
	}
	c.name((*string)(&f.Fetch.Executor))
	number(c, &f.Fetch.Shuffle, 0)
	number(c, &f.Fetch.Map, 0)
	number(c, &f.Fetch.MapIndex, 0)
	number(c, &f.Fetch.Reduce, 0)
	list(c, &f.Accums, (*codec).update)
	c.metrics(&f.Metrics)
}

func (c *codec) update(a *task.AccumUpdate) {
	number(c, &a.ID, 0)
	c.name(&a.Name)
	c.bytes(&a.Value)
	bits := bit(a.CountFailed, 0)
	c.flags(&bits)
	if c.reading {
		a.CountFailed = bits&1 != 0
	}
}

func (*SpeculativeTaskSubmitted) kind() uint8 { return kindSpeculativeTaskSubmitted }
func (e *SpeculativeTaskSubmitted) fields(c *codec) {
	number(c, &e.At, 0)
	number(c, &e.Stage.Stage, 0)
	number(c, &e.Stage.Attempt, 0)
	number(c, &e.Index, 0)
	number(c, &e.Partition, 0)
}

func (*Excluded) kind() uint8 { return kindExcluded }
func (e *Excluded) fields(c *codec) {
	number(c, &e.At, 0)
	c.text((*string)(&e.Executor))
	c.text(&e.Host)
	bits := bit(e.ForStage, 0)
	c.flags(&bits)
	e.ForStage = bits&1 != 0
	number(c, &e.Stage.Stage, 0)
	number(c, &e.Stage.Attempt, 0)
	number(c, &e.Failures, 0)
}

func (*Unexcluded) kind() uint8 { return kindUnexcluded }
func (e *Unexcluded) fields(c *codec) {
	number(c, &e.At, 0)
	c.text((*string)(&e.Executor))
	c.text(&e.Host)
}

func (*BlockUpdated) kind() uint8 { return kindBlockUpdated }
func (e *BlockUpdated) fields(c *codec) {
	c.time(&e.At)
	c.name((*string)(&e.Executor))
	c.text(&e.Block)
	number(c, (*uint8)(&e.Level), 0)
	number(c, &e.Memory, 0)
	number(c, &e.Disk, 0)
}

func (*NodeUnpersisted) kind() uint8 { return kindNodeUnpersisted }
func (e *NodeUnpersisted) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.Node, 0)
}

func (*MemorySample) kind() uint8 { return kindMemorySample }
func (e *MemorySample) fields(c *codec) {
	c.time(&e.At)
	number(c, &e.RSS, 0)
	number(c, &e.PeakRSS, 0)
	list(c, &e.Accounts, (*codec).account)
	number(c, &e.Runtime, 0)
	number(c, &e.GCCount, 0)
	number(c, &e.GCTime, 0)
	number(c, &e.CPU, 0)
	number(c, &e.EvictedMemory, 0)
	number(c, &e.EvictedDisk, 0)
}

func (c *codec) account(a *Account) {
	c.name(&a.Name)
	number(c, &a.Bytes, 0)
}

func (*WorkerTime) kind() uint8 { return kindWorkerTime }
func (e *WorkerTime) fields(c *codec) {
	c.time(&e.At)
	c.name((*string)(&e.Executor))
	number(c, &e.Worker, 0)
	number(c, &e.Busy, 0)
	number(c, &e.Stepping, 0)
	number(c, &e.Since, 0)
}

func (*Phase) kind() uint8 { return kindPhase }
func (e *Phase) fields(c *codec) {
	c.time(&e.Begin)
	c.time(&e.End)
	c.name(&e.Name)
	number(c, &e.Index, 0)
	c.text(&e.Error)
}

func (*ApplicationEnd) kind() uint8       { return kindApplicationEnd }
func (e *ApplicationEnd) fields(c *codec) { c.time(&e.At) }

func (*ExecutorRemoved) kind() uint8 { return kindExecutorRemoved }
func (e *ExecutorRemoved) fields(c *codec) {
	number(c, &e.At, 0)
	c.text((*string)(&e.Executor))
	c.text(&e.Reason)
}

func (*BlockManagerRemoved) kind() uint8 { return kindBlockManagerRemoved }
func (e *BlockManagerRemoved) fields(c *codec) {
	number(c, &e.At, 0)
	c.text((*string)(&e.Executor))
}
