package executor

import (
	"bytes"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// worker is one slot: a goroutine locked to its OS thread, so that thread CPU
// time is an attempt's own. It takes attempts from the queue and, when one
// ends, delivers the status itself: whoever brings an event steps the driver,
// and what the driver launches in that step this worker takes along without
// any thread being woken.
type worker struct {
	e    *Executor
	n    int32
	wake chan struct{} // capacity 1; sent to by whoever took the worker off the idle list

	// Used again by every attempt; of the worker's goroutine alone.
	dec     task.DescriptionDecoder
	desc    []byte // of the current attempt; a view into its chain
	msg     []byte // the terminal status
	spare   *Context
	spares  []Context
	chained bool // the current attempt is one of several
	behind  bool // the driver has yet to take what was delivered last
	handing reports
	views   [][]byte
	small   []byte // RUNNING status
	failure []byte
	status  task.Status
	bin     binary
	labels  labels

	cpu lastCPU

	// Stamps Start and End of the current attempt, or notBegun; the worker
	// writes, Workers reads. Both are notBegun when take gives it an attempt.
	start, end atomic.Int64
	// coming tells that the worker will look into the queue without being
	// woken: its attempt has ended, or it has been woken. Whoever sets it does
	// so before a launch that it is to keep from waking another.
	coming atomic.Bool

	goid  string // of the present goroutine; guarded by e.mu
	began int64

	// mu is taken inside e.mu, if both are.
	mu struct {
		sync.Mutex
		// current stays set until the worker takes its next attempt; if coming
		// is set as well, it has ended.
		current  *Context
		since    int64 // end of the last attempt, or of the last parking
		parked   bool
		busy     int64
		stepping int64
		row
	}
}

// binary is the task binary that a worker used last.
type binary struct {
	id   id.Broadcast
	held bool
	data []byte
}

// notBegun is no stamp.
const notBegun = math.MinInt64

func newWorker(e *Executor, n int32) *worker {
	now := e.cfg.Now()
	w := &worker{e: e, n: n, wake: make(chan struct{}, 1), began: now}
	w.mu.since = now
	w.start.Store(notBegun)
	w.end.Store(notBegun)
	w.coming.Store(true)
	return w
}

// The package starts goroutines here and nowhere else.

// begin starts the worker's goroutine, which Close joins.
func (w *worker) begin(ended bool) { go w.loop(ended) }

// help runs f on a goroutine of its own, which Close joins. The caller has
// added it to e.helpers.
func (e *Executor) help(f func()) {
	go func() {
		defer e.helpers.Done()
		f()
	}()
}

// loop is the worker's goroutine. It never unlocks its thread, so the thread
// ends with it. ended tells that a predecessor, stopped by runtime.Goexit in
// user code, left an attempt's terminal status to deliver: by then this
// goroutine has its own thread, so the pool is whole before the slot is
// offered again.
func (w *worker) loop(ended bool) {
	runtime.LockOSThread()
	w.cpu = lastCPU{lag: cpuLag()}
	w.e.mu.Lock()
	w.goid = Goroutine()
	w.e.mu.Unlock()
	if ended && w.deliver() {
		w.attempts()
	}
	for w.take() {
		w.attempts()
	}
}

// attempts runs the attempt that was taken, and those that follow it.
func (w *worker) attempts() {
	for {
		w.attempt()
		if !w.deliver() {
			return
		}
	}
}

// take takes the next chain and its first attempt, parking until there is
// one. It returns false when the executor is closed and nothing is queued.
func (w *worker) take() bool {
	e := w.e
	c := w.fresh() // before the lock: it may have to help the collector
	w.spare = nil
	e.mu.Lock()
	w.mu.Lock()
	w.returnSlotLocked()
	w.endedLocked()
	for e.mu.queue.len() == 0 {
		w.coming.Store(false)
		if e.mu.closed {
			w.mu.Unlock()
			e.mu.live--
			if e.mu.live == 0 {
				close(e.mu.ended)
			}
			e.mu.Unlock()
			return false
		}
		e.mu.idle = append(e.mu.idle, w)
		now := e.cfg.Now()
		w.mu.stepping += now - w.mu.since
		w.mu.since, w.mu.parked = now, true
		w.mu.Unlock()
		e.mu.Unlock()
		<-w.wake
		e.mu.Lock()
		w.mu.Lock()
		w.mu.since, w.mu.parked = e.cfg.Now(), false
		w.cpu.known = false
	}
	if cap(w.mu.chain.bytes) > keepBuffer {
		w.mu.chain.bytes = nil
	}
	e.mu.queue.pop(&w.mu.chain)
	w.mu.next = 0
	w.coming.Store(false)
	w.beginLocked(c)
	if w.chained = len(w.mu.chain.launches) > 1; w.chained {
		w.mu.reports.add(w.running(c), w.mu.since)
	}
	w.mu.Unlock()
	e.mu.Unlock()
	return true
}

// beginLocked makes the next launch of the chain the current attempt.
func (w *worker) beginLocked(c *Context) {
	l := &w.mu.chain.launches[w.mu.next]
	w.mu.next++
	c.begin(*l)
	w.mu.current, w.desc = c, l.desc
}

// endedLocked accounts for the attempt that has ended, if there is one. It is
// done with the taking of the next one, so that the two take one lock.
func (w *worker) endedLocked() {
	if w.mu.current == nil {
		return
	}
	start, end := w.start.Load(), w.end.Load()
	w.mu.stepping += start - w.mu.since
	w.mu.busy += end - start
	w.mu.since = end
	w.start.Store(notBegun)
	w.end.Store(notBegun)
	w.mu.current = nil
}

// deliver hands the terminal status to the driver, stepping it; from here on
// the worker counts as coming back. If another attempt follows on the slot it
// may only keep the status, and has that attempt taken: true.
func (w *worker) deliver() (more bool) {
	w.end.Store(w.status.Stamps.End)
	if w.chained {
		more = w.handOn()
	} else {
		w.coming.Store(true)
		w.e.deps.Driver.StatusUpdate(w.msg)
	}
	if cap(w.msg) > keepBuffer {
		w.msg = nil
	}
	return more
}

// runs returns the attempt that runs now, or nil.
func (w *worker) runs() *Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.coming.Load() {
		return nil
	}
	return w.mu.current
}

