package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/task"
)

// Faults of what needs two workers at once: a barrier stage, a join's two
// sides, copies of slow tasks. A run need not do the same as the run before,
// so a fault strikes somewhere, and somewhere else the next time.

// upset is what user code calls that may be made to fail; place names a
// function. Nil never fails.
type upset func(t *engine.Task, place int) error

// through passes rows on and may fail.
func through[T any](d *engine.Dataset[T], u upset, place int) *engine.Dataset[T] {
	return engine.MapBatches(d, func(t *engine.Task, dst, src []T) ([]T, error) {
		if u != nil {
			if err := u(t, place); err != nil {
				return nil, err
			}
		}
		return append(dst, src...), nil
	})
}

// gathering runs a join, a barrier stage before a shuffle, and a stage of
// which one task is so slow that its copy must win. It returns what came out.
func gathering(u upset) func(context.Context, *engine.Session, string) (string, error) {
	return func(ctx context.Context, s *engine.Session, _ string) (string, error) {
		left := through(keyed(s, 3000, 300, 4), u, 0)
		right := through(keyed(s, 600, 400, 3), u, 1)
		joined := engine.Map(engine.Join(left, right, engine.Partitions(3)),
			func(p engine.Pair[int64, engine.Joined[int64, int64]]) int64 {
				return p.Key*1_000_003 + p.Value.Left*7919 + p.Value.Right
			})
		rows, err := through(joined, u, 2).Collect(ctx)
		if err != nil {
			return "", err
		}
		slices.Sort(rows)

		met := engine.MapBatches(engine.Barrier(keyed(s, 100, 10, 2)), func(t *engine.Task, dst, src []engine.Pair[int64, int64]) ([]engine.Pair[int64, int64], error) {
			if u != nil {
				if err := u(t, 3); err != nil {
					return nil, err
				}
			}
			names, err := t.AllGather(fmt.Sprint(t.Partition))
			if err != nil {
				return nil, err
			}
			if !slices.Equal(names, []string{"0", "1"}) {
				return nil, fmt.Errorf("gathered %q", names)
			}
			return append(dst, src...), nil
		})
		sums, err := through(engine.ReduceByKey(met, add, engine.Partitions(2)), u, 4).Collect(ctx)
		if err != nil {
			return "", err
		}
		slices.SortFunc(sums, func(a, b engine.Pair[int64, int64]) int { return int(a.Key - b.Key) })

		slow, err := through(straggling(s, 6), u, 5).Collect(ctx)
		return fmt.Sprintln(len(rows), digest(rows), sums, slow), err
	}
}

// together runs gathering on two workers.
func together(t *testing.T, u upset, f fsys.Fault, hook func(*trial, event.Event)) *trial {
	t.Helper()
	var settings []string
	for k, v := range quickly {
		settings = append(settings, k, v)
	}
	return tryOf(t, 2, gathering(u), f, hook, settings...)
}

// soundTogether runs gathering without a fault.
func soundTogether(t *testing.T, f fsys.Fault) (answer string, r *trial) {
	t.Helper()
	f.K = 0
	r = together(t, nil, f, nil)
	if r.err != nil || r.closed != nil {
		t.Fatalf("without any fault: %v, %v", r.err, r.closed)
	}
	if r.files.Counted() == 0 || len(of[*event.SpeculativeTaskSubmitted](r.rec)) == 0 {
		t.Fatalf("%d places for a fault, %d copies of slow tasks: the test proves nothing", r.files.Counted(),
			len(of[*event.SpeculativeTaskSubmitted](r.rec)))
	}
	return r.answer, r
}

func TestFaultsTogetherAtEveryEvent(t *testing.T) {
	want, r := soundTogether(t, fsys.Fault{})
	interrupt(t, want, len(r.rec.events())-1, func(hook func(*trial, event.Event)) *trial {
		return together(t, nil, fsys.Fault{}, hook)
	})
}

func TestFaultsTogetherOfFiles(t *testing.T) {
	for _, f := range []fsys.Fault{
		{Err: syscall.EIO},
		{Err: syscall.ENOSPC, Ops: fsys.OpMutates, Short: 100},
		{Err: syscall.ENOSPC, Ops: fsys.OpMutates, After: true},
	} {
		t.Run(fmt.Sprintf("%v ops=%d short=%d after=%v", f.Err, f.Ops, f.Short, f.After), func(t *testing.T) {
			want, r := soundTogether(t, f)
			strike(t, r.files.Counted(), 3, func(k int) bool {
				f.K = k
				return together(t, nil, f, nil).right(t, want, f)
			})
		})
	}
}

func TestFaultsTogetherOfFilesDamaged(t *testing.T) {
	for name, do := range harms {
		t.Run(name, func(t *testing.T) {
			f := fsys.Fault{Ops: fsys.OpOpen | fsys.OpRead, Glob: "*_*"}
			want, r := soundTogether(t, f)
			strike(t, r.files.Counted(), 2, func(k int) bool {
				f.K, f.Do = k, func(path string) { harm(t, path, do) }
				r := together(t, nil, f, nil)
				if r.err != nil || r.answer != want {
					t.Errorf("%v\n%s\nwant\n%s", r.err, r.answer, want)
				}
				return r.err == nil
			})
		})
	}
}

// Functions fail at chosen attempts: a task of a barrier stage takes the others
// with it, and the stage is tried again.
func TestFaultsTogetherOfUserCode(t *testing.T) {
	want, _ := soundTogether(t, fsys.Fault{})
	n := 200
	if *soak {
		n = 1000
	}
	strike(t, n, 8, func(k int) bool {
		r := rand.New(rand.NewPCG(*seed, uint64(k)))
		type spot struct {
			place int
			part  int32
		}
		times, how := map[spot]int32{}, map[spot]int{}
		worst := int32(0)
		for place := range 6 {
			for part := range int32(6) {
				if r.IntN(6) == 0 {
					at := spot{place, part}
					times[at], how[at] = int32(1+r.IntN(3)), r.IntN(3)
					if r.IntN(30) == 0 {
						times[at] = 4
					}
					worst = max(worst, times[at])
				}
			}
		}
		got := together(t, func(t *engine.Task, place int) error {
			at := spot{place, t.Partition}
			if max(t.Number, t.StageAttempt.Attempt) >= times[at] {
				return nil
			}
			switch how[at] {
			case 0:
				return fmt.Errorf("fault %d", t.Number)
			case 1:
				panic("fault")
			}
			runtime.Goexit()
			return nil
		}, fsys.Fault{}, nil)
		var te *engine.TaskError
		switch {
		case got.err == nil && got.answer != want:
			t.Errorf("the answer is wrong:\n%s\nwant\n%s", got.answer, want)
		case got.err == nil:
		case worst < 4, !errors.As(got.err, new(*engine.JobError)),
			!barrierGaveUp(got) && (!errors.As(got.err, &te) || te.Failures != 4):
			t.Errorf("%d failures at most: %v", worst, got.err)
		}
		return got.err == nil
	})
}

// barrierGaveUp reports whether the barrier stage was tried as often as a stage
// may be: a failure of either task is one of the whole stage.
func barrierGaveUp(r *trial) bool {
	for _, e := range of[*event.StageSubmitted](r.rec) {
		if e.Stage.Attempt == 3 && e.Stage.Kind == task.ShuffleMapTask {
			return true
		}
	}
	return false
}
