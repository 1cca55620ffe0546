package scheduler

import (
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Attempts that take less time than a step are launched several at once: an
// attempt and those that follow it on its slot, one after another, a chain.
// The worker takes the next one by itself when one ends, and hands in what
// they report together, so that the step's locks, and the cache lines that
// two workers take from each other in it, are paid for once a chain.
//
// Nothing else is different. Each attempt is described, measured and reported
// by itself. An attempt that follows is launched when the one before it ends:
// then it takes its slot, and its event TaskStart comes when its worker has
// reported. There are no chains where the next free slot could be anybody
// else's: while several task sets want slots, where tasks prefer places, where
// slow tasks get a second attempt or failures exclude executors, in barrier
// stages. And before the core decides anything but what the end of an
// attempt means, whatever has not begun is called back (Recall), as it is
// when a slot has nothing to do, an attempt fails or its set ends, and when
// attempts that follow have been kept waiting by a long one.
type chains struct {
	waits  int   // attempts that follow and are not known to have begun
	recall bool  // they are to be called back before this step ends
	lookAt int64 // when to look whether one is kept waiting; 0: not set
}

const (
	// chainTime is about how long a chain takes: the cost of a step, below
	// 2 µs, is then small beside it, and a result or an event is hardly later
	// for having waited for the others.
	chainTime = int64(200 * time.Microsecond)
	// chainShare is the part of what is left that a slot takes at once, so
	// that all slots come to the end at about the same time.
	chainShare = 4
	// chainValue bounds the results of attempts in chains.
	chainValue = 4 << 10
	// chainLook is how long an attempt that follows may be kept waiting, if
	// nothing else happens meanwhile: short for a person, and long enough for
	// looking, which wakes a thread that takes a worker's processor, to cost
	// nothing.
	chainLook = int64(20 * time.Millisecond)
)

// pace is how long the attempts of a set take, slot to slot. One that takes
// long makes it slower by a quarter at most: an attempt of 5 µs that lost its
// processor for a millisecond would otherwise keep the next ten from having
// any follow them, while tasks that really take longer from now on are noticed
// after as many.
type pace struct {
	mean  int64 // of the latest; 0: none has ended
	large bool  // the latest result is
}

func (p *pace) note(a *attempt) {
	took := max(1, a.info.Finish-a.info.Launch)
	if p.mean == 0 {
		p.mean = took
	}
	p.mean += (min(took, 2*p.mean+4) - p.mean) / 4 // the 4: a nanosecond more, at least
	p.large = a.size > chainValue
}

// followers returns how many attempts may follow one that is launched now.
func (c *Core) followers(ts *taskSet) int {
	switch {
	case c.cfg.Chain == 0 || len(c.queue) != 1 || ts.barrier || ts.pending.prefs != nil || ts.spec != nil || ts.health != nil,
		ts.pace.mean == 0 || ts.pace.large:
		return 0
	}
	return min(c.cfg.Chain, int(chainTime/ts.pace.mean)-1, ts.idle/(chainShare*c.slots()))
}

// chain describes the attempts that are to follow one, and appends them to
// dst.
func (c *Core) chain(dst []task.Launch, a *attempt, x *executor) []task.Launch {
	ts := a.set
	for range c.followers(ts) {
		pos, ok := ts.pop(&ts.pending, &ts.pending.nopref, x)
		if !ok {
			break
		}
		next, desc := c.describe(ts, pos, x, a.info.Locality)
		if next == nil {
			break
		}
		next.slot = false
		x.free += c.cfg.TaskCPUs
		next.waits = true
		c.waits++
		a.after, next.before = next, a
		a = next
		dst = append(dst, task.Launch{Task: next.info.Task, Desc: desc})
	}
	return dst
}

// begun takes word that an attempt runs, if it was not known.
func (c *Core) begun(a *attempt) {
	if !a.waits {
		return
	}
	a.waits = false
	c.waits--
	// The attempt may end in this step and its memory be launched again, so
	// the event is not its own.
	c.emitTaskStart(a, c.slabs.start.next())
}

// passSlot gives the slot of an attempt that has ended to the one that
// follows it, whose launch that is: its worker begins it, unless it is called
// back.
func (c *Core) passSlot(a *attempt) {
	next := a.after
	next.slot, next.info.Launch = true, a.stamps.End
	a.passed = true
	c.unchain(a)
}

// unchain takes an attempt out of its chain.
func (c *Core) unchain(a *attempt) {
	if a.before != nil {
		a.before.after, a.before = nil, nil
	}
	if a.after != nil {
		a.after.before, a.after = nil, nil
	}
}

// recalled takes back attempts that have not begun: they never were.
func (c *Core) recalled(tasks []id.Task) {
	for i := len(tasks) - 1; i >= 0; i-- { // so that the first is on top of its stack
		a := c.attempts.get(tasks[i])
		if a == nil || !a.waits {
			continue
		}
		a.waits = false
		c.waits--
		a.set.tries[a.pos]--
		c.abandon(a)
		c.retire(a)
		c.offers = true
	}
}

// unused calls attempts back if a slot is left that one of them could have.
func (c *Core) unused() {
	if c.waits > 0 && c.freeSlots() > 0 {
		c.recall = true
	}
}

func (c *Core) askRecall() {
	if c.recall && c.waits > 0 {
		c.command(&Recall{})
	}
	c.recall = false
}

// nextLook returns when to look at the chains; 0: there are none.
func (c *Core) nextLook() int64 {
	if c.waits > 0 && c.lookAt == 0 {
		c.lookAt = c.now + chainLook
	}
	return c.lookAt
}

// lookedAtChains notes that the driver has looked: before every timer event it
// calls back what waits.
func (c *Core) lookedAtChains() {
	if c.now >= c.lookAt {
		c.lookAt = 0
	}
}

// disturbs reports whether attempts that follow others are called back before
// an event is handled: it may decide otherwise about slots, or about them.
func disturbs(e Event) bool {
	switch e.(type) {
	case *statusEvent, *statusBatch, *TaskStatus, *Recalled, *BinaryMade, *ResultsTaken, *FetchBegun, *ResultFetched, *CommitAsked, *OutputsAsked:
		return false
	}
	return true
}
