//go:build !unix

package engine

// processCPU is not known here; reports leave the figure out.
func processCPU() int64 { return 0 }
