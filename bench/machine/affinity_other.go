//go:build !linux

package machine

// affinity is unknown on this system.
func affinity() []int { return nil }
