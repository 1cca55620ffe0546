package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/task"
)

// ErrClosed is the cause of the failure of attempts that are launched on a
// closed executor or were still queued when it closed.
var ErrClosed = errors.New("executor is closed")

// Config describes an executor.
type Config struct {
	ID    id.Executor
	Slots int          // workers, at least 1
	Now   func() int64 // monotonic nanoseconds, the session's clock; safe for several goroutines

	// Limits decide how results travel.
	Limits result.Limits

	// ReaperTimeout is how long an attempt may ignore its kill before its
	// slot is given up; 0: for ever.
	ReaperTimeout time.Duration

	// LeakIsError fails an attempt that succeeded but did not give back all
	// memory (spark.unsafe.exceptionOnMemoryLeak); otherwise it is logged.
	LeakIsError bool
	// PinLeakIsError does the same for blocks still pinned
	// (spark.storage.exceptionOnPinLeak).
	PinLeakIsError bool

	// Labels is asked at the start of each attempt whether it is to run under
	// pprof labels (labels.go); nil: none does. It must be as quick as the
	// reading of a flag, and safe for several goroutines.
	Labels func() bool

	// Dir is the folder for task files. It is made when the first file is
	// fetched and removed by Close.
	Dir string
}

// Deps are what an executor works with. They outlive it.
type Deps struct {
	Driver Driver
	Decode DecodeFunc
	Memory *memory.Manager
	Store  Store
	FS     fsys.FS      // of task files; nil: the operating system's
	Logger *slog.Logger // nil: nothing is logged
}

// Driver is the executor's way to the driver. StatusUpdate is called by
// workers, which step the driver so; it may call Launch and Kill.
type Driver interface {
	// StatusUpdate delivers an encoded task.Status. msg is valid during the
	// call only.
	StatusUpdate(msg []byte)
	// StatusUpdates delivers several messages of one worker, in their order.
	// They are valid during the call only. taken is false if the driver takes
	// them later: those that Recall brings must not be of the same attempts.
	StatusUpdates(messages [][]byte) (taken bool)
	// CanCommit asks whether an attempt may commit its output.
	CanCommit(stage id.StageAttempt, partition, attempt int32) bool
	// Barrier blocks until all tasks of a barrier stage attempt have arrived
	// and returns their messages by partition. While it waits it serves
	// r.Requested, and it ends with the cause of ctx.
	Barrier(ctx context.Context, r task.BarrierRequest) ([]string, error)
	// MapOutputs returns the statuses of a shuffle's map outputs, by map
	// partition, and the epoch at which they were true, at least minEpoch.
	MapOutputs(s id.Shuffle, minEpoch int64) (statuses []*task.MapStatus, epoch int64, err error)
	// SlotLost tells that attempt t has ignored its kill for longer than the
	// reaper's timeout, and how many workers still serve. With none left no
	// queued attempt will ever start.
	SlotLost(t id.Task, left int)
}

// Store is what an executor needs of its block store.
type Store interface {
	// PutBytes stores a copy of data.
	PutBytes(b block.ID, level block.Level, data []byte) error
	// GetBytes returns a view of a block, valid until release is called.
	GetBytes(b block.ID) (data []byte, release func(), err error)
	// ReleaseTask unpins whatever an attempt left pinned and says how many.
	ReleaseTask(t id.Task) (leakedPins int)
}

// DecodeFunc decodes the task binary of an attempt's stage; its time is
// decode time. binary is valid during the call. The same stage attempt's
// attempts have the same Context.Binary, by which decoded forms can be kept.
type DecodeFunc func(c *Context, binary []byte) (Body, error)

// Body runs an attempt and returns the encoder of its value; its time is run
// time. A nil Encode is an empty value.
type Body func(c *Context) (Encode, error)

// Encode appends the attempt's value to dst; its time is encode time. It may
// still use what the attempt reserved. An error fails the attempt for good:
// no retry can mend it.
type Encode func(dst []byte) ([]byte, error)

// Executor is a fixed pool of workers. Its methods are safe for several
// goroutines.
type Executor struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	gc      *gcClock
	files   *files
	outputs outputs

	// helpers are the goroutines that run interrupt listeners.
	helpers sync.WaitGroup

	// Inside mu only worker.mu is taken, and nothing is called.
	mu struct {
		sync.Mutex
		queue   queue
		workers []*worker
		idle    []*worker // parked; the last to park is the first to wake
		marks   []killMark
		lost    int // workers whose attempt the reaper gave up
		live    int // worker goroutines that have not ended
		closed  bool
		ended   chan struct{} // closed when live is 0 after Close
	}
}

