package event

import (
	"errors"
	"testing"
	"time"
)

// stuckListener takes one event at a time when it is let.
type stuckListener struct {
	begun chan Event
	let   chan struct{}
}

func newStuck() *stuckListener {
	return &stuckListener{begun: make(chan Event, 100), let: make(chan struct{}, 100)}
}

func (l *stuckListener) Emit(e Event) { l.begun <- e; <-l.let }

// taken returns what was delivered so far.
func (l *stuckListener) taken() (list []Event) {
	for len(l.begun) > 0 {
		list = append(list, <-l.begun)
	}
	return list
}

func ended(job int) *JobEnd { return &JobEnd{At: 1, Job: 3, Error: string(rune('a' + job))} }

func mustStart(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestLSN_001_FullQueueDropsAndCounts(t *testing.T) {
	l := newStuck()
	q := NewQueue("shared", 1, l)
	mustStart(t, q)
	q.Emit(ended(0))
	first := <-l.begun // in process
	q.Emit(ended(1))   // queued
	q.Emit(ended(2))   // dropped; nothing of this waits for the listener
	if n := q.Dropped(); n != 1 {
		t.Errorf("%d events dropped, want 1", n)
	}
	close(l.let)
	if err := q.Stop(0); err != nil {
		t.Fatal(err)
	}
	sameEvents(t, append([]Event{first}, l.taken()...), []Event{ended(0), ended(1)})
}

func TestLSN_002_BeforeTheStartAndAfterTheStop(t *testing.T) {
	l := newStuck()
	close(l.let)
	q := NewQueue("shared", 10, l)
	if err := q.Stop(0); err == nil {
		t.Error("a queue that was not started was stopped")
	}
	var want []Event
	for i := range 5 {
		e := ended(i)
		q.Emit(e)
		*e = JobEnd{} // the caller uses it again
		want = append(want, ended(i))
	}
	if len(l.begun) != 0 {
		t.Error("delivered before the start")
	}
	mustStart(t, q)
	if err := q.Start(); err == nil {
		t.Error("started twice")
	}
	for range 2 {
		if err := q.Stop(0); err != nil {
			t.Error(err)
		}
	}
	q.Emit(ended(9))
	sameEvents(t, l.taken(), want)
	if q.Dropped() != 0 {
		t.Errorf("%d dropped", q.Dropped())
	}
	if err := q.Start(); err == nil {
		t.Error("started after its end")
	}
}

func TestLSN_003_StopWaitsForTheDrain(t *testing.T) {
	l := newStuck()
	q := NewQueue("shared", 10, l)
	mustStart(t, q)
	for i := range 3 {
		q.Emit(ended(i))
	}
	first := <-l.begun
	if err := q.Stop(time.Millisecond); !errors.Is(err, ErrNotDrained) {
		t.Fatalf("with a listener that is stuck: %v", err)
	}
	stopped := make(chan error)
	go func() { stopped <- q.Stop(0) }()
	l.let <- struct{}{} // one of three
	select {
	case err := <-stopped:
		t.Fatalf("stopped with events left: %v", err)
	case second := <-l.begun:
		close(l.let)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		sameEvents(t, append([]Event{first, second}, l.taken()...), []Event{ended(0), ended(1), ended(2)})
	}
}

// A copy is what was emitted, whatever its type.
func TestQueueCopiesEveryType(t *testing.T) {
	l := newStuck()
	close(l.let)
	l.begun = make(chan Event, len(everyType()))
	q := NewQueue("shared", len(everyType()), l)
	for _, e := range everyType() {
		q.Emit(e)
	}
	mustStart(t, q)
	if err := q.Stop(0); err != nil {
		t.Fatal(err)
	}
	sameEvents(t, l.taken(), everyType())
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue("shared", 1<<20)
	if err := q.Start(); err != nil {
		b.Fatal(err)
	}
	end := new(TaskEnd)
	emptyTask(1, new(TaskStart), end)
	b.ReportAllocs()
	for b.Loop() {
		q.Emit(end)
	}
	if err := q.Stop(0); err != nil {
		b.Fatal(err)
	}
}
