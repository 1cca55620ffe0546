package machine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/host"

	"github.com/execbench/execbench/engine/units"
)

// Facts is what a machine is. What it happens to do at the moment (clock
// rates, uptime, load) is not a fact.
type Facts struct {
	OS             string `json:"os"`
	Arch           string `json:"arch"`
	Kernel         string `json:"kernel"`
	Platform       string `json:"platform"`
	Virtualization string `json:"virtualization,omitempty"`
	Host           string `json:"host"`

	CPU      string `json:"cpu"`
	Cores    int    `json:"cores"`              // processors online
	Physical int    `json:"physical,omitempty"` // cores without their siblings
	Packages int    `json:"packages,omitempty"`
	Nodes    int    `json:"numa_nodes,omitempty"`
	L1d      string `json:"l1d,omitempty"`
	L2       string `json:"l2,omitempty"`
	L3       string `json:"l3,omitempty"`
	Governor string `json:"governor,omitempty"`
	Turbo    string `json:"turbo,omitempty"`

	Memory      units.Bytes `json:"memory_bytes"`
	PageSize    int         `json:"page_size_bytes"`
	HugePages   string      `json:"transparent_huge_pages,omitempty"`
	Swap        units.Bytes `json:"swap_bytes"`
	Overcommit  string      `json:"overcommit,omitempty"`
	Mitigations string      `json:"mitigations,omitempty"`
}

// ReadFacts reads them. It takes a few milliseconds.
func ReadFacts(root fs.FS) Facts {
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, PageSize: os.Getpagesize(), Cores: online()}
	f.Host, _ = os.Hostname()
	if info, err := host.Info(); err == nil {
		f.Kernel, f.Platform = info.KernelVersion, strings.TrimSpace(info.Platform+" "+info.PlatformVersion)
		if info.VirtualizationRole == "guest" {
			f.Virtualization = info.VirtualizationSystem
		}
	}
	f.CPU = cpuModel(root)
	f.Memory, _ = physicalMemory()
	f.readSystem(root)
	return f
}

// readSystem reads what Linux says under /sys and /proc.
func (f *Facts) readSystem(root fs.FS) {
	const cpus = "sys/devices/system/cpu"
	cores, packages := map[string]bool{}, map[string]bool{}
	for _, c := range ParseCPUs(read(root, cpus, "online")) {
		dir := fmt.Sprintf("%s/cpu%d/topology", cpus, c)
		if s := read(root, dir, "thread_siblings_list"); s != "" {
			cores[s] = true
		}
		if p := read(root, dir, "physical_package_id"); p != "" {
			packages[p] = true
		}
	}
	f.Physical, f.Packages = len(cores), len(packages)
	f.Nodes = len(ParseCPUs(read(root, "sys/devices/system/node", "online")))
	for i := range 8 {
		dir := fmt.Sprintf("%s/cpu0/cache/index%d", cpus, i)
		size := read(root, dir, "size")
		switch read(root, dir, "level") + read(root, dir, "type") {
		case "1Data":
			f.L1d = size
		case "2Unified":
			f.L2 = size
		case "3Unified":
			f.L3 = size
		}
	}
	f.Governor = read(root, cpus+"/cpu0/cpufreq", "scaling_governor")
	switch {
	case read(root, cpus+"/intel_pstate", "no_turbo") == "1", read(root, cpus+"/cpufreq", "boost") == "0":
		f.Turbo = "off"
	case read(root, cpus+"/intel_pstate", "no_turbo") == "0", read(root, cpus+"/cpufreq", "boost") == "1":
		f.Turbo = "on"
	}
	f.HugePages = chosen(read(root, "sys/kernel/mm/transparent_hugepage", "enabled"))
	f.Overcommit = read(root, "proc/sys/vm", "overcommit_memory")
	f.Mitigations = read(root, "sys/devices/system/cpu/vulnerabilities", "spectre_v2")
	for line := range strings.Lines(read(root, "proc", "meminfo")) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "SwapTotal:" {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			f.Swap = units.Bytes(kib) * units.KiB
		}
	}
}

// chosen returns the bracketed word of a list like "always [madvise] never".
func chosen(list string) string {
	_, after, ok := strings.Cut(list, "[")
	if !ok {
		return ""
	}
	word, _, _ := strings.Cut(after, "]")
	return word
}

// Fingerprint names a kind of machine in 16 hexadecimal digits: two runs may
// be compared when theirs agree. It covers what a machine is for a
// benchmark: system, processor, its cores and caches, and memory rounded to
// a sixteenth of its power of two, since firmware takes a little more or
// less of it after a reboot. Host name and kernel build are left out.
func (f Facts) Fingerprint() string {
	memory := f.Memory
	if step := roundingStep(memory); step > 0 {
		memory = (memory + step/2) / step * step
	}
	h := sha256.Sum256(fmt.Appendf(nil, "1|%s|%s|%s|%d|%d|%d|%d|%s|%s|%s|%d|%s",
		f.OS, f.Arch, f.CPU, f.Cores, f.Physical, f.Packages, f.Nodes, f.L1d, f.L2, f.L3, memory, f.Virtualization))
	return hex.EncodeToString(h[:8])
}

func roundingStep(b units.Bytes) units.Bytes {
	step := units.Bytes(1)
	for b >= 32 {
		b, step = b/2, step*2
	}
	return step
}
