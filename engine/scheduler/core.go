package scheduler

import (
	"math/rand/v2"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/task"
)

// Core is the scheduler's state and its decisions. It belongs to one
// goroutine at a time. Maps in it are for looking up, never for ranging over
// where order could reach a decision.
type Core struct {
	cfg    Config
	cached func(n id.Node, partitions int) [][]task.Location
	now    int64

	// Jobs and stages (job.go, stage.go, submit.go, completion.go, recovery.go).
	jobs      map[id.Job]*job
	active    []*job // by id
	waiting   []*waitingJob
	stages    map[id.Stage]*stage
	shuffles  map[id.Shuffle]*stage // map stages of active jobs
	failed    []*stage              // to resubmit when the delay is over
	resubmit  int64                 // when; 0: not set
	nextStage id.Stage
	groups    []string // cancelled with their future jobs; the latest MaxCancelledGroups
	locations map[id.Node][][]task.Location
	submits   []*stage // a stack: stages to submit before this step ends
	asked     int      // task binaries asked for and not made

	// Task sets and attempts (taskset.go, offer.go, pool.go).
	executors []*executor
	silence   int64 // when to look for executors that were silent too long; 0: not set
	closing   bool  // nothing that was given up comes back
	// Hosts that are excluded for the session (exclude.go), and until when; in
	// hostList in order. lift is when the first of them, or of the executors
	// that are excluded, is not any more; 0: none is.
	hosts    map[string]int64
	hostList []string
	lift     int64
	root     *pool
	sets     []*taskSet // in order of creation, while any attempt of them lives
	attempts attempts
	memory   memory
	free     []*attempt
	// offers: slots are to be offered before this step ends, or if a task
	// binary is being made, when it is, so that its stage is not passed over.
	offers bool
	queue  []*taskSet
	order  []int
	places []int // those of order where a set may run
	random *rand.Rand

	chains
	outputs  outputs
	commits  commits
	barriers barriers

	starves int64 // when to tell that no task was launched yet; 0: none waits, or some was
	check   int64 // when to look for slow tasks; 0: no set has any (speculate.go)
	timer   int64 // the last SetTimer; 0: none
	out     []Command
	desc    []byte // descriptions of this step's launches
	slabs   struct {
		launch slab[Launch]
		kill   slab[Kill]
		emit   slab[Emit]
		start  slab[event.TaskStart]
		give   slab[Deliver]
		timer  slab[SetTimer]
	}
}

// NewCore returns a core without jobs. cached is Deps.Cached.
func NewCore(cfg Config, cached func(n id.Node, partitions int) [][]task.Location) *Core {
	cfg = cfg.withDefaults()
	c := &Core{
		cfg:       cfg,
		cached:    cached,
		jobs:      map[id.Job]*job{},
		stages:    map[id.Stage]*stage{},
		shuffles:  map[id.Shuffle]*stage{},
		locations: map[id.Node][][]task.Location{},
		hosts:     map[string]int64{},
		root:      newRoot(cfg.Mode, cfg.Pools),
		random:    rand.New(rand.NewPCG(cfg.Seed, 0)),
	}
	c.outputs.init()
	c.commits.init()
	for _, e := range cfg.Executors {
		c.addExecutor(e)
	}
	return c
}

