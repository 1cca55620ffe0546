//go:build !linux

package executor

// threadCPU says that the system offers no CPU time of a single thread
// without cgo. CPU times are then the wall times they stand beside.
func threadCPU() (ns int64, ok bool) { return 0, false }
