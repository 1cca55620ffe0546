package proc

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/execbench/execbench/engine/units"
)

// peakRSS reads VmHWM. The resource usage's own figure is only the second
// choice: a process inherits it from the one that started it.
func peakRSS(r *unix.Rusage) units.Bytes {
	status, err := os.ReadFile("/proc/self/status")
	if err == nil {
		if kib, ok := highWater(string(status)); ok {
			return kib * units.KiB
		}
	}
	return units.Bytes(r.Maxrss) * units.KiB
}

// highWater finds "VmHWM:  123 kB" in a process's status.
func highWater(status string) (units.Bytes, bool) {
	_, after, ok := strings.Cut(status, "\nVmHWM:")
	if !ok {
		return 0, false
	}
	f := strings.Fields(after)
	if len(f) < 2 || f[1] != "kB" {
		return 0, false
	}
	n, err := strconv.ParseInt(f[0], 10, 64)
	return units.Bytes(n), err == nil
}
