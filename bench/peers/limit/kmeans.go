package main

import "fmt"

// The shape that the program is for.
const (
	dimensions = 20
	centres    = 10
)

type point [dimensions]float64

// kMeans runs Lloyd's algorithm over points around as many places as there
// are centres.
func kMeans(args []string) error {
	n, err := numbers(args[:2]...)
	if err != nil {
		return err
	}
	points := slab[point](n[0])
	both(func(t int) {
		from, to := share(n[0], t)
		dice := random(t + 1)
		for i := from; i < to; i++ {
			place := random(dice.next() % centres)
			for d := range points[i] {
				points[i][d] = float64(place.next()%1024) + float64(dice.next()>>48)/1024
			}
		}
	})
	timed(func() string { return fmt.Sprint(lloyd(points, n[1])) })
	return nil
}

// near is what one thread found in a round.
type near struct {
	sum  [centres]point
	n    [centres]int
	cost float64
}

// lloyd returns the cost of the last round.
func lloyd(points []point, rounds int) (cost float64) {
	centre := [centres]point(points[:centres])
	for range rounds {
		var found [threads]*near
		both(func(t int) {
			from, to := share(len(points), t)
			found[t] = nearest(points[from:to], &centre)
		})
		cost = found[0].cost + found[1].cost
		for c := range centre {
			n := found[0].n[c] + found[1].n[c]
			for d := range centre[c] {
				if n > 0 {
					centre[c][d] = (found[0].sum[c][d] + found[1].sum[c][d]) / float64(n)
				}
			}
		}
	}
	return cost
}

// nearest compares |c|² - 2pc, which differs from the squared distance by
// |p|² and so takes one multiplication a dimension.
func nearest(points []point, centre *[centres]point) *near {
	found := &near{}
	var square [centres]float64
	for c := range centre {
		for _, x := range centre[c] {
			square[c] += x * x
		}
	}
	for i := range points {
		p := &points[i]
		best, least := 0, square[0]-2*dot(p, &centre[0])
		for c := 1; c < centres; c++ {
			if x := square[c] - 2*dot(p, &centre[c]); x < least {
				best, least = c, x
			}
		}
		sum := &found.sum[best]
		for d, x := range p {
			sum[d] += x
		}
		found.n[best]++
		found.cost += least + dot(p, p)
	}
	return found
}

// dot is unrolled into four sums, so that no addition waits for the one before.
func dot(a, b *point) float64 {
	s0 := a[0]*b[0] + a[4]*b[4] + a[8]*b[8] + a[12]*b[12] + a[16]*b[16]
	s1 := a[1]*b[1] + a[5]*b[5] + a[9]*b[9] + a[13]*b[13] + a[17]*b[17]
	s2 := a[2]*b[2] + a[6]*b[6] + a[10]*b[10] + a[14]*b[14] + a[18]*b[18]
	s3 := a[3]*b[3] + a[7]*b[7] + a[11]*b[11] + a[15]*b[15] + a[19]*b[19]
	return s0 + s1 + s2 + s3
}