// New starts an executor's workers. They end with Close.
func New(cfg Config, deps Deps) (*Executor, error) {
	if cfg.Slots < 1 {
		return nil, fmt.Errorf("cannot start executor %q with %d slots: it needs at least 1", cfg.ID, cfg.Slots)
	}
	if cfg.Now == nil || deps.Driver == nil || deps.Decode == nil || deps.Memory == nil || deps.Store == nil {
		return nil, fmt.Errorf("cannot start executor %q without clock, driver, decoder, memory and store", cfg.ID)
	}
	if deps.FS == nil {
		deps.FS = fsys.OS
	}
	e := &Executor{cfg: cfg, deps: deps, log: deps.Logger, gc: newGCClock()}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.files = newFiles(deps.FS, cfg.Dir)
	e.mu.ended = make(chan struct{})
	e.mu.live = cfg.Slots
	for n := range cfg.Slots {
		e.mu.workers = append(e.mu.workers, newWorker(e, int32(n)))
	}
	for _, w := range e.mu.workers {
		w.begin(false)
	}
	return e, nil
}

// Workers returns what each worker has done since it began, up to now.
func (e *Executor) Workers() []event.WorkerTime {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.Now()
	times := make([]event.WorkerTime, len(e.mu.workers))
	for i, w := range e.mu.workers {
		times[i] = w.timeLocked(now)
	}
	return times
}

// Stop ends intake and kills what runs or waits, with reason, and waits for
// nothing. Close follows.
func (e *Executor) Stop(reason string) { e.stop(&KilledError{Reason: reason}) }

// Ended reports whether every worker has ended, so that Close will not wait.
func (e *Executor) Ended() bool {
	select {
	case <-e.mu.ended:
		return true
	default:
		return false
	}
}

func (e *Executor) stop(reason *KilledError) {
	e.mu.Lock()
	e.mu.closed = true
	for i := range e.mu.queue.len() {
		e.mu.queue.at(i).killFrom(0, reason)
	}
	var running []*Context
	for _, w := range e.mu.workers {
		w.mu.Lock()
		if w.mu.current != nil {
			running = append(running, w.mu.current)
		}
		w.mu.chain.killFrom(w.mu.next, reason)
		w.mu.Unlock()
	}
	idle := e.mu.idle
	e.mu.idle = nil
	for _, w := range idle {
		w.coming.Store(true)
	}
	e.mu.Unlock()

	now := e.cfg.Now()
	for _, c := range running {
		c.kill(reason, now)
	}
	for _, w := range idle {
		w.wake <- struct{}{}
	}
}

// Close stops intake, kills what runs or waits, and joins the workers. It
// returns an error that names the attempts which had not ended after grace;
// their goroutines are left behind. Called again, it tries again what failed.
func (e *Executor) Close(grace time.Duration) error {
	e.stop(&KilledError{Reason: ErrClosed.Error()})
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	select {
	case <-e.mu.ended:
	case <-timeout.C:
		select {
		case <-e.mu.ended:
		default:
			return e.stuck(grace)
		}
	}
	e.helpers.Wait()
	e.gc.stop()
	return e.files.close()
}

// stuck names the attempts that would not end.
func (e *Executor) stuck(grace time.Duration) error {
	e.mu.Lock()
	var held []*worker
	var errs []error
	for _, w := range e.mu.workers {
		if c := w.runs(); c != nil {
			held = append(held, w)
			errs = append(errs, fmt.Errorf("%s still runs on worker %d", c.identity(), w.n))
		}
	}
	e.mu.Unlock()
	for _, w := range held {
		e.log.Error("attempt ignores its kill", "executor", string(e.cfg.ID), "worker", w.n, "stack", w.stack())
	}
	if len(errs) == 0 { // between two attempts, inside the driver's work
		errs = append(errs, errors.New("no attempt runs, but a worker is busy with events; an event sink or a merge of accumulators blocks, or closes the session itself"))
	}
	return fmt.Errorf("cannot close executor %q within %v: %w", e.cfg.ID, grace, errors.Join(errs...))
}
