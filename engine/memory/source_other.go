//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package memory

// newMapSource falls back to the Go heap where there are no mappings.
func newMapSource() source { return heapSource{} }
