package machine

import (
	"io/fs"
	"math"
	"runtime"

	"github.com/shirou/gopsutil/v4/mem"

	"github.com/execbench/execbench/engine/units"
)

// Limits is what this process may use.
type Limits struct {
	// Cores is the number of workers that never wait for one another: the
	// processors of the affinity mask, or the whole cores of the tightest
	// quota, whichever is fewer, and at least one. A quota is rounded down:
	// with more workers than quota the kernel stops all of them for part of
	// every period, which would appear in the figures as work.
	Cores int `json:"cores"`
	// CPUs are the processors that the process may run on, by number; nil
	// where the system does not say.
	CPUs []int `json:"cpus,omitempty"`
	// Machine is the number of processors that the machine has online.
	Machine int `json:"machine_cores"`
	// Quota is the tightest limit of processor time in cores, 0 for none.
	Quota       float64 `json:"cpu_quota,omitempty"`
	CoresSource string  `json:"cores_source"`
	// Memory is the most that the process may use: the tightest control
	// group's limit, or what the machine has.
	Memory       units.Bytes `json:"memory_bytes"`
	MemorySource string      `json:"memory_source"`
	// Available is what the system could give now without swapping.
	Available units.Bytes `json:"memory_available_bytes"`
}

// ReadLimits reads them for this process. It must run before package proc
// narrows the process's affinity mask.
func ReadLimits(root fs.FS) Limits {
	total, available := physicalMemory()
	l := limits(root, affinity(), online(), total)
	l.Available = min(available, l.Memory)
	return l
}

// limits puts the sources together.
func limits(root fs.FS, allowed []int, cpus int, memory units.Bytes) Limits {
	l := Limits{CPUs: allowed, Machine: cpus, Cores: cpus, CoresSource: "the machine's processors", Memory: memory, MemorySource: "the machine's memory"}
	if allowed != nil && len(allowed) < cpus {
		l.Cores, l.CoresSource = len(allowed), "the affinity mask"
	}
	if q, ok := CPUQuota(root); ok {
		l.Quota = q.Value
		if n := int(math.Floor(q.Value + 1e-9)); n < l.Cores {
			l.Cores, l.CoresSource = n, q.Source
		}
	}
	l.Cores = max(1, l.Cores)
	if m, ok := MemoryLimit(root); ok && (memory == 0 || m.Value < float64(memory)) {
		l.Memory, l.MemorySource = units.Bytes(m.Value), m.Source
	}
	if l.Memory == 0 {
		l.MemorySource = "unknown"
	}
	return l
}

// Budget is the memory budget when the user names none: half of what the
// process may use, so that the page cache and the neighbours keep the rest;
// 1 GiB where that is unknown.
func (l Limits) Budget() units.Bytes {
	if l.Memory == 0 {
		return units.GiB
	}
	return l.Memory / 2
}

func physicalMemory() (total, available units.Bytes) {
	v, err := mem.VirtualMemory()
	if err != nil {
		return 0, 0
	}
	return units.Bytes(v.Total), units.Bytes(v.Available)
}

// online is the number of processors of the machine.
func online() int {
	if n := countOnline(Root()); n > 0 {
		return n
	}
	return runtime.NumCPU()
}

// countOnline counts /sys/devices/system/cpu/online, a list like "0-3,8".
func countOnline(root fs.FS) int {
	return len(ParseCPUs(read(root, "sys/devices/system/cpu", "online")))
}
