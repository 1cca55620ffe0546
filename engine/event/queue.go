package event

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Queue is a Sink that hands events to listeners through a goroutine of its
// own (Spark's listener queue), so that a slow listener holds nobody up: it
// is bounded, and what comes while it is full is dropped and counted. What
// must be complete (the event file, reports) is a Sink itself.
//
// A listener gets copies, which it may keep. All methods may be called from
// several goroutines; only Stop waits.
type Queue struct {
	name      string
	capacity  int
	listeners []Sink
	done      chan struct{} // closed when the dispatcher has gone

	mu struct {
		sync.Mutex
		more    sync.Cond
		events  []Event
		coded   []byte // of the event that is copied
		dropped int64
		state   queueState
	}
}

type queueState uint8

const (
	queueNew queueState = iota
	queueStarted
	queueStopped
)

// NewQueue returns a queue that holds up to capacity events, at least one.
// Events are kept, as far as they fit, and delivered once Start was called.
func NewQueue(name string, capacity int, listeners ...Sink) *Queue {
	q := &Queue{name: name, capacity: max(1, capacity), listeners: listeners, done: make(chan struct{})}
	q.mu.more.L = &q.mu
	return q
}

// Name returns what the queue is called.
func (q *Queue) Name() string { return q.name }

// Capacity returns how many events it holds at most, beside the one that a
// listener has.
func (q *Queue) Capacity() int { return q.capacity }

// Dropped returns how many events came while it was full.
func (q *Queue) Dropped() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.mu.dropped
}

// Start begins delivery, with a goroutine that Stop joins. Starting twice is
// an error.
func (q *Queue) Start() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mu.state != queueNew {
		return fmt.Errorf("cannot start event queue %s twice", q.name)
	}
	q.mu.state = queueStarted
	go q.dispatch()
	return nil
}

// Emit implements Sink. It never waits for a listener; after Stop it does
// nothing.
func (q *Queue) Emit(e Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.mu.state == queueStopped:
	case len(q.mu.events) >= q.capacity:
		q.mu.dropped++
	default:
		if c := q.copyLocked(e); c != nil {
			q.mu.events = append(q.mu.events, c)
			q.mu.more.Signal()
		}
	}
}

// copyLocked takes an event to bytes and back, as a file does, since the
// caller uses the event again. An event of another package has no such form.
func (q *Queue) copyLocked(e Event) Event {
	f, ok := e.(form)
	if !ok {
		return nil
	}
	w := codec{buf: q.mu.coded[:0]}
	f.fields(&w)
	q.mu.coded = w.buf
	c := (&decoder{}).blank(f.kind())
	c.fields(&codec{buf: w.buf, reading: true})
	return c
}

// dispatch is the queue's goroutine.
func (q *Queue) dispatch() {
	defer close(q.done)
	for {
		q.mu.Lock()
		for len(q.mu.events) == 0 && q.mu.state == queueStarted {
			q.mu.more.Wait()
		}
		if len(q.mu.events) == 0 {
			q.mu.Unlock()
			return
		}
		e := q.mu.events[0]
		q.mu.events[0] = nil
		q.mu.events = q.mu.events[1:]
		q.mu.Unlock()
		for _, l := range q.listeners {
			l.Emit(e)
		}
	}
}

// ErrNotDrained: a queue was stopped, and its listener still had events when
// the time to wait was over.
var ErrNotDrained = errors.New("a listener has not taken all its events")

// Stop refuses further events, waits until those in the queue are delivered,
// and joins the goroutine. With a timeout above 0 it waits no longer than
// that; the rest is delivered while the listener goes on, and the error is an
// ErrNotDrained. Stopping before starting is an error; stopping again waits
// again.
func (q *Queue) Stop(timeout time.Duration) error {
	q.mu.Lock()
	if q.mu.state == queueNew {
		q.mu.Unlock()
		return fmt.Errorf("cannot stop event queue %s, which was not started", q.name)
	}
	q.mu.state = queueStopped
	q.mu.more.Signal()
	q.mu.Unlock()
	if timeout <= 0 {
		<-q.done
		return nil
	}
	late := time.NewTimer(timeout)
	defer late.Stop()
	select {
	case <-q.done:
		return nil
	case <-late.C:
		return fmt.Errorf("event queue %s, %v after it was stopped: %w", q.name, timeout, ErrNotDrained)
	}
}
