package scheduler

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// world is all that decides a simulation: the same world always gives the
// same run. Whatever it names by number is taken modulo what there is, so a
// world stays one when any part of it is dropped, which is how a failure is
// made short.
type world struct {
	seed  uint64 // of what is drawn while it runs: how long messages take
	steps int    // events that the core takes before nothing goes wrong any more

	executors []site
	nodes     []nodeSpec
	acts      []act // by time

	fair, waits, mismatch bool // FAIR pools; delay scheduling; RetryOnMismatch
	speculates, beats     bool // second attempts of slow tasks; executors give signs of life
	excludes, patient     bool // executors where tasks fail; many attempts of a stage
	reaps, hasty          bool // attempts that ignore their kill cost a slot; barrier stages wait shortly for slots
	slow                  bool // every other result is stored, and fetching takes long
	maxFailures, cpus     int
	chain                 int // attempts that may follow another; then tasks are short and all goes fast
	maxResult, maxUntaken int
	maxMessage            int           // of a task description; some jobs come near it
	resubmit              time.Duration // after a fetch failure

	// planted, if it is there, says of each event what does not hold after it,
	// "" if all does: for the test of how a failure is told.
	planted func(*sim, Event) string
}

type site struct{ host, slots int }

// nodeSpec is a dataset over earlier ones.
type nodeSpec struct {
	parts                           int
	reads                           []readSpec
	barrier, other, cached, prefers bool // other: a second computation gives other records
}

type readSpec struct {
	node    int
	shuffle bool
}

// act is something that comes from outside.
type act struct {
	at    time.Duration
	kind  actKind
	a, b  int
	fates []fate // of a job: its i-th launch's; what is launched later just succeeds
}

type actKind uint8

const (
	submitJob actKind = iota
	submitMapJob
	cancelJob
	cancelGroup
	cancelFuture // a group with the jobs to come
	cancelTag
	cancelStage
	cancelAll
	killAttempt
	loseExecutor
	muteExecutor // it gives no sign of life
	addExecutor
	loseSlot
	loseOutput
	loseOutputs // all of an executor, which lives on
	loseCached
	loseStored
	removeShuffle
	failBinary
	ringTimer
	askState
	actKinds
)

var actNames = [actKinds]string{"submit", "submit map-stage job", "cancel job", "cancel group", "cancel group and its future jobs",
	"cancel tag", "cancel stage", "cancel all", "kill attempt", "lose executor", "mute executor", "add executor", "lose slot", "lose map output",
	"lose map outputs of an executor", "lose cached partition", "lose stored result", "remove shuffle", "fail the next task binary",
	"ring the timer", "ask for the state"}

// fate is what becomes of an attempt.
type fate struct {
	ends     outcome
	takes    time.Duration // from its start to its end; 0: 10 ms
	silent   bool          // never says that it runs
	stubborn bool          // takes no notice of being killed
	twice    bool          // its last message comes twice
	late     bool          // its last message comes after all, if its executor or slot is lost
	inHand   time.Duration // how long the reports of a chain that it brings are on their way
}

type outcome uint8

const (
	succeeds outcome = iota
	stores           // its result, for the driver to fetch
	storesLost
	drops // its result, which is too large
	isLarge
	throws
	throwsForGood
	diesUnknown
	cannotFetch // though the output is there
	sendsGarbage
	writesOtherRows
	leavesBarrier // calls the other kind of sync
	missesBarrier
	endings
)

var endingNames = [endings]string{"succeeds", "stores its result", "stores a result that is lost", "drops its result", "returns much",
	"throws", "throws what no retry mends", "dies of nothing known", "cannot fetch", "sends a damaged map status", "writes other rows",
	"calls another sync", "does not sync"}

func chance(r *rand.Rand, oneIn int) bool { return r.IntN(oneIn) == 0 }

