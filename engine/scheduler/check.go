package scheduler

import (
	"fmt"
	"slices"

	"github.com/execbench/execbench/engine/id"
)

// Check walks every invariant of the state and returns the first that does
// not hold. It is for tests: its time grows with everything there is.
func (c *Core) Check() error {
	for _, check := range []func() error{c.checkJobs, c.checkStages, c.checkSets, c.checkSlots, c.checkOutputs} {
		if err := check(); err != nil {
			return err
		}
	}
	if len(c.jobs) == 0 {
		return c.emptyTables()
	}
	return nil
}

// Empty returns an error that names what is left of former jobs; nil when
// there is nothing, not even an attempt that was told to end and has not.
func (c *Core) Empty() error {
	if len(c.active) > 0 || len(c.waiting) > 0 {
		return fmt.Errorf("%d jobs are active and %d wait", len(c.active), len(c.waiting))
	}
	if err := c.Check(); err != nil {
		return err
	}
	for _, ts := range c.sets {
		if ts.live > 0 {
			return fmt.Errorf("%d attempts of stage %v have not ended", ts.live, ts.id)
		}
	}
	return nil
}

// emptyTables holds when no job lives: only attempts that have not noticed
// may be left, in sets that drain.
func (c *Core) emptyTables() error {
	for _, t := range []struct {
		name string
		size int
	}{
		{"active jobs", len(c.active)}, {"stages", len(c.stages)}, {"map stages", len(c.shuffles)},
		{"failed stages", len(c.failed)}, {"cached locations", len(c.locations)},
		{"stages with commit rights", len(c.commits.stages)}, {"global syncs", len(c.barriers.syncs)},
	} {
		if t.size != 0 {
			return fmt.Errorf("no job lives, but %d %s do", t.size, t.name)
		}
	}
	if c.resubmit != 0 {
		return fmt.Errorf("no job lives, but a resubmission is due at %d", c.resubmit)
	}
	for _, ts := range c.sets {
		if !ts.draining {
			return fmt.Errorf("no job lives, but task set %v does", ts.id)
		}
	}
	return nil
}

func (c *Core) checkJobs() error {
	if len(c.jobs) != len(c.active) {
		return fmt.Errorf("%d jobs by id, %d in order", len(c.jobs), len(c.active))
	}
	for i, j := range c.active {
		if c.jobs[j.id] != j || (i > 0 && c.active[i-1].id >= j.id) {
			return fmt.Errorf("job %d is not where it belongs", j.id)
		}
		left := 0
		for _, done := range j.finished {
			if !done {
				left++
			}
		}
		if left != j.left || left == 0 {
			return fmt.Errorf("job %d misses %d results, counted %d", j.id, left, j.left)
		}
		if !slices.Contains(j.stages, j.final) {
			return fmt.Errorf("job %d does not hold its last stage", j.id)
		}
		for _, s := range j.stages {
			if c.stages[s.id] != s || !slices.Contains(s.jobs, j) {
				return fmt.Errorf("job %d and stage %d do not know each other", j.id, s.id)
			}
		}
	}
	return nil
}

func (c *Core) checkStages() error {
	maps := 0
	for n, s := range c.stages {
		switch {
		case s.id != n || len(s.jobs) == 0:
			return fmt.Errorf("stage %d belongs to %d jobs", n, len(s.jobs))
		case s.waiting && s.running:
			return fmt.Errorf("stage %d waits and runs", n)
		case s.queued:
			return fmt.Errorf("stage %d is still to be submitted", n)
		case s.failed != slices.Contains(c.failed, s):
			return fmt.Errorf("stage %d and the list of failed stages differ", n)
		case s.making != nil && !s.running:
			return fmt.Errorf("stage %d makes a task binary and does not run", n)
		case (s.dep == nil) != (s.job != nil):
			return fmt.Errorf("stage %d is neither a map nor a result stage", n)
		}
		for _, j := range s.jobs {
			if c.jobs[j.id] != j || !slices.Contains(j.stages, s) {
				return fmt.Errorf("stage %d belongs to job %d, which does not know", n, j.id)
			}
		}
		for _, p := range s.parents {
			if p.id >= n || c.stages[p.id] != p || !slices.Contains(p.children, s) {
				return fmt.Errorf("stage %d has parent %d, which does not fit", n, p.id)
			}
		}
		for _, ch := range s.children {
			if c.stages[ch.id] != ch || !slices.Contains(ch.parents, s) {
				return fmt.Errorf("stage %d has child %d, which does not fit", n, ch.id)
			}
		}
		active := 0
		for _, ts := range s.sets {
			if !ts.draining {
				active++
			}
		}
		if active > 1 {
			return fmt.Errorf("stage %d has %d task sets that launch", n, active)
		}
		if s.waiting && !slices.ContainsFunc(s.parents, func(p *stage) bool { return p.busy() }) {
			return fmt.Errorf("stage %d waits for nobody", n)
		}
		if s.running && s.making == nil && active == 0 && (s.dep == nil || s.pending.left > 0) {
			live := 0
			for _, ts := range s.sets {
				live += ts.live
			}
			if live == 0 {
				return fmt.Errorf("stage %d runs without anything to wait for", n)
			}
		}
		if s.dep != nil {
			maps++
			if c.shuffles[s.dep.Shuffle] != s {
				return fmt.Errorf("stage %d is not the map stage of shuffle %d", n, s.dep.Shuffle)
			}
			left := 0
			for _, in := range s.pending.in {
				if in {
					left++
				}
			}
			if left != s.pending.left {
				return fmt.Errorf("stage %d has %d partitions to do, counted %d", n, left, s.pending.left)
			}
		}
	}
	if maps != len(c.shuffles) {
		return fmt.Errorf("%d map stages, %d by shuffle", maps, len(c.shuffles))
	}
	if (len(c.failed) > 0) != (c.resubmit != 0) {
		return fmt.Errorf("%d failed stages, resubmission at %d", len(c.failed), c.resubmit)
	}
	return nil
}

