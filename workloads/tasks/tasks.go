// Package tasks runs many small tasks that do nothing useful, to measure what
// a task costs.
package tasks

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/workloads"
)

// Workload is the tasks workload. Register it with workloads.Register.
var Workload = &workloads.Workload{
	Name:     "tasks",
	Summary:  "run many tasks of a given length, to measure scheduling itself",
	Stresses: "the scheduler and the workers' hand-over; nothing else",
	Doc:      doc,
	Params:   params,
	Build:    build,
	Run:      run,
	Measure:  measure,
	Verify:   verify,
}

const doc = `Runs one job of N tasks that read nothing and return a count of one. Each
first spends a given time: in a loop that reads the clock until the time is
over, asleep with --sleep, or not at all (the default). What is left is what
tasks cost: being described, launched, decoded, run, measured, reported and
counted.

What it stresses: the scheduler and the hand-over between it and the workers.
The data plane stands still.

Figures, where wall is the time of the job and workers the number of cores:

  tasks per second     tasks / wall
  wall per task        wall / tasks
  cost per task        wall x workers / tasks, less the length of a task: the
                       core time that goes into a task beside its work
  METG(50%)            minimum effective task granularity: the shortest task
                       for which half of the core time is useful work. Found by
                       search, after the timed jobs, with jobs of its own
                       (--metg=false leaves it out). Shorter tasks waste more
                       than they do; see Slaughter et al., Task Bench, 2020.

A loop overshoots its time by a reading of the clock, 50 ns or so, and a sleep
by what the operating system takes to wake up; neither is taken off the cost.

Verified: every task ran, and their counts add up to N.

  execbench run tasks                                     # 100,000 empty tasks
  execbench run tasks --tasks 1e6 --metg=false
  execbench run tasks --tasks 20000 --length 50us
  execbench run tasks --tasks 1000 --length 2ms --sleep --cores 1
`

var params = []workloads.Param{
	{Name: "tasks", Kind: workloads.Int, Default: "100000", Min: "1", Max: "10000000",
		Doc: "tasks of the job"},
	{Name: "length", Kind: workloads.Duration, Default: "0s", Min: "0s", Max: "1h",
		Doc: "time that each task spends; 0 means empty tasks"},
	{Name: "sleep", Kind: workloads.Bool, Default: "false",
		Doc: "spend the time asleep instead of computing"},
	{Name: "metg", Kind: workloads.Bool, Default: "true",
		Doc: "search for the shortest effective task length; takes a second or two after the timed jobs"},
}

// job is what build lays out.
type job struct {
	data *engine.Dataset[byte]
	ran  *roll
}

// Node returns the job's place in the lineage, for those who print it.
func (j *job) Node() *plan.Node { return j.data.Node() }

func build(s *engine.Session, v workloads.Values, _ workloads.Input) (any, error) {
	n, length, sleep := int(v.Int("tasks")), v.Duration("length"), v.Bool("sleep")
	ran := newRoll(n)
	one := []byte{1}
	data := engine.FromFunc(s, "tasks", n, func(t *engine.Task, part int, emit func([]byte) error) error {
		ran.mark(part)
		if err := spend(t, length, sleep); err != nil {
			return err
		}
		return emit(one)
	})
	return &job{data, ran}, nil
}

// checkEvery is how long a busy task goes on before it looks whether it was
// killed: seldom enough to cost nothing, often enough to die at once.
const checkEvery = time.Millisecond

// spend takes up the given time, or returns why the task must end.
func spend(t *engine.Task, length time.Duration, sleep bool) error {
	if length <= 0 {
		return nil
	}
	if sleep {
		timer := time.NewTimer(length)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-t.Context().Done():
			return context.Cause(t.Context())
		}
	}
	start, check := time.Now(), checkEvery
	for {
		gone := time.Since(start)
		if gone >= length {
			return nil
		}
		if gone >= check {
			if err := t.Check(); err != nil {
				return err
			}
			check = gone + checkEvery
		}
	}
}

func run(ctx context.Context, s *engine.Session, built any, v workloads.Values, _ string) (*workloads.Answer, error) {
	j := built.(*job)
	j.ran.clear()
	start := time.Now()
	n, err := j.data.Count(ctx)
	if err != nil {
		return nil, err
	}
	wall := time.Since(start).Seconds()
	tasks := float64(v.Int("tasks"))
	return &workloads.Answer{
		Records: n,
		Detail:  j.ran.copy(),
		Figures: []workloads.Figure{
			{Name: "tasks per second", Value: tasks / wall, Unit: "1/s"},
			{Name: "wall per task", Value: wall / tasks, Unit: "s"},
			{Name: "cost per task", Value: wall*float64(s.Cores())/tasks - v.Duration("length").Seconds(), Unit: "s"},
		},
	}, nil
}

// roll notes which tasks ran: a bit each, set by the workers.
type roll struct {
	n    int
	bits []atomic.Uint64
}

func newRoll(n int) *roll { return &roll{n, make([]atomic.Uint64, (n+63)/64)} }

func (r *roll) mark(i int) { r.bits[i/64].Or(1 << (i % 64)) }

func (r *roll) clear() {
	for i := range r.bits {
		r.bits[i].Store(0)
	}
}

func (r *roll) copy() *roll {
	c := newRoll(r.n)
	for i := range r.bits {
		c.bits[i].Store(r.bits[i].Load())
	}
	return c
}

// count returns how many tasks are marked, and the first that is not, or -1.
func (r *roll) count() (marked, absent int) {
	absent = -1
	for i := range r.bits {
		b := r.bits[i].Load()
		marked += bits.OnesCount64(b)
		if first := 64*i + bits.TrailingZeros64(^b); absent < 0 && ^b != 0 && first < r.n {
			absent = first
		}
	}
	return marked, absent
}
