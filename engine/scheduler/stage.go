package scheduler

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// stage is a piece of the lineage between shuffles, while an active job needs
// it. waiting, running and failed exclude each other, but for a map stage
// that runs again and is listed as failed; submitting that one does nothing.
type stage struct {
	id      id.Stage
	node    *plan.Node
	dep     *plan.ShuffleDep // map stage: what it writes; nil: result stage
	job     *job             // result stage: its job
	tasks   int              // partitions, or of a result stage results
	barrier bool
	parents []*stage
	// children lists registered stages that read this one, in order of
	// creation, so that finishing it looks at those alone.
	children []*stage
	firstJob id.Job
	jobs     []*job // by id
	mapJobs  []*job // map-stage jobs that wait for it

	waiting, running, failed, queued bool

	next     int32           // number of the next attempt
	info     event.StageInfo // of the latest attempt
	failures []int32         // attempts ended by a fetch failure since it last succeeded
	ignored  int32           // attempts up to this one were rolled back; -1: none
	pending  pendingParts    // map stage: what the latest attempt still has to do
	making   *making         // the attempt whose task binary is being made
	sets     []*taskSet      // by attempt, while any attempt of theirs lives
}

// pendingParts is a set of partitions.
type pendingParts struct {
	in   []bool
	left int
}

func (p *pendingParts) add(part int32) {
	if !p.in[part] {
		p.in[part] = true
		p.left++
	}
}

func (p *pendingParts) remove(part int32) {
	if int(part) < len(p.in) && p.in[part] {
		p.in[part] = false
		p.left--
	}
}

func (s *stage) kind() task.Kind {
	if s.dep != nil {
		return task.ShuffleMapTask
	}
	return task.ResultTask
}

// partition returns the partition that the task at index of the stage reads.
func (s *stage) partition(index int32) int32 {
	if s.dep == nil && s.job.spec.Partitions != nil {
		return s.job.spec.Partitions[index]
	}
	return index
}

// busy reports whether submitting the stage would do nothing.
func (s *stage) busy() bool { return s.waiting || s.running || s.failed }

func (s *stage) attempt() id.StageAttempt { return s.info.StageAttempt }

// activeSet returns the task set of the latest attempt, if it still launches.
func (s *stage) activeSet() *taskSet {
	for _, ts := range s.sets {
		if !ts.draining {
			return ts
		}
	}
	return nil
}

// runs reports whether an attempt at the task at index has not ended.
func (s *stage) runs(index, stageAttempt, number int32) bool {
	for _, ts := range s.sets {
		if pos := ts.position(index); ts.id.Attempt == stageAttempt && pos >= 0 {
			for a := ts.running.at(pos); a != nil; a = a.next {
				if a.info.Number == number {
					return true
				}
			}
		}
	}
	return false
}

// walk visits the nodes that node's tasks compute: itself and what narrow
// dependencies reach. visit returns false to not look behind a node. Shuffle
// dependencies met on the way go to cut.
func walk(node *plan.Node, visit func(*plan.Node) bool, cut func(*plan.ShuffleDep)) {
	seen := map[*plan.Node]bool{}
	work := []*plan.Node{node}
	for len(work) > 0 {
		n := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		if !visit(n) {
			continue
		}
		for _, d := range n.Deps() {
			if sd, ok := d.(*plan.ShuffleDep); ok {
				if cut != nil {
					cut(sd)
				}
			} else {
				work = append(work, d.On())
			}
		}
	}
}

// shuffleDeps returns the shuffles that the tasks of node read, each once.
func shuffleDeps(node *plan.Node) []*plan.ShuffleDep {
	var deps []*plan.ShuffleDep
	seen := map[id.Shuffle]bool{}
	walk(node, func(*plan.Node) bool { return true }, func(d *plan.ShuffleDep) {
		if !seen[d.Shuffle] {
			seen[d.Shuffle] = true
			deps = append(deps, d)
		}
	})
	return deps
}

// createStages makes the job's stages: those that are registered are used
// again, and parents come before children, so that their ids are smaller. An
// explicit stack holds the shuffles that still lack a parent.
func (c *Core) createStages(j *job) error {
	type frame struct {
		node *plan.Node
		dep  *plan.ShuffleDep // nil: the result stage
		deps []*plan.ShuffleDep
		next int // deps before this one are registered
	}
	work := []frame{{node: j.spec.Final, dep: j.spec.Shuffle, deps: shuffleDeps(j.spec.Final)}}
	if j.spec.Shuffle != nil && c.shuffles[j.spec.Shuffle.Shuffle] != nil {
		work = nil
	}
	for len(work) > 0 {
		f := &work[len(work)-1]
		if f.next < len(f.deps) {
			d := f.deps[f.next]
			f.next++
			if c.shuffles[d.Shuffle] == nil {
				work = append(work, frame{node: d.Parent, dep: d, deps: shuffleDeps(d.Parent)})
			}
			continue
		}
		if f.dep == nil || c.shuffles[f.dep.Shuffle] == nil {
			if err := c.createStage(j, f.node, f.dep, f.deps); err != nil {
				return err
			}
		}
		work = work[:len(work)-1]
	}
	if j.spec.Shuffle != nil {
		j.final = c.shuffles[j.spec.Shuffle.Shuffle]
	}
	c.adopt(j)
	return nil
}

