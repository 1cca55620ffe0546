package executor

import (
	"slices"
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// launch is an attempt that waits for a worker.
type launch struct {
	task id.Task
	desc []byte       // encoded description; a view into its chain's bytes
	kill *KilledError // killed before it began
}

// chain is attempts that one worker is to run one after another; mostly it is
// one attempt.
type chain struct {
	launches []launch
	bytes    []byte // of their descriptions
}

func (c *chain) reset() {
	clear(c.launches)
	c.launches, c.bytes = c.launches[:0], c.bytes[:0]
}

// add appends an attempt with a copy of its description. Room for all of the
// chain's descriptions was made before.
func (c *chain) add(t id.Task, desc []byte, kill *KilledError) {
	at := len(c.bytes)
	c.bytes = append(c.bytes, desc...)
	c.launches = append(c.launches, launch{t, c.bytes[at:len(c.bytes):len(c.bytes)], kill})
}

// kill marks an attempt among those from a place on as killed before it
// begins; false: it is not there.
func (c *chain) kill(from int, t id.Task, kill *KilledError) bool {
	for i := from; i < len(c.launches); i++ {
		if c.launches[i].task == t {
			c.launches[i].markKilled(kill)
			return true
		}
	}
	return false
}

// killFrom marks all attempts from a place on.
func (c *chain) killFrom(from int, kill *KilledError) {
	for i := from; i < len(c.launches); i++ {
		c.launches[i].markKilled(kill)
	}
}

// markKilled marks an attempt as killed; the first kill counts.
func (l *launch) markKilled(kill *KilledError) {
	if l.kill == nil {
		l.kill = kill
	}
}

// queue is a ring of chains in the order they came. The buffers of taken
// chains stay in their places and are used again.
type queue struct {
	ring []chain // length is a power of two, or 0
	head int
	n    int
}

func (q *queue) len() int { return q.n }

// at returns the i-th chain from the front.
func (q *queue) at(i int) *chain { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

// push returns an empty chain at the end of the queue, with room for so many
// bytes.
func (q *queue) push(bytes int) *chain {
	if q.n == len(q.ring) {
		grown := make([]chain, max(8, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	c := &q.ring[(q.head+q.n)&(len(q.ring)-1)]
	c.reset()
	c.bytes = slices.Grow(c.bytes, bytes)
	q.n++
	return c
}

// pop takes the chain at the front, in exchange for one whose buffers are to
// be used again.
func (q *queue) pop(c *chain) {
	front := q.at(0)
	*front, *c = *c, *front
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
}

// killMark remembers a kill that came before its launch.
type killMark struct {
	task id.Task
	kill *KilledError
	at   int64
}

// markLife is how long a kill waits for its launch, as in Spark.
const markLife = int64(10 * time.Second)

// takeMarkLocked returns and removes the kill that waits for t.
func (e *Executor) takeMarkLocked(t id.Task) *KilledError {
	for i, m := range e.mu.marks {
		if m.task == t {
			e.mu.marks = append(e.mu.marks[:i], e.mu.marks[i+1:]...)
			return m.kill
		}
	}
	return nil
}

// expireMarksLocked drops the kills whose launch never came.
func (e *Executor) expireMarksLocked(now int64) {
	live := e.mu.marks[:0]
	for _, m := range e.mu.marks {
		if now-m.at < markLife {
			live = append(live, m)
		}
	}
	clear(e.mu.marks[len(live):])
	e.mu.marks = live
}

// Launch queues attempt t, described by desc (an encoded task.Description),
// which it copies. It never blocks. A worker that is about to finish is left
// to take the attempt itself; a parked one is woken, at the cost of a thread
// switch, only when more attempts are queued than such workers exist. A
// launch on a closed executor is answered by a FAILED status.
func (e *Executor) Launch(t id.Task, desc []byte) {
	e.launch(task.Launch{Task: t, Desc: desc}, nil)
}

// LaunchChain is Launch for several attempts that one worker is to run one
// after another. What the first ones report it hands in with what the last
// one does, or sooner if they take long. What has not begun can be called back
// (Recall).
func (e *Executor) LaunchChain(chain []task.Launch) { e.launch(chain[0], chain[1:]) }

func (e *Executor) launch(first task.Launch, then []task.Launch) {
	e.mu.Lock()
	if e.mu.closed {
		e.mu.Unlock()
		e.refuse(first.Task, ErrClosed)
		for _, l := range then {
			e.refuse(l.Task, ErrClosed)
		}
		return
	}
	if len(e.mu.marks) > 0 {
		e.expireMarksLocked(e.cfg.Now())
	}
	bytes := len(first.Desc)
	for _, l := range then {
		bytes += len(l.Desc)
	}
	c := e.mu.queue.push(bytes)
	c.add(first.Task, first.Desc, e.takeMarkLocked(first.Task))
	for _, l := range then {
		c.add(l.Task, l.Desc, e.takeMarkLocked(l.Task))
	}
	var woken *worker
	if n := len(e.mu.idle); n > 0 && e.mu.queue.len() > e.comingLocked() {
		woken = e.mu.idle[n-1]
		e.mu.idle = e.mu.idle[:n-1]
		woken.coming.Store(true)
	}
	e.mu.Unlock()
	if woken != nil {
		woken.wake <- struct{}{}
	}
}

// comingLocked returns how many workers will look into the queue without being
// woken. It is asked for while others are parked only: when all work, their
// cache lines are left alone.
func (e *Executor) comingLocked() int {
	n := 0
	for _, w := range e.mu.workers {
		if w.coming.Load() {
			n++
		}
	}
	return n
}

// refuse reports an attempt that cannot start as failed.
func (e *Executor) refuse(t id.Task, cause error) {
	_, failure := classify(cause, nil, nil, false)
	now := e.cfg.Now()
	status := task.Status{
		Task: t, Executor: e.cfg.ID, State: task.Failed, Worker: -1,
		Stamps: task.Stamps{Start: now, RunStart: now, RunEnd: now, EncodeEnd: now, End: now},
		Result: task.AppendFailure(nil, &failure),
	}
	e.deps.Driver.StatusUpdate(task.AppendStatus(nil, &status))
}

// Kill asks attempt t to end with reason; the first kill of an attempt
// counts. Kills are cooperative: Check reports them, and the attempt's
// context and waits for memory end. There is nothing harsher to do to a
// goroutine, so interrupt is only carried along for the body to see. An
// attempt that is not known yet is killed when it is launched, within 10 s.
func (e *Executor) Kill(t id.Task, interrupt bool, reason string) {
	kill := &KilledError{Reason: reason, Interrupt: interrupt}
	now := e.cfg.Now()
	e.mu.Lock()
	for _, w := range e.mu.workers {
		if c, found := w.find(t, kill); found {
			e.mu.Unlock()
			if c != nil {
				c.kill(kill, now)
			}
			return
		}
	}
	for i := range e.mu.queue.len() {
		if e.mu.queue.at(i).kill(0, t, kill) {
			e.mu.Unlock()
			return
		}
	}
	e.expireMarksLocked(now)
	e.mu.marks = append(e.mu.marks, killMark{t, kill, now})
	e.mu.Unlock()
}
