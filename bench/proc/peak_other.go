//go:build unix && !linux

package proc

import (
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/execbench/execbench/engine/units"
)

// peakRSS is the resource usage's own figure: bytes on darwin, KiB elsewhere.
func peakRSS(r *unix.Rusage) units.Bytes {
	peak := units.Bytes(r.Maxrss)
	if runtime.GOOS != "darwin" {
		peak *= units.KiB
	}
	return peak
}
