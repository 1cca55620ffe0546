package tasks

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestShortestEffectiveLength(t *testing.T) {
	for _, cost := range []time.Duration{60, 1100, 7 * time.Microsecond, 500 * time.Microsecond, 15 * time.Millisecond} {
		probes := 0
		got, found, err := shortestEffective(func(length time.Duration) (float64, error) {
			probes++
			return float64(length) / float64(length+cost), nil
		})
		// At half of the time useful, a task is as long as it costs.
		if err != nil || !found || math.Abs(float64(got)/float64(cost)-1) > 0.05 {
			t.Errorf("cost %v: found %v (%v)", cost, got, err)
		}
		if probes > 25 {
			t.Errorf("cost %v: %d probes", cost, probes)
		}
	}
}

func TestShortestEffectiveAtTheEnds(t *testing.T) {
	got, found, err := shortestEffective(func(time.Duration) (float64, error) { return 0.9, nil })
	if err != nil || !found || got != metgFrom {
		t.Errorf("everything effective: %v (%v)", got, err)
	}
	got, found, err = shortestEffective(func(time.Duration) (float64, error) { return 0.3, nil })
	if err != nil || found || got != metgTo {
		t.Errorf("nothing effective: %v, found %v (%v)", got, found, err)
	}
	stop := errors.New("stop")
	for _, at := range []int{1, 3, 7} {
		n := 0
		_, _, err = shortestEffective(func(length time.Duration) (float64, error) {
			if n++; n == at {
				return 0, stop
			}
			return float64(length) / float64(length+time.Millisecond), nil
		})
		if !errors.Is(err, stop) {
			t.Errorf("probe %d fails: %v", at, err)
		}
	}
}

func TestProbesHaveEnoughTasks(t *testing.T) {
	for _, c := range []struct {
		length, cost time.Duration
		cores, want  int
	}{
		{50, 950, 2, 80000},
		{time.Second, time.Microsecond, 2, 128},
		{50, 50, 8, 200000},
		{9 * time.Microsecond, time.Microsecond, 1, 4000},
	} {
		if got := tasksFor(c.length, c.cost, c.cores); got != c.want {
			t.Errorf("%v long, cost %v, %d cores: %d tasks, want %d", c.length, c.cost, c.cores, got, c.want)
		}
	}
}
