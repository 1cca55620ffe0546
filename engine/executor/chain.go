package executor

import (
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// row is a worker's part of a chain: what it is to run, and what the attempts
// that it has run reported and nobody has delivered. Guarded by worker.mu.
type row struct {
	chain   chain
	next    int // the first of chain's launches that has not begun
	reports reports
}

// reports are messages: for each attempt RUNNING, then its last one.
type reports struct {
	bytes []byte
	ends  []int // [messages] where each ends in bytes
	since int64 // when the first one came, about
}

func (r *reports) add(msg []byte, start int64) {
	if len(r.ends) == 0 {
		r.since = start
	}
	r.bytes = append(r.bytes, msg...)
	r.ends = append(r.ends, len(r.bytes))
}

func (r *reports) reset() {
	r.bytes, r.ends = r.bytes[:0], r.ends[:0]
	if cap(r.bytes) > keepBuffer {
		r.bytes = nil
	}
}

// views appends the messages to dst.
func (r *reports) views(dst [][]byte) [][]byte {
	from := 0
	for _, to := range r.ends {
		dst = append(dst, r.bytes[from:to])
		from = to
	}
	return dst
}

const (
	// holdTime is how long reports are held back for others to join them.
	holdTime = 400_000 // ns
	// holdBytes bounds one report that is held back.
	holdBytes = 8 << 10
	// spareContexts are made at once, in some 8 KiB: who holds one holds all,
	// a parked worker too. What is large goes at an attempt's end (endEncode).
	spareContexts = 8
)

// handOn ends an attempt of a chain. It takes the attempt that follows, if
// one does, and holds back the report of the one that ended, with word that
// the next one runs; or it delivers all that was held back. The slot is handed
// on at the stamp End, which is the next attempt's launch.
func (w *worker) handOn() (more bool) {
	c, end := w.fresh(), w.status.Stamps.End
	w.mu.Lock()
	w.returnSlot()
	held := &w.mu.reports
	held.add(w.msg, w.status.Stamps.Start)
	// What is held back Recall may take, and the driver then has it at once: it
	// must not come before what the driver has yet to take.
	hold := !w.behind && w.status.State == task.Finished && len(w.msg) <= holdBytes && end-held.since <= holdTime
	if more = w.mu.next < len(w.mu.chain.launches); more {
		w.endedLocked()
		w.beginLocked(c)
		w.spare = nil
		held.add(w.running(c), end)
	} else {
		hold = false
		w.coming.Store(true)
	}
	if hold {
		w.mu.Unlock()
		return more
	}
	w.handing, *held = *held, w.handing
	w.mu.Unlock()

	w.views = w.handing.views(w.views[:0])
	w.behind = !w.e.deps.Driver.StatusUpdates(w.views)
	w.handing.reset()
	return more
}

// fresh returns the Context of the worker's next attempt. A Context is not used
// twice, since its attempt's user may hold on to it; they are made several at a
// time, for an allocator that is asked less often.
func (w *worker) fresh() *Context {
	if w.spare == nil {
		if len(w.spares) == 0 {
			w.spares = make([]Context, spareContexts)
		}
		w.spare, w.spares = &w.spares[0], w.spares[1:]
		w.spare.e, w.spare.Worker = w.e, w.n
	}
	return w.spare
}

// returnSlot gives back the slot of an attempt that the reaper gave up, and
// that has ended after all. Of the two locks the worker holds its own.
func (w *worker) returnSlot() {
	c := w.mu.current
	if c == nil || !c.lost {
		return
	}
	w.mu.Unlock()
	w.e.mu.Lock()
	w.mu.Lock()
	w.returnSlotLocked()
	w.e.mu.Unlock()
}

func (w *worker) returnSlotLocked() {
	if c := w.mu.current; c != nil && c.lost {
		c.lost = false
		w.e.mu.lost--
	}
}

// find looks for an attempt that the worker runs, which it returns, or is to
// run, which it marks as killed.
func (w *worker) find(t id.Task, kill *KilledError) (running *Context, found bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.mu.current; c != nil && c.launched == t {
		return c, true
	}
	return nil, w.mu.chain.kill(w.mu.next, t, kill)
}

// Recall takes back the attempts that follow others and have not begun, in
// their order. messages are the reports that were held back; they are the
// caller's. It never blocks.
func (e *Executor) Recall() (messages [][]byte, tasks []id.Task) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.mu.workers {
		w.mu.Lock()
		r := &w.mu.row
		messages = r.reports.views(messages)
		r.reports = reports{}
		tasks = r.chain.cut(r.next, tasks)
		w.mu.Unlock()
	}
	for i := range e.mu.queue.len() {
		tasks = e.mu.queue.at(i).cut(1, tasks)
	}
	return messages, tasks
}

// cut leaves n launches of a chain and appends the others' tasks to dst.
func (c *chain) cut(n int, dst []id.Task) []id.Task {
	for _, l := range c.launches[min(n, len(c.launches)):] {
		dst = append(dst, l.task)
	}
	c.launches = c.launches[:min(n, len(c.launches))]
	return dst
}
