package scheduler

import (
	"sync"
	"sync/atomic"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// mailbox makes one decider at a time out of many goroutines: whoever brings
// an event puts it in, and the one that finds nobody stepping steps through
// all that is there, also what comes meanwhile, from inside a step too. Events
// keep the order in which they came, and no goroutine waits for another, but
// for a worker that has nothing else to do (bring).
type mailbox struct {
	step func(item) // handles one event and carries out its commands

	stepping atomic.Bool // changed under mu; read without by those who wait
	batch    []item      // in hand; of whoever is stepping

	mu struct { // a leaf: nothing is called while it is held
		sync.Mutex
		queue  ring[item]
		closed bool
		jobs   id.Job
		tokens Token
	}
}

// item is an event with what its carrying out needs.
type item struct {
	event  Event
	waiter *waiter     // of a submitted job
	token  Token       // of a question
	reply  chan Answer // of a question; has room for the one answer
	last   bool        // jobs that come after this event are refused
}

// post hands in an event, and steps if nobody does.
func (m *mailbox) post(it item) {
	m.mu.Lock()
	m.postLocked(it)
}

// leave hands in an event that decides nothing, for the next step to take
// with it. It is handled before whatever is handed in after it.
func (m *mailbox) leave(it item) {
	m.mu.Lock()
	m.mu.queue.push(it)
	m.mu.Unlock()
}

// patience is how often a worker looks whether it may step: 60 to 120 µs. A
// step takes about one, or that many for each of a chain's attempts; parking
// the worker and waking it again would take 10 to 20, and whoever steps then
// has its attempts to run, too.
const patience = 60_000

// bring is post for a worker whose attempt has ended. If somebody steps it
// waits a moment, to step itself and take its next attempt along: leaving the
// event to the other would have it find nothing to do and park, and the other
// do the work of both while it sleeps. taken tells that it was not left to
// another after all. It must not be called from inside a step.
func (m *mailbox) bring(it item) (taken bool) {
	for looks := 0; ; {
		for looks < patience && m.stepping.Load() {
			looks++
		}
		m.mu.Lock()
		if looks >= patience || !m.stepping.Load() {
			return m.postLocked(it)
		}
		m.mu.Unlock()
	}
}

// batchMax bounds what is taken out of the mailbox at once: an attempt's first
// and last message, and those of a few others that came meanwhile.
const batchMax = 16

// postLocked puts an event in, releases the lock, and steps if nobody does:
// then the event has been taken.
func (m *mailbox) postLocked(it item) (taken bool) {
	m.mu.queue.push(it)
	if m.stepping.Load() {
		m.mu.Unlock()
		return false
	}
	m.stepping.Store(true)
	for m.mu.queue.count > 0 {
		for len(m.batch) < batchMax && m.mu.queue.count > 0 {
			it, _ := m.mu.queue.pop()
			m.batch = append(m.batch, it)
		}
		m.mu.Unlock()
		for i, it := range m.batch {
			m.batch[i] = item{}
			m.step(it)
			switch e := it.event.(type) {
			case *statusEvent:
				statusEvents.Put(e)
			case *statusBatch:
				e.count = 0
				statusBatches.Put(e)
			}
		}
		m.batch = m.batch[:0]
		m.mu.Lock()
	}
	m.stepping.Store(false)
	m.mu.Unlock()
	return true
}

// ring is a queue that uses its room again, so that one which is never quite
// empty does not grow.
type ring[T any] struct {
	items []T // length a power of two
	head  int
	count int
}

func (r *ring[T]) push(x T) {
	if r.count == len(r.items) {
		bigger := make([]T, max(16, 2*len(r.items)))
		for i := range r.count {
			bigger[i] = r.items[(r.head+i)&(len(r.items)-1)]
		}
		r.items, r.head = bigger, 0
	}
	r.items[(r.head+r.count)&(len(r.items)-1)] = x
	r.count++
}

func (r *ring[T]) pop() (x T, ok bool) {
	if r.count == 0 {
		return x, false
	}
	var zero T
	x, r.items[r.head] = r.items[r.head], zero
	r.head = (r.head + 1) & (len(r.items) - 1)
	r.count--
	return x, true
}

// statusEvent is a status message on its way to the core. It is used again.
type statusEvent struct {
	TaskStatus
	kept arena
}

// statusEvents holds the status events that are not on their way. The pool
// keeps them by processor, so a worker fills memory that is in its own cache.
var statusEvents = sync.Pool{New: func() any { return new(statusEvent) }}

// statusBatch is several status messages of one worker on their way to the
// core.
type statusBatch struct {
	events []TaskStatus // used again
	count  int          // of those that are on their way
	kept   arena
}

func (*statusBatch) isEvent() {}

func (b *statusBatch) next() *TaskStatus {
	if b.count == len(b.events) {
		b.events = append(b.events, TaskStatus{})
	}
	b.count++
	return &b.events[b.count-1]
}

var statusBatches = sync.Pool{New: func() any { return new(statusBatch) }}

// job numbers a new job.
func (m *mailbox) job() id.Job {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.jobs++
	return m.mu.jobs - 1
}

// token numbers a question.
func (m *mailbox) token() Token {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mu.tokens++
	return m.mu.tokens
}

// close reports whether it was called for the first time.
func (m *mailbox) close() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.mu.closed
	m.mu.closed = true
	return !was
}

