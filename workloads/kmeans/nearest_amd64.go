package kmeans

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// bestOf returns the centre of a tile with the largest score, of several the
// first, and the score. No coordinate is NaN.
func bestOf(p point, centres []float64) (best int, score float64) {
	if !cpu.X86.HasAVX2 {
		return bestOfTile(p, centres)
	}
	_ = centres[:tileLen(len(p))]
	return bestOfAVX2(unsafe.SliceData(p), len(p), unsafe.SliceData(centres))
}

//go:noescape
func bestOfAVX2(p *float64, dim int, centres *float64) (best int, score float64)
