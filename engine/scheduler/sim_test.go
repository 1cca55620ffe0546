package scheduler

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

var seed = flag.Uint64("seed", 0, "run the simulation of this seed alone")

// TestSimulation drives the core with random lineages, jobs, orders of
// completion, failures, lost blocks and executors, and cancellations. The
// harness checks every invariant after each event; at the end every job has
// ended once and nothing is left.
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		simulate(t, *seed)
		return
	}
	// These two showed a set closed while its stage's sets were gone through,
	// and an aborted stage that stayed registered as running.
	seeds := []uint64{2536, 17026}
	for s := uint64(1); s <= 2000; s++ {
		seeds = append(seeds, s)
	}
	for _, s := range seeds {
		simulate(t, s)
		if t.Failed() {
			t.Fatalf("repeat with: go test ./engine/scheduler -run TestSimulation -seed %d", s)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := Config{MaxFailures: 1 + r.IntN(4), Seed: seed, MaxStageAttempts: 8}
	if r.IntN(2) == 0 {
		cfg.Mode = conf.FAIR
	}
	if r.IntN(2) == 0 {
		cfg.LocalityWait = conf.LocalityWait{Process: time.Second, Node: time.Second}
	}
	for i := range 1 + r.IntN(3) {
		cfg.Executors = append(cfg.Executors, ExecutorSpec{ID: id.Executor(fmt.Sprint("x", i)), Host: fmt.Sprint("h", i%2), Slots: 1 + r.IntN(3)})
	}
	h := newHarness(t, cfg)
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if t.Failed() {
			t.Logf("seed %d:\n%s", seed, strings.Join(h.out[max(0, len(h.out)-60):], "\n"))
		}
	}()

	// A random lineage, in which later nodes read earlier ones.
	nodes := []*plan.Node{h.node(1 + r.IntN(4))}
	var shuffles []*plan.ShuffleDep
	for range 3 + r.IntN(8) {
		parent := nodes[r.IntN(len(nodes))]
		var n *plan.Node
		switch r.IntN(4) {
		case 0:
			n = h.node(parent.Partitions, parent)
		case 1:
			n = h.node(1 + r.IntN(4))
			n.Preferred = func(p int) []task.Location { return []task.Location{{Host: fmt.Sprint("h", p%3)}} }
		default:
			parts := 1 + r.IntN(4)
			reads := []any{}
			for range 1 + r.IntN(2) {
				d := h.shuffle(nodes[r.IntN(len(nodes))], parts)
				if len(shuffles) > 0 && r.IntN(3) == 0 && shuffles[0].Reducers == parts {
					d = shuffles[0]
				}
				shuffles = append(shuffles, d)
				reads = append(reads, d)
			}
			n = h.node(parts, reads...)
			n.Barrier = r.IntN(12) == 0
		}
		if r.IntN(8) == 0 {
			n.Determinism = plan.Indeterminate
		}
		nodes = append(nodes, n)
	}

	jobs := id.Job(1 + r.IntN(4))
	submitted := id.Job(0)
	for step := 0; ; step++ {
		if step > 20000 {
			t.Errorf("it never ends")
			return
		}
		calm := step > 400 // from here on, nothing goes wrong, so all must end
		switch {
		case submitted < jobs && (r.IntN(10) == 0 || len(h.order) == 0):
			spec := JobSpec{Final: nodes[r.IntN(len(nodes))], Action: "sim", Properties: map[string]string{propPool: fmt.Sprint("p", r.IntN(2))}}
			if r.IntN(4) == 0 && len(shuffles) > 0 {
				spec.Shuffle = shuffles[r.IntN(len(shuffles))]
				spec.Final = spec.Shuffle.Parent
			}
			h.submitSpec(submitted, spec)
			submitted++
			continue
		case len(h.order) == 0 && len(h.fetches) == 0:
			if submitted == jobs && len(h.ends) == int(jobs) {
				h.empty()
				return
			}
			if !h.core.anyExecutor() || (calm && step%7 == 0) {
				h.do(&ExecutorAdded{ExecutorSpec{ID: "rescue", Host: "h0", Slots: 4}})
			}
			h.after(time.Second)
			continue
		}
		if len(h.fetches) > 0 && r.IntN(2) == 0 {
			f := h.fetches[0]
			h.fetches = h.fetches[1:]
			h.do(&FetchBegun{Task: f.Task})
			got := &ResultFetched{Task: f.Task}
			if !calm && r.IntN(4) == 0 {
				got.Lost = "gone"
			}
			h.do(got)
			continue
		}
		if len(h.order) == 0 {
			continue
		}
		n := h.order[r.IntN(len(h.order))]
		d := h.tasks[n]
		if _, killed := h.killed[n]; killed && r.IntN(3) > 0 {
			h.dies(n)
			continue
		}
		reads := readBy(h, d)
		switch x := r.IntN(100); {
		case x < 20:
			h.running(n)
		case x < 22 && !calm:
			h.fail(n)
		case x < 25 && !calm && len(reads) > 0:
			s := reads[r.IntN(len(reads))]
			statuses, _ := h.core.outputs.snapshot(s)
			m := r.IntN(len(statuses))
			if statuses[m] == nil {
				h.fetchFail(n, s, -1, "")
			} else {
				h.fetchFail(n, s, int32(m), statuses[m].Location.Executor)
			}
		case x < 26 && !calm:
			h.do(&JobCancelled{Job: id.Job(r.IntN(int(jobs))), Reason: "sim"})
		case x < 28 && !calm:
			x := h.core.executors[r.IntN(len(h.core.executors))]
			if x.alive {
				for _, n := range slices.Clone(h.order) {
					if h.tasks[n].Executor == x.id {
						h.gone(n)
					}
				}
				h.do(&ExecutorLost{Executor: x.id, Reason: "sim", CausedByApp: r.IntN(2) == 0})
			} else {
				h.do(&ExecutorAdded{ExecutorSpec{ID: x.id, Host: x.host, Slots: 1 + r.IntN(3)}})
			}
		case x < 32 && d.Kind == task.ResultTask:
			h.stored(n, 1000, task.RouteIndirect)
		case x < 35:
			h.after(time.Duration(r.IntN(300)) * time.Millisecond)
		default:
			h.ok(n)
		}
	}
}

// readBy returns the shuffles that a task's stage reads and that are known.
func readBy(h *harness, d *task.Description) []id.Shuffle {
	s := h.core.stages[d.Stage]
	if s == nil {
		return nil
	}
	var reads []id.Shuffle
	for _, p := range s.parents {
		reads = append(reads, p.dep.Shuffle)
	}
	return reads
}
