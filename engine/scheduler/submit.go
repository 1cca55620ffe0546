package scheduler

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// enqueue asks for a stage to be submitted before this step ends. Of several,
// the last comes first, so parents are reached before whom they were queued
// by.
func (c *Core) enqueue(s *stage) {
	if !s.queued {
		s.queued = true
		c.submits = append(c.submits, s)
	}
}

// submit submits a stage, or its missing parents and then waits for them.
func (c *Core) submit(s *stage) {
	s.queued = false
	if c.stages[s.id] != s || s.busy() {
		return
	}
	if int(s.next) >= c.cfg.MaxStageAttempts {
		c.abortStage(s, fmt.Sprintf("%s (stage %d) has been attempted %d times, which is the limit", s.info.Name, s.id, s.next), nil)
		return
	}
	missing := c.missingParents(s)
	if len(missing) == 0 {
		c.submitTasks(s)
		return
	}
	s.waiting = true
	for _, p := range slices.Backward(missing) {
		c.enqueue(p)
	}
}

// missingParents returns, by id, the map stages whose outputs s needs and
// does not have. What lies behind a fully cached dataset is not needed. A
// stage that is skipped, since its outputs are there, uses up its attempt 0.
func (c *Core) missingParents(s *stage) []*stage {
	var missing []*stage
	walk(s.node, func(n *plan.Node) bool { return !c.fullyCached(n) }, func(d *plan.ShuffleDep) {
		p := c.shuffles[d.Shuffle]
		switch {
		case p == nil || slices.Contains(missing, p):
		case !c.outputs.complete(d.Shuffle):
			missing = append(missing, p)
		case p.next == 0:
			p.next = 1
		}
	})
	slices.SortFunc(missing, byStage)
	return missing
}

// cacheLocations returns where the partitions of a node are cached, as known
// since the last event that may have changed it; nil: nothing is.
func (c *Core) cacheLocations(n *plan.Node) [][]task.Location {
	if n.Level() == 0 || c.cached == nil {
		return nil
	}
	at, ok := c.locations[n.ID]
	if !ok {
		if at = c.cached(n.ID, n.Partitions); len(at) != n.Partitions {
			at = nil
		}
		c.locations[n.ID] = at
	}
	return at
}

func (c *Core) fullyCached(n *plan.Node) bool {
	at := c.cacheLocations(n)
	return at != nil && !slices.ContainsFunc(at, func(l []task.Location) bool { return len(l) == 0 })
}

// making is a stage attempt whose task binary is asked for.
type making struct {
	attempt id.StageAttempt
	job     *job
	indices []int32 // tasks to run
	prefs   [][]task.Location
}

// submitTasks begins a new attempt of a stage whose parents are all there
// (spark-semantics §1.5).
func (c *Core) submitTasks(s *stage) {
	if s.dep != nil && s.node.Determinism == plan.Indeterminate && !c.outputs.complete(s.dep.Shuffle) &&
		(s.next > 0 || c.outputs.written(s.dep.Shuffle)) {
		// What a partial second run returns would not fit the rest.
		if c.rollBack(s); c.stages[s.id] != s {
			return
		}
	}
	if s.dep != nil && s.barrier && !c.outputs.complete(s.dep.Shuffle) {
		c.outputs.removeAll(s.dep.Shuffle) // its tasks run all at once
	}
	j := s.jobs[0] // the earliest; its properties and priority are the attempt's
	var indices []int32
	if s.dep != nil {
		indices = c.outputs.missing(s.dep.Shuffle)
	} else {
		for i, done := range s.job.finished {
			if !done {
				indices = append(indices, int32(i))
			}
		}
	}
	s.running = true
	c.commits.start(s.id, s.node.Partitions)
	if s.dep != nil {
		c.commits.again(s, indices)
	}
	prefs, err := c.preferred(s, indices)

	s.newInfo(s.next, len(indices))
	s.next++
	if len(indices) > 0 {
		s.info.Submitted = c.now
	}
	c.emit(&event.StageSubmitted{At: c.now, Job: j.id, Stage: s.info, Properties: maps.Clone(j.spec.Properties)})
	if err != nil {
		c.abortStage(s, fmt.Sprintf("cannot find where the tasks of %s would best run: %v", s.info.Name, err), err)
		return
	}
	if len(indices) == 0 {
		if s.dep != nil {
			c.stageDone(s)
		} else {
			c.finishStage(s, "", false)
		}
		return
	}
	if s.dep != nil {
		clear(s.pending.in)
		s.pending.left = 0
		for _, i := range indices {
			s.pending.add(i)
		}
	}
	s.making = &making{attempt: s.attempt(), job: j, indices: indices, prefs: prefs}
	req := BinaryRequest{StageAttempt: s.attempt(), Job: j.id, Node: s.node, Shuffle: s.dep}
	if s.dep == nil {
		req.Payload = j.spec.Payload
	}
	c.asked++
	c.command(&MakeBinary{Request: req})
}

