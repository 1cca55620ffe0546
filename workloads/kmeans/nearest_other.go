//go:build !amd64

package kmeans

// bestOf returns the centre of a tile with the largest score, of several the
// first, and the score. No coordinate is NaN.
func bestOf(p point, centres []float64) (best int, score float64) { return bestOfTile(p, centres) }
