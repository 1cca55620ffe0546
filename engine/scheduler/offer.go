package scheduler

import (
	"fmt"
	"maps"
	"strings"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// executor is a group of worker slots.
type executor struct {
	n     int32 // its place among the core's
	id    id.Executor
	host  string
	slots int
	free  int
	alive bool
	gone  bool  // not alive, and why is still to be told
	seen  int64 // when it last gave a sign of life
	// Exclusion for the session (exclude.go): failures are the moments at which
	// those held against it are too old; excluded is until when it is itself, 0
	// for not; barred, whether it is, or its host.
	failures []int64
	excluded int64
	barred   bool
	// distrusted is the epoch after its map outputs were last unregistered as a
	// whole; -1: never.
	distrusted int64
}

func (c *Core) executor(n id.Executor) *executor {
	for _, x := range c.executors {
		if x.id == n {
			return x
		}
	}
	return nil
}

func (c *Core) anyExecutor() bool {
	for _, x := range c.executors {
		if x.alive {
			return true
		}
	}
	return false
}

// slots returns how many tasks can run at once.
func (c *Core) slots() int {
	n := 0
	for _, x := range c.executors {
		if x.alive {
			n += x.slots / c.cfg.TaskCPUs
		}
	}
	return n
}

func (c *Core) freeSlots() int {
	n := 0
	for _, x := range c.executors {
		if x.alive && !x.barred {
			n += x.free / c.cfg.TaskCPUs
		}
	}
	return n
}

// offer gives the free slots to the task sets, in the order of the pools
// (spark-semantics §2.3). That order is decided once a round.
func (c *Core) offer() {
	if c.lift != 0 && c.now >= c.lift {
		c.liftExclusions()
	}
	free := c.freeSlots()
	if free == 0 && !c.cfg.Exclusion.On() {
		return
	}
	defer c.unused()
	c.queue = c.root.append(c.queue[:0])
	c.order = c.order[:0]
	for i := range c.executors {
		c.order = append(c.order, i)
	}
	if len(c.order) > 1 {
		c.random.Shuffle(len(c.order), func(i, j int) { c.order[i], c.order[j] = c.order[j], c.order[i] })
	}
	for i, ts := range c.queue {
		c.queue[i] = nil
		if ts.draining || ts.stage.dep == nil && c.heldBack(ts.stage.job) {
			continue
		}
		launched := false
		switch {
		case free == 0:
		case ts.barrier:
			launched = c.offerBarrier(ts, free)
		default:
			launched = c.round(ts, func(pos int32, x *executor, at task.Locality) bool { return c.launch(ts, pos, x, at) })
		}
		switch {
		case ts.health == nil || ts.draining:
		case launched:
			c.hope()
		case !ts.barrier:
			c.doomed(ts)
		}
		free = c.freeSlots()
	}
	c.queue = c.queue[:0]
}

// starvation returns when people are to be told that no task was launched
// yet, though some wait; 0: none does, or one was (spark-semantics §2.1).
func (c *Core) starvation() int64 {
	switch {
	case c.cfg.StarvationTimeout == 0:
	case len(c.sets) == 0 || c.attempts.any():
		c.starves = 0
	case c.starves == 0:
		c.starves = c.now + int64(c.cfg.StarvationTimeout)
	}
	return c.starves
}

func (c *Core) warnOfStarvation() {
	c.starves += int64(c.cfg.StarvationTimeout)
	executors, most := 0, 0
	for _, x := range c.executors {
		if x.alive && !x.barred {
			executors++
			most = max(most, x.free)
		}
	}
	c.warn(fmt.Sprintf("the initial job has not had any task launched for %v (%s): %d executors can be used, the freest of them has %d free slots, and a task takes %d (%s)",
		c.cfg.StarvationTimeout, keyStarvation, executors, most, c.cfg.TaskCPUs, keyTaskCPUs))
}

// round offers slots to one set, level by level from the best, one task for
// each executor and pass, so that tasks spread. take launches or reserves,
// and returns false to stop. It reports whether anything was taken.
func (c *Core) round(ts *taskSet, take func(pos int32, x *executor, at task.Locality) bool) (launched bool) {
	refused, best, order := false, task.AnyLocality, c.order
	ts.opens = 0
	if ts.wantsCopies() {
		ts.spec.apart = c.apart()
	}
	if ts.health != nil {
		c.places = c.places[:0]
		for _, i := range order {
			if !ts.health.bars(c.executors[i]) {
				c.places = append(c.places, i)
			}
		}
		order = c.places
	}
levels:
	for _, level := range ts.levels {
		for again := true; again; {
			again = false
			for _, i := range order {
				x := c.executors[i]
				if !x.alive || x.barred || x.free < c.cfg.TaskCPUs {
					continue
				}
				upTo := level
				if level != task.NoPref {
					upTo = min(upTo, c.allowed(ts))
				}
				pos, at, ok := ts.dequeue(x, upTo)
				if !ok {
					refused = refused || level == task.AnyLocality && upTo < level && ts.trim(&ts.pending, &ts.pending.all)
					continue
				}
				if !take(pos, x, at) {
					break levels
				}
				launched, again, best = true, true, min(best, at)
			}
		}
	}
	switch {
	case ts.draining:
	case refused:
		ts.rejected = true
		ts.opens = ts.since + c.wait(ts.levels[ts.level])
	case launched:
		// Offers are always of all that is free, so a round without refusal
		// restarts the timer at the best locality that it reached.
		ts.since, ts.rejected = c.now, false
		ts.level = ts.levelOf(best)
	}
	return launched
}

// offerBarrier launches all tasks of a barrier set in one round, or none, and
// reports whether it did.
func (c *Core) offerBarrier(ts *taskSet, free int) bool {
	c.waitForSlots(ts)
	if free < ts.left {
		return false
	}
	type place struct {
		pos int32
		x   *executor
		at  task.Locality
	}
	var places []place
	c.round(ts, func(pos int32, x *executor, at task.Locality) bool {
		x.free -= c.cfg.TaskCPUs
		ts.pending.held[pos] = true
		places = append(places, place{pos, x, at})
		return true
	})
	for i := len(places) - 1; i >= 0; i-- {
		p := places[i]
		p.x.free += c.cfg.TaskCPUs
		ts.pending.held[p.pos] = false
		if len(places) < ts.left {
			ts.pending.push(p.pos)
		}
	}
	if len(places) < ts.left {
		return false
	}
	ts.opens = 0
	addresses := make([]string, len(ts.indices))
	for _, p := range places {
		addresses[p.pos] = p.x.host + ":0" // tasks share their process; there is no port
	}
	props := maps.Clone(ts.template.Properties)
	if props == nil {
		props = map[string]string{}
	}
	props[propAddresses] = strings.Join(addresses, ",")
	ts.template.Properties = props
	ts.shared = task.AppendShared(ts.shared[:0], &ts.template)
	for _, p := range places {
		if !c.launch(ts, p.pos, p.x, p.at) {
			return false
		}
	}
	return true
}

// largeDescription is the size from which a description is worth a warning.
// Source: spark-semantics §2.5.
const largeDescription = 1000 * units.KiB

// launch starts an attempt. It returns false if its description is too large,
// which aborts the set.
func (c *Core) launch(ts *taskSet, pos int32, x *executor, at task.Locality) bool {
	a, desc := c.describe(ts, pos, x, at)
	if a == nil {
		return false
	}
	c.emitTaskStart(a, &a.startEvent)
	l := c.slabs.launch.next()
	*l = Launch{Executor: x.id, Task: a.info.Task, Desc: desc, Then: c.chain(l.Then[:0], a, x)}
	c.out = append(c.out, l)
	return true
}

// describe makes an attempt and its description. They are nil if that is too
// large, which aborts the set.
func (c *Core) describe(ts *taskSet, pos int32, x *executor, at task.Locality) (*attempt, []byte) {
	d := &ts.template
	a := c.newAttempt(ts, pos, x, at)
	d.TaskAttempt, d.Speculative = a.info.TaskAttempt, a.info.Speculative
	d.Partition, d.Locality, d.Executor, d.LaunchTime = a.partition, at, x.id, c.now
	start := len(c.desc)
	c.desc = task.AppendDescriptionWith(c.desc, ts.shared, d)
	desc := c.desc[start:len(c.desc):len(c.desc)]
	size := units.Bytes(len(desc))
	if size > c.cfg.MaxMessage {
		c.abandon(a)
		c.abortSet(ts, fmt.Sprintf("%v cannot be launched: its description of %v (%d bytes) is above %s of %v (%d bytes); use broadcasts for large values",
			a.info.TaskAttempt, size, int64(size), keyMessage, c.cfg.MaxMessage, int64(c.cfg.MaxMessage)), nil)
		c.retire(a)
		return nil, nil
	}
	if size > largeDescription && !ts.warned {
		ts.warned = true
		c.warn(fmt.Sprintf("stage %v has task descriptions of %v", ts.id, size))
	}
	a.bytes[0] = int32(size)
	return a, desc
}

func (c *Core) emitTaskStart(a *attempt, e *event.TaskStart) {
	*e = event.TaskStart{Info: a.info, Kind: a.set.template.Kind, LaunchBytes: a.bytes[0]}
	c.emit(e)
}

// abandon takes back an attempt that was never launched.
func (c *Core) abandon(a *attempt) {
	ts, pos := a.set, a.pos
	c.unlink(a)
	if !ts.done[pos] && ts.running.at(pos) == nil {
		ts.idle++
		ts.pending.push(pos)
	}
}