func (c *Core) checkSets() error {
	live, waits, below := 0, 0, map[*pool]int{}
	for _, ts := range c.sets {
		left, idle, running := 0, 0, 0
		for pos := range ts.done {
			copies := 0
			for a := ts.running.at(int32(pos)); a != nil; a = a.next {
				copies++
				if a.set != ts || int(a.pos) != pos || c.attempts.get(a.info.Task) != a {
					return fmt.Errorf("attempt %d is not where it belongs", a.info.Task)
				}
				if a.before != nil && (!a.waits || a.slot || a.before.after != a) || a.after != nil && a.after.before != a {
					return fmt.Errorf("attempt %d has neighbours on its slot that do not fit", a.info.Task)
				}
				if a.waits {
					waits++
				}
			}
			running += copies
			if !ts.done[pos] {
				left++
				if copies == 0 {
					idle++
					if !ts.draining && !ts.stacked(int32(pos)) {
						return fmt.Errorf("task %d of %v waits and is on no stack", pos, ts.id)
					}
				}
			}
			if !ts.draining && int(ts.fails[int32(pos)]) >= c.cfg.MaxFailures {
				return fmt.Errorf("task %d of %v failed %d times and its set goes on", pos, ts.id, ts.fails[int32(pos)])
			}
		}
		switch {
		case left != ts.left || idle != ts.idle || running != ts.live:
			return fmt.Errorf("task set %v: left %d, idle %d, live %d; counted %d, %d, %d", ts.id, left, idle, running, ts.left, ts.idle, ts.live)
		case ts.draining && ts.live == 0:
			return fmt.Errorf("task set %v is drained and still here", ts.id)
		case !ts.draining && ts.left == 0:
			return fmt.Errorf("task set %v is done and does not drain", ts.id)
		case ts.leaf == nil || ts.leaf.running != ts.live || !slices.Contains(ts.stage.sets, ts):
			return fmt.Errorf("task set %v is not where it belongs", ts.id)
		}
		live += running
		for p := ts.leaf.parent; p != nil; p = p.parent {
			below[p] += running
		}
	}
	if waits != c.waits {
		return fmt.Errorf("%d attempts wait for others, counted %d", waits, c.waits)
	}
	if live != c.attempts.live {
		return fmt.Errorf("%d attempts live, counted %d", live, c.attempts.live)
	}
	if c.root.running != below[c.root] {
		return fmt.Errorf("%d attempts below the root pool, counted %d", below[c.root], c.root.running)
	}
	return nil
}

// stacked reports whether a position can be found by some offer.
func (ts *taskSet) stacked(pos int32) bool {
	return slices.Contains(ts.pending.nopref, pos) || slices.Contains(ts.pending.all, pos)
}

func (c *Core) checkSlots() error {
	taken := map[*executor]int{}
	for _, ts := range c.sets {
		for _, place := range ts.running.first {
			for a := ts.running.all.get(place); a != nil; a = a.next {
				x := c.executor(a.info.Executor)
				if !x.alive && !x.gone {
					return fmt.Errorf("attempt %d lives on executor %s, which is lost", a.info.Task, x.id)
				}
				if a.slot {
					taken[x] += c.cfg.TaskCPUs
				}
			}
		}
	}
	for _, x := range c.executors {
		if x.alive && (x.free < 0 || x.free+taken[x] != x.slots) {
			return fmt.Errorf("executor %s has %d slots: %d free, %d taken", x.id, x.slots, x.free, taken[x])
		}
	}
	return nil
}

func (c *Core) checkOutputs() error {
	if len(c.outputs.ids) != len(c.outputs.shuffles) {
		return fmt.Errorf("%d shuffles in order, %d by id", len(c.outputs.ids), len(c.outputs.shuffles))
	}
	for _, n := range c.outputs.ids {
		m := c.outputs.shuffles[n]
		missing, byMap := 0, map[id.Task]int{}
		for i, status := range m.statuses {
			if status == nil {
				missing++
				continue
			}
			if j, twice := byMap[status.Map]; twice {
				return fmt.Errorf("shuffle %d: outputs %d and %d are both of attempt %d", n, j, i, status.Map)
			}
			byMap[status.Map] = i
			if x := c.executor(status.Location.Executor); x != nil && !x.alive && !x.gone {
				return fmt.Errorf("shuffle %d: output %d is on executor %s, which is lost", n, i, x.id)
			}
		}
		if missing != m.missing {
			return fmt.Errorf("shuffle %d misses %d outputs, counted %d", n, missing, m.missing)
		}
	}
	return nil
}
