package engine

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/source"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Session is an engine at work: a fixed pool of workers, a memory budget, a
// folder for what spills, and the scheduler. It is made by Open and ended by
// Close; its methods may be called from several goroutines.
type Session struct {
	*core
	in    *instance // the program being built; nil outside Build
	scope *scope    // what Release drops; nil: nothing
}

// core is what all views of a session share.
type core struct {
	set      conf.Settings
	warnings []conf.Warning
	cores    int
	host     string
	began    time.Time
	log      *slog.Logger
	fs       fsys.FS
	sinks    []*shielded // of the listeners, too
	queues   []*event.Queue
	visible  *visibility // nil: what is cached is seen at once
	events   event.Sink  // to all sinks
	labels   func() bool // Config.Labels

	// The driver's; where there is one executor, that has them too.
	memory *memory.Manager
	disk   *storage.Disk
	store  *storage.Store

	groups  groups
	driver  *scheduler.Driver
	sampler *sampler
	record  *Recording // nil: nothing is recorded

	nextBeat int64 // when executors show that they live; of the sampler

	lastStage atomic.Pointer[stage] // what the latest attempt runs
	ways      *source.Ways          // of output to the disk

	graph        *graph
	functions    functions
	streams      streams
	accumulators accumulators
	broadcasts   decodedBroadcasts
	decoded      account // broadcasts
	results      account // on their way to the caller
	tables       account // of the scheduler
	broadcastID  atomic.Int64

	mu struct {
		sync.Mutex
		readers map[id.Shuffle]shuffleReader // who reads a shuffle
		learned map[id.Node][]byte
		files   map[string]task.File

		instances map[any]*instance    // by what Build and Step returned
		rebuilt   map[string]*instance // by the encoded chain that leads there
	}
	rebuilding sync.Mutex // one chain of buildings is repeated at a time

	closing sync.Once
	// storing is held for reading while a call outside any job puts something
	// into the store, and for writing as closed is set: Close finds no block
	// half written.
	storing   sync.RWMutex
	closed    atomic.Bool
	closedErr error
}

// shuffleReader is the operator that reads a shuffle, and which of its
// shuffles it is: the operator knows how the map side is written.
type shuffleReader struct {
	op  *operator
	dep int
}

// untakenResults is how many bytes of a job's results may wait for its caller
// (scheduler.Config.MaxUntaken): a share of the budget, between what a caller
// handles in some milliseconds and what is enough for any. The more wait, the
// less often the Go collector runs, which is most of what results of 64 KiB to
// 4 MiB cost: a tenth of their time lies between 8 and 32 MiB.
func untakenResults(budget units.Bytes) units.Bytes {
	return min(max(budget/16, 8*units.MiB), 32*units.MiB)
}

// outputWays are the ways of output that the user allows (output.direct); nil:
// there is one.
func outputWays(direct conf.OutputDirect) *source.Ways {
	switch direct {
	case conf.DirectOn:
		return source.AlwaysPast()
	case conf.DirectOff:
		return nil
	}
	return new(source.Ways)
}

// closeGrace is how long Close waits for attempts to notice that they are
// killed before it gives up and names them.
const closeGrace = 10 * time.Second