// newWorld draws a world. One in eight is gentle: nothing goes wrong in it,
// so every job that can run must succeed.
func newWorld(seed uint64, steps int) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	w := &world{seed: seed, steps: steps, maxFailures: 1 + r.IntN(4), cpus: 1, fair: chance(r, 2), waits: chance(r, 2), mismatch: chance(r, 2),
		speculates: chance(r, 2), beats: chance(r, 3), excludes: chance(r, 4), patient: chance(r, 2)}
	if w.excludes { // so that sets end well in which something failed
		w.maxFailures = 4
	}
	mode := rand.New(rand.NewPCG(seed, 2))
	w.reaps, w.hasty, w.slow = chance(mode, 3), chance(mode, 3), chance(mode, 2)
	if chance(mode, 5) {
		w.maxMessage = 1000
	}
	w.resubmit = []time.Duration{time.Millisecond, 20 * time.Millisecond, 200 * time.Millisecond}[r.IntN(3)]
	most := 5 // partitions
	if chance(r, 3) {
		w.chain, most = 1+r.IntN(15), 60
		w.steps *= 2
		w.speculates, w.excludes = w.speculates && chance(r, 8), w.excludes && chance(r, 8)
	}
	if chance(r, 6) {
		w.cpus = 2
	}
	executors := 1 + r.IntN(4)
	if w.chain > 0 { // few, so that there is more for each
		executors = (1 + executors) / 2
	}
	for range executors {
		slots := 1 + r.IntN(4)
		if w.chain > 0 {
			slots = 1 + slots/3
		}
		w.executors = append(w.executors, site{r.IntN(3), w.cpus * slots})
	}
	if chance(r, 6) {
		w.maxResult = 10*most + 150 // some large results are too much
		if chance(mode, 2) {
			w.maxResult = 6*most + 60 // and some stored ones
		}
	}
	if chance(r, 4) {
		w.maxUntaken = 30
	}
	other, cached, barriers := chance(r, 3), chance(r, 2), 10
	shaky := chance(r, 5) // executors come and go, and barrier stages wait for them
	if shaky || w.reaps {
		barriers = 3
	}
	for i := range 3 + r.IntN(8) {
		n := nodeSpec{parts: 1 + r.IntN(most)}
		if i > 0 {
			switch r.IntN(4) {
			case 0: // reads nothing
				n.prefers = chance(r, 2)
			case 1:
				n.reads = append(n.reads, readSpec{node: r.IntN(i)})
			default:
				for range 1 + r.IntN(2) {
					n.reads = append(n.reads, readSpec{node: r.IntN(i), shuffle: true})
				}
			}
		}
		if n.barrier = chance(r, barriers); n.barrier && n.parts > 5 {
			n.parts = 1 + n.parts%5
		}
		n.other = other && chance(r, 2)
		n.cached = cached && !other && chance(r, 4)
		w.nodes = append(w.nodes, n)
	}

	gentle, trouble := chance(r, 8), 4+r.IntN(50)
	rate := w.scaled(time.Duration(5+r.IntN(150)) * time.Millisecond)
	fates := 30
	if w.chain > 0 {
		trouble, fates = 4*trouble, 120
	}
	var at time.Duration
	for range 8 + steps/5 {
		at += time.Duration(r.Int64N(int64(rate)))
		a := act{at: at, kind: actKind(r.IntN(int(actKinds))), a: r.IntN(1000), b: r.IntN(1000)}
		switch {
		case r.IntN(10) < 4:
			a.kind = submitJob
		case r.IntN(10) == 0:
			a.kind = submitMapJob
		case gentle:
			continue
		case shaky && chance(r, 2):
			a.kind = []actKind{loseExecutor, addExecutor, loseSlot}[r.IntN(3)]
		case a.kind == cancelAll && !chance(r, 4):
			a.kind = loseOutput
		case a.kind == loseExecutor && chance(r, 2):
			a.kind = addExecutor
		}
		if a.kind <= submitMapJob {
			a.a %= len(w.nodes)
			for range r.IntN(fates) {
				f := w.newFate(r, gentle, trouble)
				if w.chain > 0 {
					f.takes /= 1000
				}
				a.fates = append(a.fates, f)
			}
		}
		w.acts = append(w.acts, a)
	}
	return w
}

