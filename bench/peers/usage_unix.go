//go:build unix

package main

import (
	"os"
	"runtime"
	"syscall"

	"github.com/execbench/execbench/engine/units"
)

// peakRSS is that of the largest of a process and those it waited for.
func peakRSS(s *os.ProcessState) units.Bytes {
	u, ok := s.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return units.Bytes(u.Maxrss)
	}
	return units.Bytes(u.Maxrss) * units.KiB
}
