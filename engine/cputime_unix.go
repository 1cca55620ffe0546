//go:build unix

package engine

import "golang.org/x/sys/unix"

// processCPU returns the processor time that this process has used, user and
// system, in nanoseconds.
func processCPU() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