// newFate draws what becomes of an attempt. One in trouble does not just
// succeed.
func (w *world) newFate(r *rand.Rand, gentle bool, trouble int) (f fate) {
	f = fate{inHand: time.Duration(max(0, r.IntN(60)-30)) * time.Microsecond, takes: time.Duration(1+r.IntN(30)) * time.Millisecond, silent: chance(r, 20), twice: chance(r, 30)}
	stragglers := 20
	if w.speculates {
		stragglers = 6
	}
	if chance(r, stragglers) {
		f.takes *= 20
	}
	if chance(r, 6) {
		f.ends = stores
	}
	if !gentle {
		f.stubborn, f.late = chance(r, 5), chance(r, 5)
		if chance(r, trouble) {
			f.ends = outcome(r.IntN(int(endings)))
		}
		if chance(r, 4*trouble) {
			f.ends = cannotFetch
		}
		if w.excludes && chance(r, 8) {
			f.ends = throws
		}
	}
	return f
}

// scaled makes a time that the world goes by shorter where tasks are short.
func (w *world) scaled(d time.Duration) time.Duration {
	if w.chain > 0 {
		return d / 100
	}
	return d
}

// usual is how long an attempt takes that has no other fate.
func (w *world) usual() time.Duration {
	if w.chain > 0 {
		return 10 * time.Microsecond
	}
	return 10 * time.Millisecond
}

// gentle reports whether nothing goes wrong in the world.
func (w *world) gentle() bool {
	for _, a := range w.acts {
		if a.kind > submitMapJob {
			return false
		}
		for _, f := range a.fates {
			if f.ends > stores || f.stubborn || f.late {
				return false
			}
		}
	}
	return w.maxResult == 0
}

// config returns the core's configuration.
func (w *world) config() Config {
	cfg := Config{MaxFailures: w.maxFailures, StarvationTimeout: time.Second, Seed: w.seed, MaxStageAttempts: 12, TaskCPUs: w.cpus, RetryOnMismatch: w.mismatch,
		MaxResult: units.Bytes(w.maxResult), MaxUntaken: units.Bytes(w.maxUntaken), MaxMessage: units.Bytes(w.maxMessage), ResubmitDelay: w.scaled(w.resubmit),
		Chain: w.chain, NoReduceLocality: w.chain > 0 && w.seed%4 != 0}
	cfg.Barrier = conf.Barrier{SyncTimeout: w.scaled(5 * time.Second), CheckInterval: w.scaled(time.Second), CheckMaxFailures: 5}
	if w.hasty {
		cfg.Barrier.CheckInterval = w.scaled(5 * time.Millisecond)
	}
	if w.fair {
		cfg.Mode = conf.FAIR
		cfg.Pools = []conf.Pool{{Name: "p0", Mode: conf.FIFO, Weight: 2, MinShare: 1}, {Name: "p1", Mode: conf.FAIR, Weight: 1}}
	}
	if w.waits {
		cfg.LocalityWait = conf.LocalityWait{Process: w.scaled(50 * time.Millisecond), Node: w.scaled(30 * time.Millisecond)}
	}
	if w.speculates {
		cfg.Speculation = conf.Speculation{Enabled: true, Interval: w.scaled(100 * time.Millisecond), Multiplier: 1.5, Quantile: 0.5,
			MinTaskRuntime: w.scaled(50 * time.Millisecond), TaskDurationThreshold: w.scaled(300 * time.Millisecond),
			Efficiency: w.seed%2 == 0, ProcessRateMultiplier: 0.75, LongRunTaskFactor: 2}
	}
	if w.excludes {
		cfg.Exclusion = conf.Exclusion{Enabled: true, TaskAndStage: true, Application: w.seed%4 != 1, TaskAttemptsPerExecutor: 1,
			TaskAttemptsPerHost: 2, StageTasksPerExecutor: 2, StageExecutorsPerHost: 2, ApplicationTasksPerExecutor: 1 + int(w.seed/2%2),
			ApplicationExecutorsPerHost: 1 + int(w.seed/4%2), Timeout: w.scaled(2 * time.Second), UnschedulableTimeout: w.scaled(time.Second)}
	}
	if w.patient {
		cfg.MaxConsecutiveStageAttempts, cfg.MaxStageAttempts = 20, 1000
	}
	if w.beats {
		cfg.HeartbeatTimeout = w.scaled(500 * time.Millisecond)
	}
	for i, x := range w.executors {
		cfg.Executors = append(cfg.Executors, x.spec(i, x.slots))
	}
	return cfg
}

