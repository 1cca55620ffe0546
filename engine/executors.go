package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// group is one executor with all it stands on. In Spark it is a process; here
// it is a labelled group of the session's workers. The only group of a session
// that has one shares memory, folder and block store with the driver, as in
// Spark's local mode; of several each has its own, and the driver, too.
type group struct {
	id       id.Executor
	host     string // a label: where its blocks are, for locality
	slots    int
	memory   *memory.Manager
	disk     *storage.Disk
	store    *storage.Store
	shuffles *shuffle.Manager
	tables   heldTables         // of joins
	executor *executor.Executor // nil until it is started

	lost atomic.Bool // the driver has given it up
}

// groups are the executors of a session.
type groups struct {
	// list holds those that live and those that are lost and still hold
	// something. It is replaced, never changed.
	list atomic.Pointer[[]*group]
	// shares divides the memory; nil: there is one executor.
	shares *memory.Shares
	slots  int      // of each
	hosts  []string // labels, in turn; at least one

	// What all executors have; set before one starts.
	driver executor.Driver
	peer   func(id.Executor) *shuffle.Manager // whose map outputs are read where
	decode func(*group) executor.DecodeFunc

	// changing orders those who make executors and bury lost ones; it is held
	// while files are removed. Nobody comes to the driver with it but to bring
	// an executor.
	changing sync.Mutex
	made     int // executors so far
	past     struct {
		evicted shuffle.Evictions // by those that are buried
		reads   storage.Reads
	}
}

// all returns the executors that live or still hold something.
func (g *groups) all() []*group {
	if list := g.list.Load(); list != nil {
		return *list
	}
	return nil
}

// live ranges over the executors that are not lost, in the order of their
// making.
func (g *groups) live() iter.Seq[*group] {
	return func(yield func(*group) bool) {
		for _, x := range g.all() {
			if !x.lost.Load() && !yield(x) {
				return
			}
		}
	}
}

// find returns an executor, lost or not; nil: it holds nothing any more.
func (g *groups) find(n id.Executor) *group {
	for _, x := range g.all() {
		if x.id == n {
			return x
		}
	}
	return nil
}

// add puts an executor into the list.
func (g *groups) add(x *group) {
	list := append(slices.Clone(g.all()), x)
	g.list.Store(&list)
}

// specs introduces the executors to the scheduler.
func (g *groups) specs() (list []scheduler.ExecutorSpec) {
	for _, x := range g.all() {
		list = append(list, scheduler.ExecutorSpec{ID: x.id, Host: x.host, Slots: x.slots})
	}
	return list
}

// remove takes an executor that holds nothing any more out of the list.
func (g *groups) remove(x *group) {
	g.past.evicted = g.past.evicted.Add(x.shuffles.Evicted())
	g.past.reads = g.past.reads.Add(x.store.Reads())
	list := slices.DeleteFunc(slices.Clone(g.all()), func(o *group) bool { return o == x })
	g.list.Store(&list)
}

// evicted adds up what the executors' map outputs were written out for.
func (g *groups) evicted() shuffle.Evictions {
	g.changing.Lock()
	defer g.changing.Unlock()
	sum := g.past.evicted
	for _, x := range g.all() {
		sum = sum.Add(x.shuffles.Evicted())
	}
	return sum
}

// reads adds up what was read of blocks in files.
func (g *groups) reads() storage.Reads {
	g.changing.Lock()
	defer g.changing.Unlock()
	sum := g.past.reads
	for _, x := range g.all() {
		sum = sum.Add(x.store.Reads())
	}
	return sum
}