// Handle takes one event, at the moment now (monotonic ns), and returns what
// to do about it, in order. The commands are valid until the next call.
func (c *Core) Handle(now int64, e Event) []Command {
	c.now = max(c.now, now)
	clear(c.out)
	c.out = c.out[:0]
	c.desc = c.desc[:0]
	c.slabs.launch.reset()
	c.slabs.kill.reset()
	c.slabs.emit.reset()
	c.slabs.start.reset()
	for _, d := range c.slabs.give.items[:c.slabs.give.used] {
		*d = Deliver{} // a result is its job's caller's, who may drop it
	}
	c.slabs.give.reset()
	c.slabs.timer.reset()

	switch e := e.(type) {
	case *TaskStatus:
		c.status(e)
	case *JobSubmitted:
		c.jobSubmitted(e.Job, e.Spec)
	case *JobCancelled:
		c.cancelJob(e.Job, e.Reason, e.Cause)
	case *GroupCancelled:
		c.cancelGroup(e)
	case *TagCancelled:
		c.cancelWhere(e.Reason, func(j *job) bool { return j.hasTag(e.Tag) })
	case *StageCancelled:
		c.cancelStage(e)
	case *AllCancelled:
		c.closing = c.closing || e.Final
		c.cancelAll(e.Reason, e.Cause)
	case *BinaryMade:
		c.binaryMade(e)
	case *Recalled:
		c.recalled(e.Tasks)
	case *FetchBegun:
		c.fetchBegun(e.Task)
	case *ResultFetched:
		c.resultFetched(e)
	case *ResultsTaken:
		c.resultsTaken(e)
	case *KillRequested:
		c.killRequested(e)
	case *CommitAsked:
		c.answer(&Answer{Token: e.Token, OK: c.commits.ask(e.Stage, e.Partition, e.Attempt)})
	case *BarrierArrived:
		c.barrierArrived(e)
	case *OutputsAsked:
		statuses, ok := c.outputs.snapshot(e.Shuffle)
		a := &Answer{Token: e.Token, OK: ok, Statuses: statuses, Epoch: c.outputs.epoch}
		if !ok {
			a.Err = ErrUnknownShuffle
		}
		c.answer(a)
	case *StateAsked:
		err := c.Empty()
		c.answer(&Answer{Token: e.Token, OK: err == nil, Err: err})
	case *ShuffleRemoved:
		c.removeShuffle(e.Shuffle)
	case *ExecutorAdded:
		c.executorAdded(e.ExecutorSpec)
	case *Heartbeat:
		c.heartbeat(e)
	case *ExecutorGone:
		c.executorGone(e.Executor)
	case *ExecutorLost:
		lost := c.executorLost(e.Executor, e.Reason, e.CausedByApp)
		if e.Token != 0 {
			c.answer(&Answer{Token: e.Token, OK: lost})
		}
	case *SlotLost:
		c.slotLost(e)
	case *TimerDue:
		c.timerDue()
	default:
		invariant.Violated("scheduler event of type %T", e)
	}
	c.settle()
	return c.out
}

// settle submits the stages and offers the slots that the event left to be
// submitted and offered: each may bring more of the other.
func (c *Core) settle() {
	for {
		switch {
		case len(c.submits) > 0:
			s := c.submits[len(c.submits)-1]
			c.submits[len(c.submits)-1] = nil
			c.submits = c.submits[:len(c.submits)-1]
			c.submit(s)
		case c.offers && c.asked == 0:
			c.offers = false
			c.offer()
		default:
			c.askRecall()
			c.setTimer()
			return
		}
	}
}

// setTimer asks for the next moment at which something is due.
func (c *Core) setTimer() {
	var at int64
	earliest := func(t int64) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	earliest(c.resubmit)
	earliest(c.check)
	earliest(c.silence)
	earliest(c.lift)
	for _, w := range c.waiting {
		earliest(w.at)
	}
	for _, b := range c.barriers.syncs {
		earliest(b.deadline)
	}
	for _, ts := range c.sets {
		earliest(ts.opens)
		if ts.health != nil && !ts.draining {
			earliest(ts.health.abort)
		}
		earliest(ts.givesUp)
	}
	earliest(c.nextLook())
	earliest(c.starvation())
	if at != c.timer && at != 0 {
		t := c.slabs.timer.next()
		t.At = at
		c.out = append(c.out, t)
	}
	c.timer = at
}

func (c *Core) timerDue() {
	c.timer = 0 // it has fired
	c.lookedAtChains()
	if c.resubmit != 0 && c.now >= c.resubmit {
		c.resubmitFailed()
	}
	if c.silence != 0 && c.now >= c.silence {
		c.expireSilent()
	}
	if c.check != 0 && c.now >= c.check {
		c.speculate()
	}
	if c.lift != 0 && c.now >= c.lift {
		c.liftExclusions()
	}
	if c.starves != 0 && c.now >= c.starves {
		c.warnOfStarvation()
	}
	c.retryWaitingJobs()
	c.expireBarriers()
	c.expireDoomed()
	c.giveUpBarriers()
	for _, ts := range c.sets {
		if ts.opens != 0 && c.now >= ts.opens {
			ts.opens = 0 // from now on any offer finds the level open
			c.offers = true
		}
	}
}

func (c *Core) emit(e event.Event) {
	m := c.slabs.emit.next()
	*m = Emit{Event: e}
	c.out = append(c.out, m)
}

func (c *Core) kill(a *attempt, interrupt bool, reason string) {
	k := c.slabs.kill.next()
	*k = Kill{Executor: a.info.Executor, Task: a.info.Task, Interrupt: interrupt, Reason: reason}
	c.out = append(c.out, k)
}

func (c *Core) answer(a *Answer)  { c.out = append(c.out, a) }
func (c *Core) warn(text string)  { c.out = append(c.out, &Warn{Text: text}) }
func (c *Core) command(x Command) { c.out = append(c.out, x) }