func (x site) spec(i, slots int) ExecutorSpec {
	return ExecutorSpec{ID: id.Executor(fmt.Sprint(strings.Repeat("x", 1+i), i)), Host: fmt.Sprint("h", x.host), Slots: slots}
}

// build makes the lineage.
func (w *world) build(h *harness) (nodes []*plan.Node, shuffles []*plan.ShuffleDep) {
	for i, spec := range w.nodes {
		parts := spec.parts
		var reads []any
		level := plan.Determinate
		for _, r := range spec.reads {
			if i == 0 {
				break
			}
			parent := nodes[r.node%i]
			if level = max(level, parent.Determinism); !r.shuffle {
				parts, reads = parent.Partitions, append(reads, parent)
				continue
			}
			var d *plan.ShuffleDep
			for _, o := range shuffles { // one that is there is read again
				if o.Parent == parent && o.Reducers == parts {
					d = o
				}
			}
			if d == nil {
				d = h.shuffle(parent, parts)
				shuffles = append(shuffles, d)
			}
			reads = append(reads, d)
		}
		n := h.node(parts, reads...)
		if n.Barrier = spec.barrier; spec.other {
			level = plan.Indeterminate
		}
		n.Determinism = level
		if spec.cached {
			n.SetLevel(block.MemoryOnly)
			h.cachedAt[n.ID] = make([][]task.Location, parts)
		}
		if spec.prefers {
			n.Preferred = func(p int) []task.Location { return []task.Location{{Host: fmt.Sprint("h", p%4)}} }
		}
		nodes = append(nodes, n)
	}
	return nodes, shuffles
}

// String tells what is in the world, as far as it is out of the ordinary.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d steps, maxFailures %d, cpus %d, resubmission after %v", w.seed, w.steps, w.maxFailures, w.cpus, w.scaled(w.resubmit))
	for _, x := range []struct {
		on   bool
		name string
	}{{w.fair, "FAIR"}, {w.waits, "delay scheduling"}, {w.mismatch, "retry on mismatch"},
		{w.excludes, "exclusion"}, {w.patient, "many stage attempts"}, {w.speculates, "speculation"}, {w.beats, "heartbeats"},
		{w.reaps, "reaping"}, {w.hasty, "short waits for slots"}, {w.slow, "slow fetches"},
		{w.chain > 0, fmt.Sprint("chains of ", w.chain)}, {w.maxResult > 0, fmt.Sprint("maxResult ", w.maxResult)}, {w.maxUntaken > 0, fmt.Sprint("maxUntaken ", w.maxUntaken)},
		{w.maxMessage > 0, fmt.Sprint("maxMessage ", w.maxMessage)}} {
		if x.on {
			b.WriteString(", " + x.name)
		}
	}
	b.WriteString("\n")
	for i, x := range w.executors {
		fmt.Fprintf(&b, "executor x%d on h%d, %d slots\n", i, x.host, x.slots)
	}
	for i, n := range w.nodes {
		fmt.Fprintf(&b, "node %d: %+v\n", i, n)
	}
	for _, a := range w.acts {
		fmt.Fprintf(&b, "at %v: %s %d %d\n", a.at, actNames[a.kind], a.a, a.b)
		for i, f := range a.fates {
			if f != (fate{}) {
				fmt.Fprintf(&b, "   launch %d %v\n", i, f)
			}
		}
	}
	return b.String()
}

func (f fate) String() string {
	s := endingNames[f.ends]
	if f.takes != 0 {
		s += fmt.Sprintf(" after %v", f.takes)
	}
	if f.inHand != 0 {
		s += fmt.Sprintf(", reports for %v", f.inHand)
	}
	for _, x := range []struct {
		on   bool
		name string
	}{{f.silent, "silent"}, {f.stubborn, "stubborn"}, {f.twice, "twice"}, {f.late, "late"}} {
		if x.on {
			s += ", " + x.name
		}
	}
	return s
}

// versions reports whether map tasks write other rows than before where
// nobody expects it, and everything made from the former ones must be undone.
// Cached partitions are not, so there must be none.
func (w *world) versions() bool {
	return w.mismatch && !slices.ContainsFunc(w.nodes, func(n nodeSpec) bool { return n.cached })
}
