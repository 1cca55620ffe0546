package memory

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/execbench/execbench/engine/id"
)

// Random calls against a model of the accounts: after each, everybody's
// account is what the model says, they sum to the total, and the mapped bytes
// fit in.
func TestRandomCallsKeepTheAccounts(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newManager(4*mib, []float64{0, 0.5, 0.9}[r.IntN(3)])
		cached := cacheOf(t, m, 0)
		shuffle := m.Holder("shuffle", nil)
		var pages []*Page
		shuffle.evict = func(_ *Task, need int64) (freed int64) {
			for len(pages) > 0 && freed < need {
				p := pages[len(pages)-1]
				pages = pages[:len(pages)-1]
				freed += p.Size()
				shuffle.Free(p)
			}
			return freed
		}
		fixed, err := m.Reserve("tables", 0)
		if err != nil {
			t.Fatal(err)
		}
		task := m.NewTask(1) // one attempt: nobody to wait for
		s := spillerOf(task, "sorter")
		bulk := task.Consumer("bulk", nil)
		var own []*Page
		model := map[string]int64{} // what cannot be evicted or spilled
		for step := range 400 {
			n := 1 + r.Int64N(mib)
			switch r.IntN(9) {
			case 0:
				s.c.Acquire(n)
			case 1:
				model["bulk"] += bulk.Acquire(n)
			case 2:
				n = min(n, model["bulk"])
				bulk.Release(n)
				model["bulk"] -= n
			case 3:
				if p, err := bulk.Alloc(int(n)); err == nil {
					own = append(own, p)
				}
			case 4:
				if len(own) > 0 {
					bulk.Free(own[0])
					own = own[1:]
				}
			case 5:
				if len(own) > 0 {
					shuffle.Adopt(bulk, own[0])
					pages, own = append(pages, own[0]), own[1:]
				}
			case 6:
				_ = cached.h.AcquireEvicting(n, cached.evict) // refusals are fine
			case 7:
				if p, err := shuffle.Alloc(int(n)); err == nil {
					pages = append(pages, p)
				}
			case 8:
				if fixed.Resize(n/4) == nil {
					model["fixed"] = n / 4
				}
			}
			check(t, m)
			owned, shuffled := int64(0), int64(0)
			for _, p := range own {
				owned += p.Size()
			}
			for _, p := range pages {
				shuffled += p.Size()
			}
			if bulk.Used() != model["bulk"]+owned || shuffle.Used() != shuffled || fixed.Bytes() != model["fixed"] ||
				task.Held() != bulk.Used()+s.c.Used() {
				t.Fatalf("seed %d, step %d: bulk %d, shuffle %d, fixed %d, task %d; want %d, %d, %d, %d", seed, step,
					bulk.Used(), shuffle.Used(), fixed.Bytes(), task.Held(),
					model["bulk"]+owned, shuffled, model["fixed"], bulk.Used()+s.c.Used())
			}
			if m.Mapped() > m.Total() {
				t.Fatalf("seed %d, step %d: %d bytes mapped of %d", seed, step, m.Mapped(), m.Total())
			}
		}
		shuffle.evict(nil, 1<<62)
		cached.h.Release(cached.h.Used())
		fixed.Release()
		closeAll(t, m, task)
	}
}

// Many attempts at once, all of which spill: everyone ends, nothing is left,
// and nobody ever holds more than all there is.
func TestAttemptsAtOnceAllEnd(t *testing.T) {
	m := newManager(8*mib, 0.5)
	shuffle := &guarded{}
	shuffle.h = m.Holder("shuffle", whoever(shuffle.evict))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 2))
			for i := range 60 {
				task := m.NewTask(id.Task(w*1000 + i))
				var pages []*Page
				var c *Consumer
				c = task.Consumer("sorter", func(int64) (int64, error) {
					freed := int64(0)
					for _, p := range pages {
						freed += p.Size()
						c.Free(p)
					}
					pages = nil
					return freed, nil
				})
				for range 20 {
					p, err := c.Alloc(1 + r.IntN(int(mib)))
					if err != nil {
						t.Errorf("a consumer that can spill was refused: %v", err)
						break
					}
					pages = append(pages, p)
				}
				if len(pages) > 0 {
					shuffle.adopt(c, pages[0])
					pages = pages[1:]
				}
				task.Close()
			}
		})
	}
	wg.Wait()
	check(t, m)
	shuffle.evict(1 << 62)
	closeAll(t, m)
}

// guarded is a holder of pages for several goroutines.
type guarded struct {
	h     *Holder
	mu    sync.Mutex
	pages []*Page
}

func (g *guarded) adopt(c *Consumer, p *Page) {
	g.h.Adopt(c, p)
	g.mu.Lock()
	g.pages = append(g.pages, p)
	g.mu.Unlock()
}

func (g *guarded) evict(need int64) (freed int64) {
	for freed < need {
		g.mu.Lock()
		if len(g.pages) == 0 {
			g.mu.Unlock()
			break
		}
		p := g.pages[0]
		g.pages = g.pages[1:]
		g.mu.Unlock()
		freed += p.Size()
		g.h.Free(p)
	}
	return freed
}
