package engine_test

import (
	"sync"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
)

// TestFaultsKillAtFileOperations kills the attempt that was launched last while
// it, or who else works, is at one file operation after the other. Kills count
// as no failure, so the right answer comes.
func TestFaultsKillAtFileOperations(t *testing.T) {
	t.Run("one worker", func(t *testing.T) {
		want, n := sound(t, fsys.Fault{})
		killAt(t, want, n, func(f fsys.Fault, hook func(*trial, event.Event)) *trial { return try(t, f, hook) })
	})
	t.Run("two workers", func(t *testing.T) {
		want, r := soundTogether(t, fsys.Fault{})
		killAt(t, want, r.files.Counted(), func(f fsys.Fault, hook func(*trial, event.Event)) *trial { return together(t, nil, f, hook) })
	})
}

// killAt kills the last attempt at file operations from 1 to n of runs whose
// right answer is want.
func killAt(t *testing.T, want string, n int, run func(f fsys.Fault, hook func(*trial, event.Event)) *trial) {
	hit := 0
	strike(t, n, 6, func(k int) bool {
		var mu sync.Mutex // operations and events come from several goroutines
		var s *engine.Session
		var last id.Task
		var kills sync.WaitGroup
		r := run(fsys.Fault{K: k, Do: func(string) {
			mu.Lock()
			defer mu.Unlock()
			if s == nil { // no attempt yet
				return
			}
			session, attempt := s, last
			// Who is at the operation may be who must answer.
			kills.Go(func() {
				if session.KillTask(attempt, "fault") {
					mu.Lock()
					hit++
					mu.Unlock()
				}
			})
		}}, func(r *trial, e event.Event) {
			if e, ok := e.(*event.TaskStart); ok {
				mu.Lock()
				s, last = r.s, e.Info.Task
				mu.Unlock()
			}
		})
		kills.Wait()
		if r.err != nil || r.answer != want {
			t.Errorf("%v\n%s\nwant\n%s", r.err, r.answer, want)
		}
		return r.err == nil
	})
	t.Logf("%d attempts were running when they were killed", hit)
}