// divide settles how many executors there are, and of how many workers each.
func (s *core) divide(cfg Config) error {
	n := max(1, cfg.Executors)
	switch {
	case cfg.Executors < 0:
		return fmt.Errorf("cannot open a session with %d executors", cfg.Executors)
	case s.cores%n != 0:
		return fmt.Errorf("cannot divide %d workers among %d executors: all must have the same number", s.cores, n)
	}
	s.groups.slots = s.cores / n
	if err := s.set.CheckSlots(s.groups.slots); err != nil {
		return err
	}
	s.groups.peer = s.groups.outputs
	s.groups.hosts = cfg.Hosts
	if len(cfg.Hosts) == 0 {
		s.groups.hosts = []string{s.host}
	}
	s.streams.workers = n * (s.groups.slots / max(1, s.set.TaskCPUs))
	return nil
}

// makeGroup makes an executor's stores, not yet its workers. If it fails,
// nothing is left of it.
func (s *Session) makeGroup() (_ *group, err error) {
	made := s.groups.made
	g := &group{
		id: id.Driver, host: s.groups.hosts[made%len(s.groups.hosts)], slots: s.groups.slots,
		memory: s.memory, disk: s.disk, store: s.store,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release(g))
		}
	}()
	if s.groups.shares != nil {
		g.id = id.Executor(strconv.Itoa(made))
		g.memory, g.disk, g.store = nil, nil, nil
		if g.memory, err = s.groups.shares.New(); err != nil {
			return nil, err
		}
		if g.disk, err = storage.OpenDisk(s.disk.Dir(), s.fs); err != nil {
			return nil, err
		}
		if g.store, err = s.newStore(g.id, g.memory, g.memory.Total(), g.disk, func() bool { return !g.lost.Load() }); err != nil {
			return nil, err
		}
	}
	if g.shuffles, err = s.newShuffleManager(g); err != nil {
		return nil, err
	}
	g.tables.start(g.memory)
	s.groups.made++
	return g, nil
}

// newStore makes a block store over managed bytes of memory. Its changes are
// told while tell says so.
func (s *Session) newStore(n id.Executor, m *memory.Manager, managed int64, d *storage.Disk, tell func() bool) (*storage.Store, error) {
	set := &s.set
	compression, err := codec.CompressionByName(string(set.Compression))
	if err != nil {
		return nil, err
	}
	pick := func(on bool) codec.Compression {
		if on {
			return compression
		}
		return nil
	}
	return storage.NewStore(storage.Config{
		Executor: n, Memory: m, Disk: d,
		Compression: pick(set.RDDCompress), BroadcastCompression: pick(set.BroadcastCompress),
		ReadBack: units.Bytes(set.ReadBackFraction * float64(managed)),
		OnUpdate: func(b block.ID, level block.Level, mem, disk int64) {
			if tell() {
				s.events.Emit(&event.BlockUpdated{At: s.now(), Executor: n, Block: string(b), Level: level, Memory: mem, Disk: disk})
			}
		},
		Logger: s.log,
	})
}

// startGroup starts an executor's workers.
func (s *Session) startGroup(g *group) (err error) {
	set := &s.set
	ecfg := executor.Config{
		ID: g.id, Slots: g.slots, Now: s.now,
		Limits:      result.Limits{MaxResult: set.MaxResultSize, MaxDirect: set.MaxDirectResultSize, Message: set.MaxMessageSize},
		LeakIsError: set.LeakedMemoryIsFailure, PinLeakIsError: set.LeakedPinIsFailure,
		Labels: s.labels, Dir: g.disk.Path("files"),
	}
	if set.Reaper.Enabled && set.Reaper.KillTimeout > 0 {
		ecfg.ReaperTimeout = set.Reaper.KillTimeout
	}
	deps := executor.Deps{Driver: s.groups.driver, Decode: s.groups.decode(g), Memory: g.memory, Store: g.store, FS: s.fs, Logger: s.log}
	if s.groups.shares != nil {
		deps.Store = &taskStore{s.core, g}
	}
	g.executor, err = executor.New(ecfg, deps)
	return err
}

// taskStore is the blocks of an executor's attempts where there are several
// executors: what attempts store stays with their executor, task binaries are
// the driver's, and blocks may be read in any of them.
type taskStore struct {
	s *core
	g *group
}