// Open starts a session. It owns nothing of the process: GOMAXPROCS, the
// memory limit, affinity and signals stay as they are.
func Open(cfg Config) (*Session, error) {
	s, budget, err := newSession(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.start(cfg, budget); err != nil {
		s.stop(0)
		return nil, err
	}
	return s, nil
}

// newSession settles what the session is to be, and starts none of it.
func newSession(cfg Config) (*Session, units.Bytes, error) {
	set, warnings, err := conf.Parse(cfg.Conf)
	if err != nil {
		return nil, 0, err
	}
	c := &core{set: set, warnings: warnings, began: time.Now(), log: cfg.Logger, fs: fsys.OS, labels: cfg.Labels, graph: newGraph(), ways: outputWays(set.Direct)}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	for _, w := range warnings {
		c.log.Warn(w.Text, "key", w.Key)
	}
	c.mu.readers = map[id.Shuffle]shuffleReader{}
	c.mu.learned = map[id.Node][]byte{}
	c.mu.files = map[string]task.File{}
	c.sinks = shield(cfg.Events, c.log)
	told := tell(c.sinks)
	c.listen(cfg.Listeners)
	for _, q := range c.queues {
		told = event.Tee(told, q)
	}
	c.events = told
	c.host = hostName()
	c.cores = cmp.Or(cfg.Cores, set.Master.Cores, runtime.GOMAXPROCS(0))
	if err := c.divide(cfg); err != nil {
		return nil, 0, err
	}
	budget := cmp.Or(cfg.Memory, set.Memory)
	if budget == 0 {
		vm, err := mem.VirtualMemory()
		if err != nil {
			return nil, 0, fmt.Errorf("cannot tell the machine's memory (set Memory): %w", err)
		}
		budget = units.Bytes(vm.Total / 2)
	}
	return &Session{core: c}, budget, nil
}

// start makes the parts from the bottom up. What it made before an error,
// stop takes down.
func (s *Session) start(cfg Config, budget units.Bytes) error {
	for _, q := range s.queues {
		if err := q.Start(); err != nil {
			return err
		}
	}
	if err := s.startStores(cfg, budget); err != nil {
		return err
	}
	s.announce(budget, cfg.Name)
	set := &s.set
	pools, err := s.pools()
	if err != nil {
		return err
	}
	back := &backend{s, cfg.Record}
	deps := scheduler.Deps{
		Now: s.now, Backend: back, Binary: s.makeBinary, DropBinary: s.dropBinary, Cached: s.locations,
		Blocks: storedResults{s.core}, Events: s.events, Accums: s.mergeAccumulators, Logger: s.log,
	}
	if cfg.Record == nil { // which knows attempts as they are launched one by one
		deps.Chains = back
	}
	s.driver = scheduler.New(scheduler.Config{
		Executors:   s.groups.specs(),
		MaxFailures: set.MaxFailures, MaxConsecutiveStageAttempts: set.MaxConsecutiveStageAttempts,
		MaxStageAttempts: set.MaxStageAttempts, MaxCancelledGroups: set.MaxCancelledGroups, TaskCPUs: set.TaskCPUs,
		Mode: set.SchedulingMode, Pools: pools, LocalityWait: set.LocalityWait, NoReduceLocality: !set.ReduceLocality, StarvationTimeout: s.starvationTimeout(),
		MaxResult: set.MaxResultSize, MaxMessage: set.MaxMessageSize, ResultGetters: set.ResultGetters,
		Barrier: set.Barrier, Speculation: set.Speculation, Exclusion: s.exclusion(len(s.groups.all())), HeartbeatTimeout: s.heartbeatTimeout(), RetryOnMismatch: set.RowChecksums && set.RetryOnMismatch,
		MaxUntaken: untakenResults(budget), Chain: maxChain,
	}, deps)
	s.groups.driver, s.groups.decode = s.driver, s.decoderOf
	if s.record = cfg.Record; s.record != nil {
		s.groups.driver = s.record.between(s.driver, storedResults{s.core}, s.disk.Dir())
	}
	for _, g := range s.groups.all() {
		if err := s.startGroup(g); err != nil {
			return err
		}
	}
	pm := newProcessMemory()
	s.sampler = startSampler(func() { s.sample(pm) })
	s.sampler.now()
	return nil
}

// startStores makes what driver and executors stand on: memory, disk, and the
// stores of blocks and of map outputs.
func (s *Session) startStores(cfg Config, budget units.Bytes) (err error) {
	set, n := &s.set, max(1, cfg.Executors)
	mcfg := memory.Config{
		Budget: budget, Reserved: set.Reserved, Fraction: set.MemoryFraction, StorageFraction: set.StorageFraction,
		Cores: s.groups.slots, PageSize: set.PageSize, Mapped: cfg.Mapped,
	}
	if n == 1 {
		s.memory, err = memory.NewManager(mcfg)
	} else {
		s.memory, s.groups.shares, err = memory.Divide(n, mcfg)
	}
	if err != nil {
		return err
	}
	temp := cmp.Or(cfg.Temp, set.Temp, os.TempDir())
	if s.disk, err = storage.OpenDisk(temp, s.fs); err != nil {
		return err
	}
	if s.store, err = s.newStore(id.Driver, s.memory, s.ownMemory(), s.disk, func() bool { return true }); err != nil {
		return err
	}
	if set.CacheVisibility {
		s.visible = newVisibility()
		s.events = event.Tee(s.visible, s.events)
	}
	for range n {
		g, err := s.makeGroup()
		if err != nil {
			return err
		}
		s.groups.add(g)
	}
	for _, a := range s.accounts() {
		if a.r, err = s.memory.Reserve(a.name, 0); err != nil {
			return err
		}
	}
	s.broadcasts.reserve = s.decoded.add
	return nil
}

// ownMemory returns how many bytes the driver does not leave to executors of
// their own.
func (s *core) ownMemory() int64 {
	if s.groups.shares != nil {
		return s.groups.shares.Own()
	}
	return s.memory.Total()
}

// backend is the scheduler's way to the executors.
type backend struct {
	s      *Session
	record *Recording // nil: nothing is recorded
}

// Launch implements scheduler.Backend.
func (b *backend) Launch(n id.Executor, t id.Task, desc []byte) {
	if b.record != nil {
		b.record.launched(t, desc)
	}
	if g := b.s.groups.find(n); g != nil {
		g.executor.Launch(t, desc)
	}
}

// maxChain bounds how many attempts follow another without a step of the
// scheduler between them: with 16 attempts, what a step costs beside them is a
// sixteenth for each, and more pay nothing (measured; scheduler, chain.go).
const maxChain = 15

// LaunchChain implements scheduler.Chains.
func (b *backend) LaunchChain(n id.Executor, chain []task.Launch) {
	if g := b.s.groups.find(n); g != nil {
		g.executor.LaunchChain(chain)
	}
}

// Recall implements scheduler.Chains.
func (b *backend) Recall() (messages [][]byte, tasks []id.Task) {
	for _, g := range b.s.groups.all() {
		m, t := g.executor.Recall()
		messages, tasks = append(messages, m...), append(tasks, t...)
	}
	return messages, tasks
}

// Kill implements scheduler.Backend.
func (b *backend) Kill(n id.Executor, t id.Task, interrupt bool, reason string) {
	if g := b.s.groups.find(n); g != nil {
		g.executor.Kill(t, interrupt, reason)
	}
}

// Drop implements scheduler.Backend.
func (b *backend) Drop(n id.Executor, reason string) { b.s.drop(n, reason) }

// Close ends the session: it cancels what runs, joins every goroutine, and
// removes every file. The error tells what would not end or was not given
// back, and which sink panicked. It is safe to call twice. A sink cannot close
// its session: it gets ErrInSink.
func (s *Session) Close() error {
	if insideSink() {
		return fmt.Errorf("cannot close the session: %w", ErrInSink)
	}
	s.closing.Do(func() { s.closedErr = s.stop(closeGrace) })
	return s.closedErr
}

func (s *Session) stop(grace time.Duration) error {
	s.storing.Lock()
	s.closed.Store(true)
	s.storing.Unlock()
	var errs []error
	var stuck error // the driver is
	if s.driver != nil {
		s.driver.CancelAll("session closed")
		stuck = s.driver.Close(grace) // first: no job begins on an executor that is closed
		errs = append(errs, stuck)
	}
	errs = append(errs, s.joinGroups(grace))
	if s.driver != nil && stuck == nil { // the workers' last messages may be in other hands
		errs = append(errs, s.driver.Close(grace))
	}
	if s.sampler != nil {
		s.sampler.close()
		s.sampler.now()
	}
	if s.events != nil && s.driver != nil {
		s.events.Emit(&event.ApplicationEnd{At: s.now()})
	}
	errs = append(errs, s.releaseGroups())
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if past, all := s.ways.Past(); all > 0 {
		s.log.Info("output was written in full blocks", "bytes", all, "past the file cache", past)
	}
	for _, a := range s.accounts() {
		a.release()
	}
	if s.memory != nil {
		errs = append(errs, s.memory.Close())
	}
	if s.disk != nil {
		errs = append(errs, s.disk.Close())
	}
	errs = append(errs, s.stopQueues())
	for _, k := range s.sinks {
		errs = append(errs, k.failed())
	}
	return errors.Join(errs...)
}

// now is the session's clock: monotonic nanoseconds since Open. It is never
// 0, which stands for "not yet" in events.
func (s *core) now() int64 { return int64(time.Since(s.began)) + 1 }

// Parallelism is the number of partitions where the caller names none:
// default.parallelism, or the number of workers.
func (s *Session) Parallelism() int { return cmp.Or(s.set.Parallelism, s.cores) }

func (s *Session) parts(n int) int {
	if n < 1 {
		return s.Parallelism()
	}
	return n
}

// Cores returns the number of workers.
func (s *Session) Cores() int { return s.cores }

// Conf returns the configuration as resolved, secrets redacted.
func (s *Session) Conf() []conf.Entry { return s.set.Resolved() }

// Warnings returns what the configuration asks for in vain.
func (s *Session) Warnings() []conf.Warning { return s.warnings }

// announce opens the event stream.
func (s *Session) announce(budget units.Bytes, name string) {
	at := s.now()
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	wall := s.began.UnixNano() + at
	s.events.Emit(&event.ApplicationStart{
		At: at, Wall: wall, Name: cmp.Or(name, s.set.AppName, "execbench"),
		ID: "local-" + strconv.FormatInt(wall/1e6, 10), User: who, Host: s.host,
		Cores: int32(s.cores), Memory: int64(budget), Conf: s.set.Map(),
	})
	if s.groups.shares != nil {
		s.events.Emit(&event.BlockManagerAdded{At: at, Executor: id.Driver, Host: s.host, Memory: s.ownMemory()})
	}
	for g := range s.groups.live() {
		s.events.Emit(&event.ExecutorAdded{At: at, Executor: g.id, Host: g.host, Cores: int32(g.slots)})
		s.events.Emit(&event.BlockManagerAdded{At: at, Executor: g.id, Host: g.host, Memory: g.memory.Total()})
	}
}

// sample puts the memory and the workers' times into the event stream.
func (s *Session) sample(pm *processMemory) {
	s.bury()
	m := event.MemorySample{At: s.now(), Accounts: s.Accounts()}
	evicted := s.groups.evicted()
	m.EvictedMemory, m.EvictedDisk = evicted.OwnMemory, evicted.OwnDisk
	pm.read(&m)
	s.events.Emit(&m)
	for g := range s.groups.live() {
		for _, w := range g.executor.Workers() {
			s.events.Emit(&w)
		}
	}
	for _, g := range s.groups.all() {
		g.executor.Reap(s.now())
	}
	s.beat()
}

// Phase marks a stretch of the run for reports; the returned function ends
// it.
func (s *Session) Phase(name string, index int) func(err error) {
	begin := s.now()
	return func(err error) {
		p := event.Phase{Begin: begin, End: s.now(), Name: name, Index: int32(index)}
		if err != nil {
			p.Error = err.Error()
		}
		if !insideSink() { // which may be called in the middle of a sample
			s.sampler.now()
		}
		s.events.Emit(&p)
	}
}

// CancelJob ends a job; unknown ids are ignored.
func (s *Session) CancelJob(job id.Job, reason string) { s.driver.CancelJob(job, reason) }

// CancelJobGroup ends the jobs of a group, and with future also those that
// are submitted later.
func (s *Session) CancelJobGroup(group, reason string, future bool) {
	s.driver.CancelGroup(group, reason, future)
}

// KillTask kills one attempt; it tells whether the attempt was running. To a
// sink, which cannot wait for that, it says true.
func (s *Session) KillTask(t id.Task, reason string) bool {
	if insideSink() {
		s.driver.AskKill(t, reason)
		return true
	}
	return s.driver.KillTask(t, reason)
}

// Accounts tells who holds how much of the budget.
func (s *Session) Accounts() []event.Account {
	if s.groups.shares != nil {
		return s.groups.shares.Accounts()
	}
	return s.memory.Accounts()
}

// BlockReads counts what readers of persisted partitions that live on disk
// got, in bytes.
type BlockReads = storage.Reads

// BlockReads returns the counts of the session's life so far. It may be
// called at any time, from any goroutine.
func (s *Session) BlockReads() BlockReads { return s.groups.reads() }

// Explain prints a lineage.
func Explain(n interface{ Node() *plan.Node }) string { return plan.Explain(n.Node()) }

func (s *core) nextBroadcast() id.Broadcast { return id.Broadcast(s.broadcastID.Add(1) - 1) }

// makeBinary encodes and stores the task binary of a stage attempt.
func (s *Session) makeBinary(r scheduler.BinaryRequest) (id.Broadcast, error) {
	var act action
	if r.Shuffle == nil {
		d := decoder{b: r.Payload}
		if act.decode(&d); d.bad {
			return 0, fmt.Errorf("cannot decode the action of stage %v", r.StageAttempt)
		}
	}
	data, err := s.binaryFor(r.Node, r.Shuffle, act)
	if err != nil {
		return 0, err
	}
	b := s.nextBroadcast()
	if err := s.store.PutBytes(block.Broadcast(b), block.MemoryAndDiskSer, data); err != nil {
		return 0, fmt.Errorf("cannot store the task binary of stage %v: %w", r.StageAttempt, err)
	}
	if s.record != nil {
		s.record.made(b, data)
	}
	return b, nil
}

func (s *Session) dropBinary(b id.Broadcast) { s.store.Remove(block.Broadcast(b)) }

// mergeAccumulators merges an attempt's updates; a merge that fails is
// logged and changes nothing.
func (s *Session) mergeAccumulators(updates []task.AccumUpdate) []event.Accumulable {
	var named []event.Accumulable
	for i := range updates {
		u := &updates[i]
		a := s.accumulators.get(u.ID)
		if a == nil {
			s.log.Error("cannot merge an update of an unknown accumulator", "id", u.ID)
			continue
		}
		update, value, err := a.mergeUpdate(u)
		if err != nil {
			s.log.Error(err.Error())
			continue
		}
		if u.Name != "" {
			named = append(named, event.Accumulable{ID: u.ID, Name: u.Name, Update: update, Value: value})
		}
	}
	return named
}

// pools reads the fair-scheduler allocation file, if one is named.
func (s *Session) pools() ([]conf.Pool, error) {
	path := s.set.AllocationFile
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read scheduler.allocation.file: %w", err)
	}
	defer f.Close()
	pools, warnings, err := conf.ReadPools(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read scheduler.allocation.file %s: %w", path, err)
	}
	for _, w := range warnings {
		s.log.Warn(w.Text, "key", w.Key)
	}
	return pools, nil
}

// AddFile makes a file readable by tasks under its base name (Task.File). A
// file added again replaces its older version in tasks launched later.
func (s *Session) AddFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("cannot add file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cannot add file %s: it is not a regular file", path)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Later than the version before, whatever the clock says.
	at := max(time.Now().UnixNano(), s.mu.files[info.Name()].Timestamp+1)
	s.mu.files[info.Name()] = task.File{Name: info.Name(), Source: path, Timestamp: at}
	return nil
}

// learnt returns what the driver learned for a node.
func (s *core) learnt(n id.Node) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.mu.learned[n]
	return b, ok
}

func (s *core) learn(n id.Node, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.learned[n] = data
}

// shuffleReader returns the operator that reads a shuffle.
func (s *core) shuffleReader(n id.Shuffle) (*operator, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.mu.readers[n]
	return r.op, r.dep
}

func (s *core) setReader(n id.Shuffle, op *operator, dep int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.readers[n] = shuffleReader{op, dep}
}
