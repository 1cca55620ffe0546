//go:build !linux

package engine_test

// threadID returns 0 where threads have no numbers that can be had.
func threadID() int { return 0 }
