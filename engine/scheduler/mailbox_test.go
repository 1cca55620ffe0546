package scheduler

import (
	"slices"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine/id"
)

func TestDAG_036_MailboxKeepsOrderAndLosesNothing(t *testing.T) {
	for _, producers := range []int{1, 5} {
		var m mailbox
		inside := 0
		last := map[int]int{}
		total := 0
		m.step = func(it item) { // one at a time: nothing here is guarded
			if inside++; inside != 1 {
				t.Error("two step at once")
			}
			e := it.event.(*FetchBegun)
			p, n := int(e.Task)/1000, int(e.Task)%1000
			if n != last[p]+1 {
				t.Errorf("producer %d: event %d after %d", p, n, last[p])
			}
			last[p] = n
			total++
			if p == 0 && n == 50 { // from inside a step: taken after it
				m.post(item{event: &FetchBegun{Task: 99_001}})
				if last[99] != 0 {
					t.Error("a step began inside another")
				}
			}
			inside--
		}
		var wg sync.WaitGroup
		for p := range producers {
			wg.Go(func() {
				for n := range 100 {
					m.post(item{event: &FetchBegun{Task: id.Task(p*1000 + n + 1)}})
				}
			})
		}
		wg.Wait()
		if total != 100*producers+1 || m.stepping.Load() || m.mu.queue.count != 0 {
			t.Errorf("%d producers: %d events, stepping %v, %d left", producers, total, m.stepping.Load(), m.mu.queue.count)
		}
	}
}

func TestRingUsesItsRoomAgain(t *testing.T) {
	var r ring[int]
	next := 0
	for i := range 1000 {
		r.push(2 * i)
		r.push(2*i + 1)
		for range 2 {
			if i%7 == 0 && r.count < 10 {
				break
			}
			if x, ok := r.pop(); !ok || x != next {
				t.Fatalf("got %d, %v, want %d", x, ok, next)
			}
			next++
		}
	}
	if len(r.items) > 16 {
		t.Errorf("room for %d", len(r.items))
	}
	for r.count > 0 {
		r.pop()
	}
	if _, ok := r.pop(); ok {
		t.Error("an empty ring gave something")
	}
}

func TestArenaSlicesDoNotOverlap(t *testing.T) {
	var a arena
	var kept [][]byte
	for i := range 3000 {
		b := make([]byte, i%40)
		for j := range b {
			b[j] = byte(i)
		}
		kept = append(kept, a.keep(b))
		clear(b)
	}
	kept = append(kept, a.keep(make([]byte, arenaChunk)))
	for i, b := range kept[:3000] {
		_ = append(b, 0xFF) // a full slice: must not reach its neighbour
		for _, x := range b {
			if x != byte(i) {
				t.Fatalf("slice %d holds %d", i, x)
			}
		}
	}
}

// What is left is handled before what comes next, by whoever brings that.
func TestMailboxLeavesForTheNextStep(t *testing.T) {
	var m mailbox
	var got []id.Task
	m.step = func(it item) { got = append(got, it.event.(*FetchBegun).Task) }
	m.leave(item{event: &FetchBegun{Task: 1}})
	if len(got) != 0 {
		t.Fatalf("%v stepped at once", got)
	}
	if !m.bring(item{event: &FetchBegun{Task: 2}}) {
		t.Error("what was stepped at once is said to wait")
	}
	if !slices.Equal(got, []id.Task{1, 2}) {
		t.Fatalf("stepped %v", got)
	}
}

// A worker that finds somebody stepping for long does not wait for the end.
func TestMailboxBringsWithoutBlocking(t *testing.T) {
	var m mailbox
	inside, release := make(chan struct{}), make(chan struct{})
	var got []id.Task
	m.step = func(it item) {
		n := it.event.(*FetchBegun).Task
		if got = append(got, n); n == 1 {
			close(inside)
			<-release
		}
	}
	var stepper sync.WaitGroup
	stepper.Go(func() { m.post(item{event: &FetchBegun{Task: 1}}) })
	<-inside
	if m.bring(item{event: &FetchBegun{Task: 2}}) { // returns, or the test does not end
		t.Error("what waits is said to be taken")
	}
	close(release)
	stepper.Wait()
	if !slices.Equal(got, []id.Task{1, 2}) || m.stepping.Load() {
		t.Fatalf("stepped %v, stepping %v", got, m.stepping.Load())
	}
}

// However many bring at once, one steps at a time and nothing is lost.
func TestMailboxBringersTakeTurns(t *testing.T) {
	var m mailbox
	inside, total := 0, 0
	m.step = func(item) {
		if inside++; inside != 1 {
			t.Error("two step at once")
		}
		total++
		inside--
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				m.leave(item{event: &FetchBegun{}})
				m.bring(item{event: &FetchBegun{}})
			}
		})
	}
	wg.Wait()
	if total != 4000 || m.mu.queue.count != 0 {
		t.Errorf("%d events, %d left", total, m.mu.queue.count)
	}
}

// The goroutine of a job is woken by the first result and by enough bytes,
// and else looks by itself.
func TestWaiterIsWokenSeldom(t *testing.T) {
	w := newWaiter(100)
	woken := func() bool {
		select {
		case <-w.wake:
			return true
		default:
			return false
		}
	}
	put := func(bytes int) bool {
		w.put(delivery{value: make([]byte, bytes)})
		return woken()
	}
	for round := range 2 {
		if !put(10) {
			t.Error("the first result wakes nobody")
		}
		for i := range 8 {
			if put(10) {
				t.Errorf("result %d wakes", i+1)
			}
		}
		if !put(10) || put(10) || put(500) {
			t.Error("100 bytes are to wake, once")
		}
		if batch, _, _ := w.take(nil); len(batch) != 12 {
			t.Errorf("round %d: %d results", round, len(batch))
		}
		if put(99) || !put(1) {
			t.Error("while it looks, 100 more bytes are to wake")
		}
		if batch, _, _ := w.take(nil); len(batch) != 2 {
			t.Errorf("round %d: %d results", round, len(batch))
		}
		w.take(nil) // nothing there: the next result wakes
	}
}
