package scheduler

import (
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
		if total != 100*producers+1 || m.mu.stepping || m.mu.queue.count != 0 {
			t.Errorf("%d producers: %d events, stepping %v, %d left", producers, total, m.mu.stepping, m.mu.queue.count)
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
