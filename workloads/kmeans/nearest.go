package kmeans

// nearest finds the centre nearest to a point. The squared distance of x from
// c is |x|² - 2(x·c - |c|²/2), so the centre with the largest x·c - |c|²/2 is
// the nearest one, and |x|² is needed for the cost alone.
type nearest struct {
	centres []float64 // [k][dim]
	halves  []float64 // |c|²/2 of each
	dim     int
}

func newNearest(centres []float64, dim int) *nearest {
	n := &nearest{centres: centres, dim: dim}
	for c := 0; c+dim <= len(centres); c += dim {
		half := 0.0
		for _, v := range centres[c : c+dim] {
			half += v * v / 2
		}
		n.halves = append(n.halves, half)
	}
	return n
}

// add gives each point to its centre.
func (n *nearest) add(found tally, points []point) {
	cost := *found.cost()
	for _, p := range points {
		best, most := n.of(p)
		sums, count := found.of(best, n.dim)
		square := 0.0
		for j, v := range p[:len(sums)] {
			sums[j] += v
			square += v * v
		}
		*count++
		cost += square - 2*most
	}
	*found.cost() = cost
}

// of returns the nearest centre and its x·c - |c|²/2. Two centres are tried
// together, each in two sums: four chains of additions keep the adders busy.
func (n *nearest) of(p point) (best int, most float64) {
	dim := n.dim
	p = p[:dim]
	best, most = -1, 0
	c := 0
	for ; c+1 < len(n.halves); c += 2 {
		a := n.centres[c*dim:][:len(p)]
		b := n.centres[c*dim+dim:][:len(p)]
		var a0, a1, b0, b1 float64
		j := 0
		for ; j+1 < len(p); j += 2 {
			x, y := p[j], p[j+1]
			a0 += x * a[j]
			a1 += y * a[j+1]
			b0 += x * b[j]
			b1 += y * b[j+1]
		}
		if j < len(p) {
			a0 += p[j] * a[j]
			b0 += p[j] * b[j]
		}
		da, db := a0+a1-n.halves[c], b0+b1-n.halves[c+1]
		if best < 0 || da > most {
			best, most = c, da
		}
		if db > most {
			best, most = c+1, db
		}
	}
	if c < len(n.halves) {
		d := 0.0
		for j, v := range n.centres[c*dim:][:len(p)] {
			d += p[j] * v
		}
		if d -= n.halves[c]; best < 0 || d > most {
			best, most = c, d
		}
	}
	return best, most
}