// arena copies small byte slices into shared chunks, so that a result of a
// few bytes costs no allocation of its own. A chunk lives as long as any
// slice of it.
type arena struct{ chunk []byte }

// arenaChunk holds the results of a hundred small tasks; longer ones than an
// eighth of it get memory of their own, so that little is held for nothing.
const arenaChunk = 16 << 10

func (a *arena) keep(b []byte) []byte {
	if len(b) > arenaChunk/8 {
		return append([]byte(nil), b...)
	}
	if len(b) > cap(a.chunk)-len(a.chunk) {
		a.chunk = make([]byte, 0, arenaChunk)
	}
	start := len(a.chunk)
	a.chunk = append(a.chunk, b...)
	return a.chunk[start:len(a.chunk):len(a.chunk)]
}

// delivery is one result on its way to the goroutine that submitted the job.
type delivery struct {
	index  int32
	value  []byte
	totals []int64
}

// waiter is where results wait for that goroutine. Waking it costs as much as
// ten empty tasks, so while results stream it looks by itself every now and
// then, and is woken only by the first one, by enough bytes and by the end.
type waiter struct {
	wake   chan struct{} // has room for one
	enough int64         // bytes of values

	mu struct { // a leaf
		sync.Mutex
		batch   []delivery
		bytes   int64 // of the batch's values
		looking bool  // it will look again without being woken
		ended   bool
		err     error
	}
}

func newWaiter(enough int64) *waiter { return &waiter{wake: make(chan struct{}, 1), enough: enough} }

func (w *waiter) put(d delivery) {
	w.mu.Lock()
	w.mu.batch = append(w.mu.batch, d)
	before := w.mu.bytes
	w.mu.bytes += int64(len(d.value))
	wake := !w.mu.looking || before < w.enough && w.mu.bytes >= w.enough
	w.mu.looking = true
	w.mu.Unlock()
	if wake {
		w.rouse()
	}
}

func (w *waiter) end(err error) {
	w.mu.Lock()
	w.mu.ended, w.mu.err = true, err
	w.mu.Unlock()
	w.rouse()
}

func (w *waiter) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns what has come, in exchange for a slice to collect in. With
// nothing there, the next result will wake.
func (w *waiter) take(empty []delivery) (batch []delivery, ended bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, w.mu.batch, w.mu.bytes = w.mu.batch, empty[:0], 0
	w.mu.looking = len(batch) > 0
	return batch, w.mu.ended, w.mu.err
}

// fetches is the unbounded queue of stored results to fetch: whoever steps
// never waits for a getter.
type fetches struct {
	wg sync.WaitGroup // the getters and the timer

	mu struct { // a leaf
		sync.Mutex
		queue  ring[FetchResult]
		closed bool
	}
	more chan struct{} // has room for one: the queue is not empty, or closed
}

// put adds a fetch; false: the getters are gone.
func (f *fetches) put(x FetchResult) bool {
	f.mu.Lock()
	closed := f.mu.closed
	if !closed {
		f.mu.queue.push(x)
	}
	f.mu.Unlock()
	f.signal()
	return !closed
}

func (f *fetches) signal() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// take waits for a fetch; false: closed, and nothing is left.
func (f *fetches) take() (FetchResult, bool) {
	for {
		f.mu.Lock()
		x, ok := f.mu.queue.pop()
		closed := f.mu.closed
		f.mu.Unlock()
		if ok {
			f.signal() // whoever waits next looks too
			return x, true
		}
		if closed {
			f.signal()
			return FetchResult{}, false
		}
		<-f.more
	}
}

func (f *fetches) close() {
	f.mu.Lock()
	f.mu.closed = true
	f.mu.Unlock()
	f.signal()
}

// decode fills e from a message, whose bytes it does not keep: a result's go
// to kept.
func (e *TaskStatus) decode(msg []byte, kept *arena) error {
	e.Failure = nil
	e.Result.Value, e.Result.Accums = nil, nil
	e.Bytes = int32(len(msg))
	s := &e.Status
	if err := task.DecodeStatus(msg, s); err != nil {
		return err
	}
	sent := s.Result
	s.Result = nil
	switch {
	case s.State == task.Finished && s.Route == task.RouteDirect:
		if err := task.DecodeResult(kept.keep(sent), &e.Result); err != nil {
			e.unreadable("result", err)
		}
	case s.State.Terminal() && s.State != task.Finished:
		f := new(task.Failure)
		if err := task.DecodeFailure(append([]byte(nil), sent...), f); err != nil {
			e.unreadable("failure", err)
			return nil
		}
		e.Failure = f
	}
	return nil
}

// unreadable turns a message whose contents are damaged into a failure.
func (e *TaskStatus) unreadable(what string, err error) {
	e.Status.State = task.Failed
	e.Failure = &task.Failure{Kind: task.UnknownReason, Message: "cannot read its " + what + ": " + err.Error()}
}