func (t *taskStore) PutBytes(b block.ID, level block.Level, data []byte) error {
	return t.g.store.PutBytes(b, level, data)
}

func (t *taskStore) GetBytes(b block.ID) ([]byte, func(), error) { return t.s.store.GetBytes(b) }

func (t *taskStore) ReleaseTask(n id.Task) (leakedPins int) {
	leakedPins = t.g.store.ReleaseTask(n)
	for _, g := range t.s.groups.all() { // a lost one, too, may be read to the end
		if g != t.g {
			leakedPins += g.store.ReleaseTask(n)
		}
	}
	return leakedPins
}

// storedResults are the results that attempts stored, each with the executor
// that made it. What a lost one had is lost.
type storedResults struct{ s *core }

// GetBytes implements scheduler.Blocks.
func (r storedResults) GetBytes(b block.ID) (data []byte, release func(), err error) {
	err = fmt.Errorf("cannot find stored result %s: %w", b, storage.ErrBlockNotFound)
	for g := range r.s.groups.live() {
		if data, release, err = g.store.GetBytes(b); err == nil || !gone(err) {
			break
		}
	}
	return data, release, err
}

// Remove implements scheduler.Blocks.
func (r storedResults) Remove(b block.ID) bool {
	for g := range r.s.groups.live() {
		if g.store.Remove(b) {
			return true
		}
	}
	return false
}

// gone reports whether a store said that it does not have a block, or that it
// has none any more.
func gone(err error) bool {
	return errors.Is(err, storage.ErrBlockNotFound) || errors.Is(err, storage.ErrClosed)
}

// nodeBytes returns the bytes of a dataset's cached partitions, each as often
// as it is there.
func (s *core) nodeBytes(n id.Node) (bytes int64) {
	for g := range s.groups.live() {
		bytes += g.store.NodeBytes(n)
	}
	return bytes
}

// nodeKeys returns the span of the keys of a dataset's cached partitions, each
// as often as it is there, if that is known of all of them.
func (s *core) nodeKeys(n id.Node) (span task.KeySpan, known bool) {
	for g := range s.groups.live() {
		keys, known := g.store.NodeKeys(n)
		if !known {
			return task.KeySpan{}, false
		}
		span = span.Plus(keys)
	}
	return span, true
}

// hasBlock reports whether any executor has a cached partition.
func (s *core) hasBlock(b block.ID) bool {
	for g := range s.groups.live() {
		if g.store.Contains(b) {
			return true
		}
	}
	return false
}

// openBlock opens a cached partition: the executor's own, or else that of
// another, if whoever wrote it has it seen. One that can be read nowhere is an
// ErrBlockNotFound.
func (t *Task) openBlock(b block.ID) (*storage.Reader, error) {
	r, err := t.g.store.Open(t.Memory(), b)
	if err == nil || !errors.Is(err, storage.ErrBlockNotFound) {
		return r, err
	}
	for g := range t.s.groups.live() {
		if g == t.g || !g.store.Contains(b) || t.s.visible.hidden(t.attemptContext.Task, g, b) {
			continue
		}
		r, rerr := g.store.OpenRemote(t.Memory(), b)
		if rerr == nil {
			return r, nil
		}
		if killed := t.Check(); killed != nil {
			return nil, killed
		}
		if !gone(rerr) { // another may have it, and else it is computed
			t.s.log.Warn("cannot read a block of another executor", "block", string(b), "executor", string(g.id), "error", rerr)
		}
	}
	return nil, err
}

// outputs returns the map outputs of an executor; nil: it is lost.
func (g *groups) outputs(n id.Executor) *shuffle.Manager {
	if x := g.find(n); x != nil && !x.lost.Load() {
		return x.shuffles
	}
	return nil
}

// released tells when memory that attempts hold is next given back, and how
// many attempts hold some: of one executor with such attempts, if there is
// any.
func (s *core) released() (next <-chan struct{}, attempts int) {
	for _, g := range s.groups.all() {
		if next, attempts = g.memory.Released(); attempts > 0 {
			break
		}
	}
	return next, attempts
}