// keepBuffer bounds what a worker holds between attempts: above it, making
// the buffer anew costs little beside filling it.
const keepBuffer = 256 << 10

// timeLocked returns the worker's time up to now.
func (w *worker) timeLocked(now int64) event.WorkerTime {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := event.WorkerTime{At: now, Executor: w.e.cfg.ID, Worker: w.n, Busy: w.mu.busy, Stepping: w.mu.stepping, Since: w.began}
	start := w.start.Load() // before end
	end := w.end.Load()
	switch {
	case w.mu.parked:
	case start != notBegun && end != notBegun:
		t.Stepping += start - w.mu.since + max(0, now-end)
		t.Busy += end - start
	case start != notBegun:
		t.Stepping += start - w.mu.since
		t.Busy += max(0, now-start)
	default:
		t.Stepping += max(0, now-w.mu.since)
	}
	return t
}

// Goroutine names the calling goroutine as its stack does: "goroutine 17 ".
// It costs about a microsecond.
func Goroutine() string {
	var buf [64]byte
	s := buf[:runtime.Stack(buf[:], false)]
	if i := bytes.IndexByte(s, '['); i > 0 {
		s = s[:i]
	}
	return string(s)
}

// stack returns the stack of the worker's goroutine.
func (w *worker) stack() string {
	w.e.mu.Lock()
	header := w.goid
	w.e.mu.Unlock()
	buf := make([]byte, 64<<10)
	n := runtime.Stack(buf, true)
	for n == len(buf) && len(buf) < 16<<20 {
		buf = make([]byte, 2*len(buf))
		n = runtime.Stack(buf, true)
	}
	for s := range bytes.SplitSeq(buf[:n], []byte("\n\n")) {
		if strings.HasPrefix(string(s), header) {
			return string(s)
		}
	}
	return "not found"
}
