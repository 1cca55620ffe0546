package scheduler

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// A failure is told as the shortest world that fails in the same way, with what
// happens in it, and by a seed and steps that lead back to it. What fails here
// is planted.
func TestSimulationTellsTheShortestWorld(t *testing.T) {
	for name, c := range map[string]struct {
		planted  func(*sim, Event) string
		fails    string
		shortest func(w *world) bool
	}{
		// Where there is one executor alone it fails in another way, which is not
		// to be told instead.
		"by acts": {func(s *sim, e Event) string {
			switch _, lost := e.(*ExecutorLost); {
			case !lost || len(s.jobs) < 2:
				return ""
			case len(s.execs) < 2:
				return "all executors are lost"
			}
			return fmt.Sprintf("an executor is lost after %d jobs", len(s.jobs))
		}, "an executor is lost after  jobs", func(w *world) bool {
			jobs, losses := 0, 0
			for _, a := range w.acts {
				switch {
				case a.kind <= submitMapJob && len(a.fates) == 0:
					jobs++
				case a.kind == loseExecutor:
					losses++
				}
			}
			return len(w.acts) == 3 && jobs == 2 && losses == 1 && len(w.nodes) <= 2 && len(w.executors) == 2
		}},
		"by a fate": {func(_ *sim, e Event) string {
			if e, ok := e.(*TaskStatus); ok && e.Failure != nil && e.Failure.Message == "boom" {
				return fmt.Sprintf("attempt %d throws", e.Status.Task)
			}
			return ""
		}, "attempt  throws", func(w *world) bool {
			return len(w.acts) == 1 && slices.Equal(w.acts[0].fates, []fate{{ends: throws}}) && len(w.nodes) == 1 && len(w.executors) == 1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			draw := func(seed uint64, steps int) *world {
				w := newWorld(seed, steps)
				w.planted = c.planted
				return w
			}
			const drawn = 100 // steps
			told := 0
			for seed := uint64(1); told < 2; seed++ {
				w := draw(seed, drawn)
				failure, long := simulate(w, true)
				if seed > 100 {
					t.Fatalf("%d of 100 worlds fail as planted", told)
				}
				if kind(failure) != c.fails {
					continue
				}
				told++
				small := shrink(w, failure)
				if !reflect.DeepEqual(w.acts, draw(seed, drawn).acts) {
					t.Errorf("seed %d: the world that is made short has changed", seed)
				}
				again, short := simulate(small, true)
				if kind(again) != c.fails {
					t.Errorf("seed %d: %q became %q", seed, failure, again)
				}
				if len(short.out) >= len(long.out) {
					t.Errorf("seed %d: what happens takes %d lines, before it took %d", seed, len(short.out), len(long.out))
				}
				if !c.shortest(small) {
					t.Errorf("seed %d: this is not the shortest:\n%v", seed, small)
				}

				text := report(w, small, failure, drawn)
				for _, part := range []string{failure, small.String(), strings.Join(short.out, "\n"), again} {
					if !strings.Contains(text, part) {
						t.Errorf("the report does not tell %q:\n%s", part, text)
					}
				}
				var from uint64
				var steps int
				_, repeat, _ := strings.Cut(text, "repeat with: make sim ")
				if _, err := fmt.Sscanf(repeat, "SEED=%d STEPS=%d", &from, &steps); err != nil {
					t.Fatalf("%q: %v", repeat, err)
				}
				if from != seed || steps != drawn { // others may well fail so, too
					t.Errorf("the report leads to seed %d and %d steps, not %d and %d", from, steps, seed, drawn)
				}
				if same, s := simulate(draw(from, steps), true); same != failure || !slices.Equal(s.out, long.out) {
					t.Errorf("seed %d and %d steps give %q, and what was told is %q", from, steps, same, failure)
				}
			}
		})
	}
}