// ExecutorInfo describes an executor: a labelled group of workers, with a
// block store, map outputs and a share of the memory of its own.
type ExecutorInfo struct {
	ID    id.Executor // "driver" where there is one; else a number
	Host  string      // its label (Config.Hosts)
	Slots int         // workers
}

// Executors returns the executors that are not lost, in the order in which
// they came.
func (s *Session) Executors() []ExecutorInfo {
	var list []ExecutorInfo
	for g := range s.groups.live() {
		list = append(list, ExecutorInfo{g.id, g.host, g.slots})
	}
	return list
}

// LoseExecutor takes an executor away as if its process had died, for tests of
// what that does to a job. Its attempts end as ExecutorLostFailures, which
// count as nobody's fault, and are killed with reason; the attempts' tasks,
// and map tasks whose output was there, run again elsewhere; what was cached
// or stored there is gone. With the last executor every job fails.
//
// It returns when the driver has seen to all that. Memory and files come free
// as soon as no attempt uses them: attempts of the lost executor end when they
// notice their kill, those of others when they have read what they opened
// before. Nothing takes the executor's place unless AddExecutor is called.
//
// The only executor of a session cannot be lost, since it is the driver's. An
// event sink gets ErrInSink; an attempt may call it, and may end its own
// executor.
func (s *Session) LoseExecutor(n id.Executor, reason string) error {
	if err := s.mayLose(n); err != nil {
		return fmt.Errorf("cannot lose executor %q: %w", n, err)
	}
	if !s.driver.LoseExecutor(n, reason, false) {
		return fmt.Errorf("cannot lose executor %q: there is none of that name", n)
	}
	s.bury()
	return nil
}

// DisconnectExecutor makes an executor fall silent: it gets no more attempts,
// and those it has are tried nowhere else until LoseExecutor tells why it
// went. What it still reports until then counts.
func (s *Session) DisconnectExecutor(n id.Executor) error {
	if err := s.mayLose(n); err != nil {
		return fmt.Errorf("cannot disconnect executor %q: %w", n, err)
	}
	s.driver.ExecutorGone(n)
	return nil
}

func (s *Session) mayLose(n id.Executor) error {
	switch {
	case insideSink():
		return ErrInSink
	case s.closed.Load():
		return ErrClosed
	case s.groups.shares == nil:
		return errors.New("it is the only one, and the driver's")
	}
	return nil
}

// addPause is how often AddExecutor looks whether there is memory.
const addPause = 10 * time.Millisecond

// AddExecutor brings an executor in place of a lost one, with the next number
// as its name. It waits until there is memory for it, which is when nobody
// uses what the lost one held any more, or until ctx ends.
func (s *Session) AddExecutor(ctx context.Context) (id.Executor, error) {
	fail := func(err error) (id.Executor, error) { return "", fmt.Errorf("cannot add an executor: %w", err) }
	switch {
	case insideSink():
		return fail(ErrInSink)
	case s.closed.Load():
		return fail(ErrClosed)
	case s.groups.shares == nil:
		return fail(errors.New("the session has one, which is the driver's, and no share of the memory for another"))
	}
	for {
		s.bury()
		n, err := s.addGroup()
		switch {
		case err == nil:
			return n, nil
		case !errors.Is(err, ErrNoMemory):
			return fail(err)
		}
		select {
		case <-ctx.Done():
			return fail(errors.Join(context.Cause(ctx), err))
		case <-time.After(addPause):
		}
	}
}

// addGroup makes an executor and offers it to the driver.
func (s *Session) addGroup() (id.Executor, error) {
	s.groups.changing.Lock()
	defer s.groups.changing.Unlock()
	if s.closed.Load() {
		return "", ErrClosed
	}
	g, err := s.makeGroup()
	if err != nil {
		return "", err
	}
	if err := s.startGroup(g); err != nil {
		return "", errors.Join(err, s.release(g))
	}
	s.groups.add(g)
	s.events.Emit(&event.BlockManagerAdded{At: s.now(), Executor: g.id, Host: g.host, Memory: g.memory.Total()})
	s.driver.AddExecutor(scheduler.ExecutorSpec{ID: g.id, Host: g.host, Slots: g.slots})
	return g.id, nil
}