func (c *Core) createStage(j *job, node *plan.Node, dep *plan.ShuffleDep, deps []*plan.ShuffleDep) error {
	s := &stage{node: node, dep: dep, tasks: node.Partitions, firstJob: j.id, ignored: -1}
	if dep == nil {
		s.job, s.tasks = j, j.spec.results()
	}
	var err error
	if s.barrier, err = c.checkBarrier(node, s.tasks); err != nil {
		return err
	}
	for _, d := range deps {
		s.parents = append(s.parents, c.shuffles[d.Shuffle])
	}
	slices.SortFunc(s.parents, byStage)
	s.id = c.nextStage
	c.nextStage++
	c.stages[s.id] = s
	for _, p := range s.parents {
		p.children = append(p.children, s)
	}
	if dep != nil {
		c.shuffles[dep.Shuffle] = s
		var reads []id.Shuffle
		for _, d := range deps {
			reads = append(reads, d.Shuffle)
		}
		c.outputs.register(dep.Shuffle, s.tasks, reads...)
		s.pending.in = make([]bool, s.tasks)
	} else {
		j.final = s
	}
	s.newInfo(0, s.tasks)
	// The job holds the stage from here on, so that a later error drops it.
	j.stages = append(j.stages, s)
	s.jobs = append(s.jobs, j)
	return nil
}

// adopt adds the job to its stages and to all their ancestors.
func (c *Core) adopt(j *job) {
	seen := map[*stage]bool{}
	work := []*stage{j.final}
	for len(work) > 0 {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		if seen[s] {
			continue
		}
		seen[s] = true
		if !slices.Contains(s.jobs, j) {
			at, _ := slices.BinarySearchFunc(s.jobs, j.id, func(a *job, b id.Job) int { return cmp.Compare(a.id, b) })
			s.jobs = slices.Insert(s.jobs, at, j)
			j.stages = append(j.stages, s)
		}
		work = append(work, s.parents...)
	}
	slices.SortFunc(j.stages, byStage)
}

func byStage(a, b *stage) int { return cmp.Compare(a.id, b.id) }

// dropStage takes a stage that no job needs out of every table. Attempts that
// still run end by themselves; the shuffle's outputs stay for later jobs.
func (c *Core) dropStage(s *stage) {
	delete(c.stages, s.id)
	if s.dep != nil && c.shuffles[s.dep.Shuffle] == s {
		delete(c.shuffles, s.dep.Shuffle)
	}
	for _, p := range s.parents {
		p.children = slices.DeleteFunc(p.children, func(o *stage) bool { return o == s })
	}
	if s.failed {
		c.failed = slices.DeleteFunc(c.failed, func(o *stage) bool { return o == s })
	}
	s.waiting, s.running, s.failed, s.making = false, false, false, nil
	if len(c.failed) == 0 {
		c.resubmit = 0
	}
	c.commits.end(s.id)
	c.dropBarriers(s.id, -1)
	for _, ts := range slices.Clone(s.sets) { // draining may close it
		c.drain(ts)
	}
}

// newInfo describes an attempt that has not been submitted yet.
func (s *stage) newInfo(attempt int32, tasks int) {
	info := event.StageInfo{
		StageAttempt: id.StageAttempt{Stage: s.id, Attempt: attempt},
		NumTasks:     int32(tasks), Kind: s.kind(), Shuffle: -1,
	}
	if s.dep != nil {
		info.Shuffle = s.dep.Shuffle
		info.Site = s.node.Site
		info.Name = s.node.Name
		if s.node.Site != "" {
			info.Name += " at " + s.node.Site
		}
	} else {
		info.Site, info.Name = s.job.spec.Site, s.job.spec.name()
	}
	for _, p := range s.parents {
		info.Parents = append(info.Parents, p.id)
	}
	walk(s.node, func(n *plan.Node) bool {
		ni := event.NodeInfo{
			ID: n.ID, Name: n.Name, Site: n.Site, Partitions: int32(n.Partitions), Level: n.Level(),
			Barrier: n.Barrier, Determinism: n.Determinism.String(),
		}
		for _, d := range n.Deps() {
			ni.Parents = append(ni.Parents, d.On().ID)
		}
		info.Nodes = append(info.Nodes, ni)
		return true
	}, nil)
	s.info = info
}

// checkBarrier reports whether a stage that ends in node is a barrier stage,
// and whether it can be one (spark-semantics §1.10).
func (c *Core) checkBarrier(node *plan.Node, tasks int) (bool, error) {
	barrier := false
	var nodes []*plan.Node
	walk(node, func(n *plan.Node) bool {
		barrier = barrier || n.Barrier
		nodes = append(nodes, n)
		return true
	}, nil)
	if !barrier {
		return false, nil
	}
	// A node is inside the barrier if it or what it reads without a shuffle
	// is. Nodes come in no useful order, so go on until nothing changes.
	inside := map[*plan.Node]bool{}
	for changed := true; changed; {
		changed = false
		for _, n := range nodes {
			if in := n.Barrier || barrierParents(n, inside) > 0; in && !inside[n] {
				inside[n], changed = true, true
			}
		}
	}
	for _, n := range nodes {
		if n.Partitions != tasks {
			return true, fmt.Errorf("cannot run %s and %s in one barrier stage: %d and %d partitions (no union, coalesce, take or chosen partitions there): %w",
				node.Name, n.Name, tasks, n.Partitions, ErrBarrierPattern)
		}
		if barrierParents(n, inside) > 1 {
			return true, fmt.Errorf("cannot run %s in a barrier stage: it reads more than one barrier dataset: %w", n.Name, ErrBarrierPattern)
		}
	}
	if slots := c.slots(); tasks > slots {
		return true, fmt.Errorf("cannot run the %d tasks of a barrier stage at once on %d slots: %w", tasks, slots, ErrSlots)
	}
	return true, nil
}

func barrierParents(n *plan.Node, inside map[*plan.Node]bool) int {
	count := 0
	for _, d := range n.Deps() {
		if _, narrow := d.(*plan.NarrowDep); narrow && inside[d.On()] {
			count++
		}
	}
	return count
}