// binaryMade goes on where submitTasks left off.
func (c *Core) binaryMade(e *BinaryMade) {
	c.asked--
	s := c.stages[e.Stage.Stage]
	if s == nil || s.making == nil || s.making.attempt != e.Stage {
		if e.Err == nil {
			c.command(&DropBinary{Binary: e.Binary})
		}
		return
	}
	m := s.making
	s.making = nil
	if e.Err != nil {
		c.abortStage(s, fmt.Sprintf("cannot make its task binary: %v", e.Err), e.Err)
		return
	}
	c.doneMeanwhile(s, c.addTaskSet(s, m, e.Binary))
}

// doneMeanwhile takes from a new task set what attempts of older ones did while
// its binary was made: there was no set yet that could be told.
func (c *Core) doneMeanwhile(s *stage, ts *taskSet) {
	for _, index := range ts.indices {
		if s.dep != nil && !s.pending.in[index] || s.dep == nil && s.job.finished[index] {
			c.partitionDone(ts, index)
		}
	}
	if s.dep != nil && s.pending.left == 0 {
		c.stageDone(s)
	}
}

// preferred returns where each of the stage's tasks would best run; nil: no
// task has a preference. The first that has any decides: where the partition
// is cached, what the dataset says, what its narrow parents say, and last
// where most of a reducer's bytes are.
func (c *Core) preferred(s *stage, indices []int32) (prefs [][]task.Location, err error) {
	defer func() {
		// A source's own function is no part of the scheduler.
		if p := recover(); p != nil {
			prefs, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	some := false
	reduce := map[id.Shuffle][][]task.Location{}
	walk(s.node, func(n *plan.Node) bool {
		some = some || n.Preferred != nil || c.cacheLocations(n) != nil
		return true
	}, func(d *plan.ShuffleDep) {
		if _, ok := reduce[d.Shuffle]; !ok && !c.cfg.NoReduceLocality {
			reduce[d.Shuffle] = c.outputs.prefer(d, preferFraction)
			some = some || reduce[d.Shuffle] != nil
		}
	})
	if !some {
		return nil, nil
	}
	prefs = make([][]task.Location, len(indices))
	seen := map[nodePart]bool{}
	for i, index := range indices {
		clear(seen)
		prefs[i] = c.prefersOf(s.node, int(s.partition(index)), seen, reduce)
	}
	return prefs, nil
}

type nodePart struct {
	node *plan.Node
	part int
}

func (c *Core) prefersOf(node *plan.Node, part int, seen map[nodePart]bool, reduce map[id.Shuffle][][]task.Location) []task.Location {
	var shuffled []task.Location
	work := []nodePart{{node, part}}
	for len(work) > 0 {
		x := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[x] {
			continue
		}
		seen[x] = true
		if at := c.cacheLocations(x.node); at != nil && len(at[x.part]) > 0 {
			return at[x.part]
		}
		if x.node.Preferred != nil {
			if at := x.node.Preferred(x.part); len(at) > 0 {
				return at
			}
		}
		deps := x.node.Deps()
		for _, d := range slices.Backward(deps) { // a stack: the first dependency is looked at first
			switch d := d.(type) {
			case *plan.NarrowDep:
				if d.Parts == nil {
					work = append(work, nodePart{d.Parent, x.part})
					continue
				}
				for _, p := range slices.Backward(d.Parts(x.part)) {
					work = append(work, nodePart{d.Parent, p})
				}
			case *plan.ShuffleDep:
				if at := reduce[d.Shuffle]; at != nil && x.part < len(at) && len(shuffled) == 0 {
					shuffled = at[x.part]
				}
			}
		}
	}
	return shuffled
}

// finishStage closes the latest attempt of a stage: reason is empty if it
// succeeded; retry says that another attempt will follow.
func (c *Core) finishStage(s *stage, reason string, retry bool) {
	s.info.Completed = c.now
	s.info.Failure = reason
	if reason == "" {
		s.failures = nil
	}
	if !retry {
		c.commits.end(s.id)
	}
	c.dropBarriers(s.id, s.attempt().Attempt)
	c.emit(&event.StageCompleted{At: c.now, Stage: s.info})
	s.running = false
	s.making = nil
}

// stageDone takes a map stage whose tasks are all done.
func (c *Core) stageDone(s *stage) {
	c.finishStage(s, "", false)
	c.outputs.epoch++
	clear(c.locations)
	if !c.outputs.complete(s.dep.Shuffle) {
		c.enqueue(s) // some were lost meanwhile
		return
	}
	c.finishMapJobs(s)
	children := slices.DeleteFunc(slices.Clone(s.children), func(ch *stage) bool { return !ch.waiting })
	slices.SortStableFunc(children, func(a, b *stage) int { return cmp.Compare(a.firstJob, b.firstJob) })
	for _, ch := range slices.Backward(children) {
		ch.waiting = false
		c.enqueue(ch)
	}
}