// drop carries out the driver's giving up of an executor: it stops at once.
// What it holds is given back by bury.
func (s *Session) drop(n id.Executor, reason string) {
	g := s.groups.find(n)
	if g == nil || s.groups.shares == nil { // the only one is the driver's, and ends with the session
		return
	}
	g.lost.Store(true)
	g.executor.Stop("executor " + string(n) + " is lost: " + reason)
	for _, w := range g.executor.Workers() {
		s.events.Emit(&w)
	}
	s.events.Emit(&event.BlockManagerRemoved{At: s.now(), Executor: n})
}

// bury gives back what lost executors hold, as far as nobody uses it. It is
// called when one is lost, before another comes, and with every sample.
func (s *Session) bury() {
	s.groups.changing.Lock()
	defer s.groups.changing.Unlock()
	for _, g := range s.groups.all() {
		if g.lost.Load() && s.release(g) == nil {
			s.groups.remove(g)
		}
	}
}

// errRuns: an executor cannot give back what its attempts use.
var errRuns = errors.New("an attempt still runs")

// release gives back what an executor holds. It waits for nobody; the error
// says who still uses what, and it may be called again.
func (s *Session) release(g *group) error {
	var errs []error
	g.tables.close()
	if g.shuffles != nil {
		errs = append(errs, g.shuffles.Close())
	}
	if g.store != nil && g.store != s.store {
		errs = append(errs, g.store.Close())
	}
	switch {
	case g.executor == nil:
	case g.executor.Ended():
		errs = append(errs, g.executor.Close(0))
	default:
		errs = append(errs, errRuns)
	}
	if err := errors.Join(errs...); err != nil || s.groups.shares == nil {
		return err
	}
	if g.disk != nil {
		if err := g.disk.Close(); err != nil {
			return err
		}
	}
	if g.memory != nil {
		return s.groups.shares.Close(g.memory)
	}
	return nil
}

// joinGroups ends every executor: it kills what runs, and joins the workers of
// all within grace.
func (s *Session) joinGroups(grace time.Duration) error {
	s.groups.changing.Lock()
	list := s.groups.all() // nobody adds one after this: the session is closed
	s.groups.changing.Unlock()
	for _, g := range list {
		if g.executor != nil {
			g.executor.Stop(executor.ErrClosed.Error())
		}
	}
	var errs []error
	until := time.Now().Add(grace)
	for _, g := range list {
		if g.executor != nil {
			errs = append(errs, g.executor.Close(max(0, time.Until(until))))
		}
	}
	return errors.Join(errs...)
}

// releaseGroups gives back what the executors held, once they are joined.
func (s *Session) releaseGroups() error {
	s.groups.changing.Lock()
	defer s.groups.changing.Unlock()
	var errs []error
	for _, g := range s.groups.all() {
		if err := s.release(g); !errors.Is(err, errRuns) { // joinGroups has named the attempt
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// hostName is the label of executors that were given none.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return cmp.Or(name, "localhost")
}

// locations returns where each of a dataset's partitions is cached, by
// executor in the order of their making.
func (s *Session) locations(n id.Node, partitions int) [][]task.Location {
	locs := make([][]task.Location, partitions)
	for g := range s.groups.live() {
		here := []task.Location{{Host: g.host, Executor: g.id}} // shared by those that are nowhere else
		for part := range locs {
			b := block.Node(n, part)
			switch {
			case !g.store.Contains(b) || s.visible.hidden(-1, g, b):
			case locs[part] == nil:
				locs[part] = here[:1:1]
			default:
				locs[part] = append(locs[part], here...)
			}
		}
	}
	return locs
}
