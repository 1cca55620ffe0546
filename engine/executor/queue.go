package executor

import (
	"time"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// launch is an attempt that waits for a worker.
type launch struct {
	task id.Task
	desc []byte       // encoded description
	kill *KilledError // killed before it began
}

// queue is a ring of launches in the order they came. The buffers of taken
// launches stay in their places and are used again.
type queue struct {
	ring []launch // length is a power of two, or 0
	head int
	n    int
}

func (q *queue) len() int { return q.n }

// at returns the i-th launch from the front.
func (q *queue) at(i int) *launch { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) push(t id.Task, desc []byte, kill *KilledError) {
	if q.n == len(q.ring) {
		grown := make([]launch, max(8, 2*len(q.ring)))
		for i := range q.n {
			grown[i] = *q.at(i)
		}
		q.ring, q.head = grown, 0
	}
	l := &q.ring[(q.head+q.n)&(len(q.ring)-1)]
	l.task, l.desc, l.kill = t, append(l.desc[:0], desc...), kill
	q.n++
}

// pop returns the launch at the front, whose buffer is exchanged for spare.
func (q *queue) pop(spare []byte) launch {
	l := q.at(0)
	taken := *l
	*l = launch{desc: spare}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	return taken
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
	e.mu.Lock()
	if e.mu.closed {
		e.mu.Unlock()
		e.refuse(t, ErrClosed)
		return
	}
	var kill *KilledError
	if len(e.mu.marks) > 0 {
		e.expireMarksLocked(e.cfg.Now())
		kill = e.takeMarkLocked(t)
	}
	e.mu.queue.push(t, desc, kill)
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
		if c := w.current; c != nil && c.launched == t {
			e.mu.Unlock()
			c.kill(kill, now)
			return
		}
	}
	for i := range e.mu.queue.len() {
		if q := e.mu.queue.at(i); q.task == t {
			if q.kill == nil {
				q.kill = kill
			}
			e.mu.Unlock()
			return
		}
	}
	e.expireMarksLocked(now)
	e.mu.marks = append(e.mu.marks, killMark{t, kill, now})
	e.mu.Unlock()
}
