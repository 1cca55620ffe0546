package kmeans

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/execbench/execbench/workloads"
)

// tolerance is how far a coordinate of a centre may be off, as a part of what
// coordinates can be, and the cost, as a part of it.
const tolerance = 1e-9

// verify runs the algorithm by the book, over the points made again.
func verify(ctx context.Context, g workloads.Gen, v workloads.Values, _ workloads.Input, a *workloads.Answer) (*workloads.Verdict, error) {
	got, ok := a.Detail.(result)
	if !ok {
		return nil, fmt.Errorf("cannot verify centres: the answer holds none")
	}
	s := shapeOf(v)
	want, err := lloyd(ctx, g, &s, int(v.Int("rounds")))
	if err != nil {
		return nil, err
	}
	return compare(&s, want, got, a), nil
}

func compare(s *shape, want, got result, a *workloads.Answer) *workloads.Verdict {
	verdict := &workloads.Verdict{}
	verdict.Expect("centres", strconv.Itoa(s.k), strconv.FormatInt(a.Records, 10))
	verdict.Expect("coordinates", strconv.Itoa(len(want.Centres)), strconv.Itoa(len(got.Centres)))
	if len(want.Centres) == len(got.Centres) {
		worst := 0.0
		for i, w := range want.Centres {
			worst = max(worst, math.Abs(w-got.Centres[i])/extent) // NaN, once there, stays
		}
		verdict.Judge("largest difference of a coordinate, of their extent", worst <= tolerance, fmt.Sprintf("at most %.0e", tolerance), fmt.Sprintf("%.2g", worst))
	}
	verdict.Judge("points of each centre", slices.Equal(want.Counts, got.Counts), fmt.Sprintf("%.100s", fmt.Sprint(want.Counts)), fmt.Sprintf("%.100s", fmt.Sprint(got.Counts)))
	// The engine's formula subtracts squares, each below dim·extent².
	scale := want.Cost + 1e-6*float64(s.points)*float64(s.dim)*extent*extent
	verdict.Judge("cost", math.Abs(want.Cost-got.Cost) <= tolerance*scale, fmt.Sprintf("%.12g", want.Cost), fmt.Sprintf("%.12g", got.Cost))
	verdict.Expect("checksum of the answer", got.checksum(), a.Checksum)
	return verdict
}

// scanPoints is how many points a worker takes at a time.
const scanPoints = 1 << 13

// lloyd finds the centres by a plain loop: the distance of each point from
// each centre, as the sum of squared differences.
func lloyd(ctx context.Context, g workloads.Gen, s *shape, rounds int) (result, error) {
	r := result{Centres: make([]float64, s.k*s.dim), Counts: make([]int64, s.k)}
	for c := range s.k {
		s.put(r.Centres[c*s.dim:][:s.dim], int64(c))
	}
	type worker struct {
		sums   []float64
		counts []int64
		cost   float64
		p      []float64
	}
	workers := make([]worker, g.Workers(int64(s.k*s.dim+s.k+s.dim)*8))
	meter := g.Meter(int64(rounds) * s.points * int64(s.dim) * 8)
	for range rounds {
		for w := range workers {
			workers[w] = worker{make([]float64, s.k*s.dim), make([]int64, s.k), 0, make([]float64, s.dim)}
		}
		err := workloads.Each(ctx, len(workers), (s.points+scanPoints-1)/scanPoints, func(n int, b int64) error {
			w := &workers[n]
			from, to := b*scanPoints, min((b+1)*scanPoints, s.points)
			for i := from; i < to; i++ {
				s.put(w.p, i)
				best, least := 0, math.Inf(1)
				for c := range s.k {
					d := 0.0
					for j, v := range r.Centres[c*s.dim:][:s.dim] {
						d += (w.p[j] - v) * (w.p[j] - v)
					}
					if d < least {
						best, least = c, d
					}
				}
				w.counts[best]++
				w.cost += least
				for j, v := range w.p {
					w.sums[best*s.dim+j] += v
				}
			}
			meter.Add((to - from) * int64(s.dim) * 8)
			return nil
		})
		if err != nil {
			return r, err
		}
		r.Cost = 0
		clear(r.Counts)
		for i := range workers {
			r.Cost += workers[i].cost
			for c, n := range workers[i].counts {
				r.Counts[c] += n
			}
		}
		for i := range r.Centres {
			if n := r.Counts[i/s.dim]; n > 0 {
				sum := 0.0
				for w := range workers {
					sum += workers[w].sums[i]
				}
				r.Centres[i] = sum / float64(n)
			}
		}
	}
	return r, nil
}
