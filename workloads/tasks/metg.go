package tasks

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/workloads"
)

// The search for the shortest effective task length, METG(50%).
const (
	// Each probe is a job of about probeTime, long enough for its start and
	// end to be small beside it, and of at least probeTasks tasks a worker,
	// so that uneven ends do not matter.
	probeTime  = 40 * time.Millisecond
	probeTasks = 64
	// probeRounds probes are made of every length; their median counts.
	probeRounds = 3
	// metgFrom and metgTo are the shortest and the longest length tried. A
	// probe of the longest takes a second or so; a machine on which that does
	// not suffice is busy with something else.
	metgFrom = 50 * time.Nanosecond
	metgTo   = 20 * time.Millisecond
	// metgRatio is how near the two ends of the search come to each other.
	metgRatio = 1.05
)

// measure finds METG(50%).
func measure(ctx context.Context, s *engine.Session, v workloads.Values) ([]workloads.Figure, error) {
	if !v.Bool("metg") || v.Bool("sleep") {
		return nil, nil
	}
	cores := s.Cores()
	cost := 10 * time.Microsecond // of a task, as far as known: only sizes the jobs
	metg, found, err := shortestEffective(func(length time.Duration) (float64, error) {
		var shares []float64
		for range probeRounds {
			tasks := tasksFor(length, cost, cores)
			wall, err := probe(ctx, s, v, tasks, length)
			if err != nil {
				return 0, err
			}
			spent := wall * time.Duration(cores) / time.Duration(tasks)
			cost = max(spent-length, 100*time.Nanosecond)
			shares = append(shares, float64(length)/float64(spent))
		}
		slices.Sort(shares)
		return shares[len(shares)/2], nil
	})
	if err != nil {
		return nil, err
	}
	name := "METG(50%)"
	if !found {
		name = "METG(50%), more than"
	}
	return []workloads.Figure{{Name: name, Value: metg.Seconds(), Unit: "s"}}, nil
}

// tasksFor returns how many tasks make a probe.
func tasksFor(length, cost time.Duration, cores int) int {
	n := int64(probeTime) * int64(cores) / int64(length+cost)
	return int(min(max(n, int64(probeTasks*cores)), 200000))
}

// probe runs one job and returns its wall time.
func probe(ctx context.Context, s *engine.Session, v workloads.Values, tasks int, length time.Duration) (time.Duration, error) {
	v = v.Clone()
	if err := v.Set("tasks", strconv.Itoa(tasks)); err != nil {
		return 0, err
	}
	if err := v.Set("length", length.String()); err != nil {
		return 0, err
	}
	w, err := workloads.Get("tasks") // by name: Workload itself refers to this function
	if err != nil {
		return 0, err
	}
	built, err := workloads.Build(s, w, v, workloads.Input{})
	if err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := built.(*job).data.Count(ctx)
	wall := time.Since(start)
	if err != nil {
		return 0, err
	}
	if n != int64(tasks) {
		return 0, fmt.Errorf("cannot search for METG(50%%): a job of %d tasks counted %d", tasks, n)
	}
	return wall, nil
}

// shortestEffective returns the shortest task length for which share, the
// part of the core time that is useful work, is at least a half. The share
// grows with the length.
//
//  1. From metgFrom on, go up by factors of four until the share is reached.
//  2. Between that length and the one before, halve the interval on a
//     logarithmic scale until its ends are metgRatio from each other.
//
// The answer is the geometric mean of the last interval. If not even metgTo
// is long enough, found is false and the answer metgTo.
func shortestEffective(share func(length time.Duration) (float64, error)) (metg time.Duration, found bool, err error) {
	low, high := time.Duration(0), metgFrom
	for {
		got, err := share(high)
		if err != nil {
			return 0, false, err
		}
		if got >= 0.5 {
			break
		}
		if high >= metgTo {
			return metgTo, false, nil
		}
		low, high = high, min(4*high, metgTo)
	}
	if low == 0 {
		return high, true, nil // the shortest tried is effective already
	}
	for float64(high)/float64(low) > metgRatio {
		mid := between(low, high)
		got, err := share(mid)
		if err != nil {
			return 0, false, err
		}
		if got >= 0.5 {
			high = mid
		} else {
			low = mid
		}
	}
	return between(low, high), true, nil
}

// between returns the geometric mean.
func between(a, b time.Duration) time.Duration {
	return time.Duration(math.Sqrt(float64(a) * float64(b)))
}
