package scheduler

import (
	"slices"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// pendingTasks are the positions of a task set that wait for a slot, as
// stacks: the lowest position is on top at first, and a retry goes on top.
// A position may be on several stacks and stay there after it was launched;
// it is passed over then (Core.ready).
type pendingTasks struct {
	prefs  [][]task.Location // [n]; nil: no task prefers any place
	byExec map[id.Executor]*stack
	byHost map[string]*stack
	nopref stack
	all    stack  // those with a preference
	held   []bool // barrier sets: taken, but not launched yet
	copies bool   // of tasks that run, for a second attempt (speculate.go)
}

type stack []int32

func (p *pendingTasks) init(n int, prefs [][]task.Location, barrier bool) {
	p.prefs = prefs
	if prefs == nil {
		p.nopref = make(stack, 0, n)
	}
	if barrier {
		p.held = make([]bool, n)
	}
	for pos := n - 1; pos >= 0; pos-- {
		p.push(int32(pos))
	}
}

// push puts a position on top of every stack it belongs to.
func (p *pendingTasks) push(pos int32) {
	if p.prefs == nil || len(p.prefs[pos]) == 0 {
		p.nopref = append(p.nopref, pos)
		return
	}
	if p.byHost == nil {
		p.byHost, p.byExec = map[string]*stack{}, map[id.Executor]*stack{}
	}
	for _, at := range p.prefs[pos] {
		if at.Executor != "" {
			stackOf(p.byExec, at.Executor).push(pos)
		}
		stackOf(p.byHost, at.Host).push(pos)
	}
	p.all.push(pos)
}

func stackOf[K comparable](m map[K]*stack, k K) *stack {
	s := m[k]
	if s == nil {
		s = new(stack)
		m[k] = s
	}
	return s
}

func (s *stack) push(pos int32) { *s = append(*s, pos) }

// ready reports whether a position can be launched: not done, no copy runs.
func (ts *taskSet) ready(pos int32) bool {
	return !ts.done[pos] && ts.running.at(pos) == nil && (ts.pending.held == nil || !ts.pending.held[pos])
}

// waits reports whether a position on one of p's stacks is still to be taken.
func (ts *taskSet) waits(p *pendingTasks, pos int32) bool {
	if p.copies {
		return ts.spec.marked[pos]
	}
	return ts.ready(pos)
}

// trim drops what does not wait from the top of a stack and reports whether
// anything is left.
func (ts *taskSet) trim(p *pendingTasks, s *stack) bool {
	if s == nil {
		return false
	}
	for n := len(*s); n > 0; n-- {
		if ts.waits(p, (*s)[n-1]) {
			*s = (*s)[:n]
			return true
		}
	}
	*s = (*s)[:0]
	return false
}

// pop takes the topmost task of a stack that may run on x.
func (ts *taskSet) pop(p *pendingTasks, s *stack, x *executor) (int32, bool) {
	if !ts.trim(p, s) {
		return 0, false
	}
	n := len(*s) - 1
	choosy := ts.health != nil && ts.health.someFailed(x)
	if !p.copies && !choosy {
		pos := (*s)[n]
		*s = (*s)[:n]
		return pos, true
	}
	for i := n; i >= 0; i-- {
		pos := (*s)[i]
		if ts.waits(p, pos) && !(p.copies && !ts.elsewhere(pos, x)) && !(choosy && ts.health.avoids(pos, x)) {
			*s = slices.Delete(*s, i, i+1)
			return pos, true
		}
	}
	return 0, false
}

// dequeue takes a task for an executor, no further away than upTo. A second
// attempt of a task that runs comes after all that do not.
func (ts *taskSet) dequeue(x *executor, upTo task.Locality) (int32, task.Locality, bool) {
	pos, at, ok := ts.dequeueOf(&ts.pending, x, upTo)
	if !ok && ts.wantsCopies() {
		return ts.dequeueOf(&ts.spec.copies, x, upTo)
	}
	return pos, at, ok
}

// dequeueOf takes a task from p's stacks. Tasks without preference count as
// local to the process (spark-semantics §2.4).
func (ts *taskSet) dequeueOf(p *pendingTasks, x *executor, upTo task.Locality) (int32, task.Locality, bool) {
	if p.byExec != nil {
		if pos, ok := ts.pop(p, p.byExec[x.id], x); ok {
			return pos, task.ProcessLocal, true
		}
		if upTo >= task.NodeLocal {
			if pos, ok := ts.pop(p, p.byHost[x.host], x); ok {
				return pos, task.NodeLocal, true
			}
		}
	}
	if upTo >= task.NoPref {
		if pos, ok := ts.pop(p, &p.nopref, x); ok {
			return pos, task.ProcessLocal, true
		}
	}
	if upTo >= task.AnyLocality {
		if pos, ok := ts.pop(p, &p.all, x); ok {
			return pos, task.AnyLocality, true
		}
	}
	return 0, 0, false
}

// validLevels returns the localities at which any task of the set may be
// launched as the executors stand, best first. Executors have hosts and no racks.
func (c *Core) validLevels(ts *taskSet) []task.Locality {
	var levels []task.Locality
	p := &ts.pending
	local := func(has func(*executor) bool) bool {
		return slices.ContainsFunc(c.executors, func(x *executor) bool { return x.alive && has(x) })
	}
	if local(func(x *executor) bool { return p.byExec[x.id] != nil }) {
		levels = append(levels, task.ProcessLocal)
	}
	if local(func(x *executor) bool { return p.byHost[x.host] != nil }) {
		levels = append(levels, task.NodeLocal)
	}
	if len(p.nopref) > 0 {
		levels = append(levels, task.NoPref)
	}
	return append(levels, task.AnyLocality)
}

// recomputeLevels follows executors that came or went. The set stays at the
// level it had reached, or goes back to a better one that became possible.
func (c *Core) recomputeLevels(ts *taskSet) {
	before, at := ts.levels, ts.levels[ts.level]
	ts.levels = c.validLevels(ts)
	ts.level = ts.levelOf(at)
	if better := ts.levels[0]; better < at && !slices.Contains(before, better) {
		ts.level = 0
	}
}

// levelOf returns the place of a locality among the levels, or of the next
// worse one.
func (ts *taskSet) levelOf(at task.Locality) int {
	return slices.IndexFunc(ts.levels, func(l task.Locality) bool { return l >= at })
}

func (c *Core) wait(l task.Locality) int64 {
	switch l {
	case task.ProcessLocal:
		return int64(c.cfg.LocalityWait.Process)
	case task.NodeLocal:
		return int64(c.cfg.LocalityWait.Node)
	}
	return 0
}

// allowed returns the worst locality that the set accepts now: it moves on
// when nothing is left at a level, or when it has waited there long enough.
func (c *Core) allowed(ts *taskSet) task.Locality {
	for ts.level < len(ts.levels)-1 {
		at := ts.levels[ts.level]
		if !ts.more(at) {
			ts.since = c.now
			ts.level++
		} else if wait := c.wait(at); c.now-ts.since >= wait {
			ts.since += wait
			ts.level++
		} else {
			break
		}
	}
	return ts.levels[ts.level]
}

// more reports whether any task waits at a level.
func (ts *taskSet) more(at task.Locality) bool {
	p, found := &ts.pending, false
	switch at {
	case task.ProcessLocal: // every stack is trimmed, so order does not matter
		for _, s := range p.byExec {
			found = ts.trim(p, s) || found
		}
	case task.NodeLocal:
		for _, s := range p.byHost {
			found = ts.trim(p, s) || found
		}
	case task.NoPref:
		found = ts.trim(p, &p.nopref)
	}
	return found
}
