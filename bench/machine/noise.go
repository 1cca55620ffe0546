package machine

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Counters are the kernel's figures that tell whether somebody else used
// the machine. Take them before and after a run and give both to Noise.
type Counters struct {
	// Total and Steal are processor time of the whole machine since boot, in
	// ticks: all of it, and what the hypervisor gave to others.
	Total, Steal float64
	// Throttled is how often and Stopped how long, in seconds, the quota of a
	// control group (or of an ancestor) stopped this process.
	Throttled, Stopped float64
	// Pressure is the share of the last ten seconds in which some task waited
	// for cpu, memory and io, 0 to 1, in that order; negative where the
	// kernel does not tell.
	Pressure [3]float64
	// Load is the run queue's mean length over the last minute.
	Load float64
}

// ReadCounters reads them in well under a millisecond.
func ReadCounters(root fs.FS) Counters {
	c := Counters{Pressure: [3]float64{-1, -1, -1}}
	for line := range strings.Lines(read(root, "proc", "stat")) {
		f := strings.Fields(line)
		if len(f) < 9 || f[0] != "cpu" {
			continue
		}
		// user nice system idle iowait irq softirq steal; guest time, which
		// follows, is part of user's already.
		for _, v := range f[1:9] {
			c.Total += number(v)
		}
		c.Steal = number(f[8])
		break
	}
	for _, d := range cgroups(root, "cpu") {
		for line := range strings.Lines(read(root, path.Join(d.mount, d.path), "cpu.stat")) {
			f := strings.Fields(line)
			if len(f) != 2 {
				continue
			}
			switch f[0] {
			case "nr_throttled":
				c.Throttled = max(c.Throttled, number(f[1]))
			case "throttled_usec":
				c.Stopped = max(c.Stopped, number(f[1])/1e6)
			case "throttled_time":
				c.Stopped = max(c.Stopped, number(f[1])/1e9)
			}
		}
	}
	for i, name := range [...]string{"cpu", "memory", "io"} {
		for line := range strings.Lines(read(root, "proc/pressure", name)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "some" {
				if avg, ok := strings.CutPrefix(f[1], "avg10="); ok {
					c.Pressure[i] = number(avg) / 100
				}
			}
		}
	}
	if f := strings.Fields(read(root, "proc", "loadavg")); len(f) > 0 {
		c.Load = number(f[0])
	}
	return c
}

// Noise is what disturbed the machine between two readings, or before one.
type Noise struct {
	Steal     float64 `json:"steal"`             // share of the machine's processor time taken by the hypervisor
	Throttled float64 `json:"throttled_periods"` // periods in which a quota stopped this process
	Stopped   float64 `json:"throttled_seconds"`
	// Pressure before the run began; the run's own pressure is no noise.
	CPU    float64 `json:"cpu_pressure"`
	Memory float64 `json:"memory_pressure"`
	IO     float64 `json:"io_pressure"`
	Load   float64 `json:"load"` // run queue before the run began
}

// Thresholds above which noise is worth a warning. A tenth of a core lost
// moves a measurement by about as much as two equal runs differ anyway
// (1–2 % for compute-bound work); below it there is nothing to see.
const (
	stealLimit    = 0.02 // of the machine's time
	pressureLimit = 0.10 // of ten seconds
	loadLimit     = 0.30 // runnable threads a processor
)

// Between returns the noise of the time between two readings. With one
// reading for both it is that of the moment before.
func Between(before, after Counters) Noise {
	n := Noise{
		Throttled: after.Throttled - before.Throttled, Stopped: after.Stopped - before.Stopped,
		CPU: before.Pressure[0], Memory: before.Pressure[1], IO: before.Pressure[2], Load: before.Load,
	}
	if total := after.Total - before.Total; total > 0 {
		n.Steal = (after.Steal - before.Steal) / total
	}
	return n
}

// Warnings says in words what may have moved the figures, with what to try;
// nil when nothing did. cores is the number of processors of the machine.
func (n Noise) Warnings(cores int) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if n.Steal > stealLimit {
		add("the hypervisor gave %.1f %% of this machine's processor time to others (steal): repeat the run, compare interleaved", 100*n.Steal)
	}
	if n.Throttled > 0 {
		add("a CPU quota stopped this process in %.0f periods, %.2f s in all: use fewer --cores or a larger quota", n.Throttled, n.Stopped)
	}
	if n.CPU > pressureLimit {
		add("other work waited for processors %.0f %% of the time before the run (PSI): stop it, or repeat the run", 100*n.CPU)
	}
	if n.Memory > pressureLimit {
		add("the machine was short of memory %.0f %% of the time before the run (PSI)", 100*n.Memory)
	}
	if n.IO > pressureLimit {
		add("other work waited for disks %.0f %% of the time before the run (PSI)", 100*n.IO)
	}
	if n.Load > loadLimit*float64(cores) && n.CPU <= pressureLimit {
		add("%.1f threads were runnable on %d processors before the run (load): stop other work, or repeat the run", n.Load, cores)
	}
	return out
}
