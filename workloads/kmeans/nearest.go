package kmeans

import "math"

// nearest finds the centre nearest to a point. The squared distance of x from
// c is |x|² - 2(x·c - |c|²/2), so the centre with the largest x·c - |c|²/2,
// its score, is the nearest one, and |x|² is needed for the cost alone.
//
//  1. Centres lie in tiles of sixteen, coordinate by coordinate: the -|c|²/2 of
//     the sixteen, their first coordinates, their second ones, and so on. A
//     tile that is not full ends in centres of score -Inf.
//  2. A point is tried against a whole tile at once: each of its coordinates
//     is loaded once and adds to sixteen scores, which do not wait for each
//     other. With AVX2 that is four vectors of four scores, in their
//     registers from the first coordinate to the last.
//  3. The largest score and its place are found without a branch: a branch on
//     which of the centres is nearest would be guessed wrong for most points.
//
// Limit: sixteen multiplications and additions a coordinate, two vectors a
// cycle, and no less than the four cycles that a vector waits for itself: 80
// cycles for 20 coordinates.
type nearest struct {
	dim   int
	tiles []float64 // [tiles][1+dim][tile]
}

const tile = 16

// tiles is how many tiles hold k centres.
func tiles(k int) int { return (k + tile - 1) / tile }

// tileLen is how many numbers a tile is.
func tileLen(dim int) int { return tile * (1 + dim) }

func newNearest(centres []float64, dim int) *nearest {
	k := len(centres) / dim
	n := &nearest{dim, make([]float64, tiles(k)*tileLen(dim))}
	for c := range tiles(k) * tile {
		at := n.tiles[c/tile*tileLen(dim)+c%tile:]
		if c >= k {
			at[0] = math.Inf(-1)
			continue
		}
		half := 0.0
		for j, v := range centres[c*dim:][:dim] {
			half += float64(v * v / 2)
			at[(1+j)*tile] = v
		}
		at[0] = -half
	}
	return n
}

// add gives each point to its centre.
func (n *nearest) add(found tally, points []point) {
	cost := *found.cost()
	for _, p := range points {
		best, score := n.of(p)
		sums, count := found.of(best, n.dim)
		p = p[:len(sums)]
		var even, odd float64 // two sums, which do not wait for each other
		j := 0
		for ; j+1 < len(p); j += 2 {
			x, y := p[j], p[j+1]
			sums[j] += x
			sums[j+1] += y
			even += x * x
			odd += y * y
		}
		if j < len(p) {
			sums[j] += p[j]
			even += p[j] * p[j]
		}
		*count++
		cost += even + odd - 2*score
	}
	*found.cost() = cost
}

// of returns the nearest centre, of several the first, and its score.
func (n *nearest) of(p point) (best int, score float64) {
	p = p[:n.dim]
	size := tileLen(n.dim)
	best, score = bestOf(p, n.tiles[:size])
	for at := size; at < len(n.tiles); at += size {
		if i, s := bestOf(p, n.tiles[at:at+size]); s > score {
			best, score = at/size*tile+i, s
		}
	}
	return best, score
}

// bestOfTile is bestOf in plain Go, which gives the same to the bit: a sum is
// rounded in the order of the coordinates, after each product and after each
// addition.
func bestOfTile(p point, centres []float64) (best int, score float64) {
	scores := [tile]float64(centres[:tile])
	for j, x := range p {
		row := (*[tile]float64)(centres[(1+j)*tile:])
		for i := range scores {
			scores[i] += float64(x * row[i])
		}
	}
	for i, s := range scores {
		if s > scores[best] {
			best = i
		}
	}
	return best, scores[best]
}
