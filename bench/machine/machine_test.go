package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/execbench/execbench/engine/units"
)

// tree makes a file system of paths and texts.
func tree(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
	}
	return m
}

const (
	mountsV2 = "25 30 0:23 / /sys rw - sysfs sysfs rw\n" +
		"31 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountsV1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
)

func TestQuotaAndMemoryOfControlGroups(t *testing.T) {
	type want struct {
		cpu, mem       float64
		cpuSrc, memSrc string
	}
	f := func(name string, files map[string]string, w want) {
		t.Helper()
		root := tree(files)
		cpu, okCPU := CPUQuota(root)
		mem, okMem := MemoryLimit(root)
		if okCPU != (w.cpu != 0) || okMem != (w.mem != 0) || cpu != (Bound{w.cpu, w.cpuSrc}) || mem != (Bound{w.mem, w.memSrc}) {
			t.Errorf("%s: cpu %+v %v, memory %+v %v; want %+v", name, cpu, okCPU, mem, okMem, w)
		}
	}
	f("nothing there", nil, want{})
	f("version 2, own group", map[string]string{
		"/proc/self/cgroup": "0::/a/b\n", "/proc/self/mountinfo": mountsV2,
		"/sys/fs/cgroup/a/b/cpu.max": "150000 100000\n", "/sys/fs/cgroup/a/b/memory.max": "1073741824\n",
		"/sys/fs/cgroup/a/cpu.max": "max 100000\n", "/sys/fs/cgroup/a/memory.max": "max\n",
	}, want{1.5, 1 << 30, "/sys/fs/cgroup/a/b/cpu.max", "/sys/fs/cgroup/a/b/memory.max"})
	f("version 2, a tighter ancestor", map[string]string{
		"/proc/self/cgroup": "0::/a/b/c\n", "/proc/self/mountinfo": mountsV2,
		"/sys/fs/cgroup/a/b/c/cpu.max": "400000 100000\n", "/sys/fs/cgroup/a/b/c/memory.max": "max\n",
		"/sys/fs/cgroup/a/cpu.max": "200000 100000\n", "/sys/fs/cgroup/a/memory.max": "2147483648\n", "/sys/fs/cgroup/a/memory.high": "1000000000\n",
	}, want{2, 1e9, "/sys/fs/cgroup/a/cpu.max", "/sys/fs/cgroup/a/memory.high"})
	f("version 1, hierarchies of their own", map[string]string{
		"/proc/self/cgroup":                                 "4:memory:/box/1\n3:cpu,cpuacct:/box\n0::/\n",
		"/proc/self/mountinfo":                              mountsV1,
		"/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us":           "50000\n",
		"/sys/fs/cgroup/cpu/box/cpu.cfs_period_us":          "100000\n",
		"/sys/fs/cgroup/cpu/cpu.cfs_quota_us":               "-1\n",
		"/sys/fs/cgroup/memory/box/1/memory.limit_in_bytes": "9223372036854771712\n",
		"/sys/fs/cgroup/memory/box/memory.limit_in_bytes":   "536870912\n",
	}, want{0.5, 512 << 20, "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "/sys/fs/cgroup/memory/box/memory.limit_in_bytes"})
	f("a container whose mount begins below its own group's path", map[string]string{
		"/proc/self/cgroup":      "0::/kubepods/pod1/c1\n",
		"/proc/self/mountinfo":   "31 25 0:26 /kubepods/pod1/c1 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
		"/sys/fs/cgroup/cpu.max": "300000 100000\n", "/sys/fs/cgroup/memory.max": "4096\n",
	}, want{3, 4096, "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/memory.max"})
	f("a group outside of what is mounted", map[string]string{
		"/proc/self/cgroup":      "0::/../other\n",
		"/proc/self/mountinfo":   "31 25 0:26 /here /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n",
		"/sys/fs/cgroup/cpu.max": "100000 100000\n",
	}, want{cpu: 1, cpuSrc: "/sys/fs/cgroup/cpu.max"})
	f("garbage", map[string]string{
		"/proc/self/cgroup": "0::/a\n:::\nx\n", "/proc/self/mountinfo": mountsV2 + "garbage\n - \n",
		"/sys/fs/cgroup/a/cpu.max": "many\n", "/sys/fs/cgroup/a/memory.max": "",
	}, want{})
}

func TestLimitsSayWhoWon(t *testing.T) {
	quota := func(q string) fs.FS {
		return tree(map[string]string{"/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": mountsV2,
			"/sys/fs/cgroup/cpu.max": q + " 100000\n", "/sys/fs/cgroup/memory.max": "1000000000\n"})
	}
	f := func(l Limits, cores int, source string) {
		t.Helper()
		if l.Cores != cores || l.CoresSource != source {
			t.Errorf("cores %d by %q, want %d by %q", l.Cores, l.CoresSource, cores, source)
		}
	}
	none := tree(nil)
	f(limits(none, nil, 8, 0), 8, "the machine's processors")
	f(limits(none, []int{0, 1, 2, 3}, 4, 0), 4, "the machine's processors")
	f(limits(none, []int{2, 3}, 8, 0), 2, "the affinity mask")
	f(limits(quota("350000"), []int{0, 1, 2, 3, 4, 5}, 8, 0), 3, "/sys/fs/cgroup/cpu.max")
	f(limits(quota("50000"), nil, 8, 0), 1, "/sys/fs/cgroup/cpu.max")
	f(limits(quota("400000"), []int{1, 2}, 8, 0), 2, "the affinity mask")

	if l := limits(quota("max"), nil, 2, 4*units.GiB); l.Memory != 1e9 || l.MemorySource != "/sys/fs/cgroup/memory.max" || l.Budget() != 5e8 {
		t.Errorf("memory of the group: %+v", l)
	}
	if l := limits(quota("max"), nil, 2, 512*units.MiB); l.Memory != 512*units.MiB || l.MemorySource != "the machine's memory" {
		t.Errorf("memory of the machine: %+v", l)
	}
	if l := limits(none, nil, 2, 0); l.MemorySource != "unknown" || l.Budget() != units.GiB {
		t.Errorf("unknown memory: %+v", l)
	}
}

func TestCPULists(t *testing.T) {
	f := func(list string, want ...int) {
		t.Helper()
		got := ParseCPUs(list)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("ParseCPUs(%q) = %v, want %v", list, got, want)
		}
		if want != nil && FormatCPUs(got) != list {
			t.Errorf("FormatCPUs(%v) = %q, want %q", got, FormatCPUs(got), list)
		}
	}
	f("0", 0)
	f("0-3", 0, 1, 2, 3)
	f("0-1,4,6-7", 0, 1, 4, 6, 7)
	f("")
	f("3-1")
	f("0-99999999")
	f("a,b")
}

func TestChooseTakesWholeCoresFirst(t *testing.T) {
	files := map[string]string{}
	// Two packages of two cores of two threads: thread siblings are c and c+4.
	for c, pkg := range []string{"0", "0", "1", "1", "0", "0", "1", "1"} {
		dir := "/sys/devices/system/cpu/cpu" + string(rune('0'+c)) + "/topology/"
		files[dir+"thread_siblings_list"] = []string{"0,4", "1,5", "2,6", "3,7"}[c%4]
		files[dir+"physical_package_id"] = pkg
	}
	f := func(root fs.FS, allowed []int, n int, want ...int) {
		t.Helper()
		if got := Choose(root, allowed, n); !reflect.DeepEqual(got, want) {
			t.Errorf("Choose(%v, %d) = %v, want %v", allowed, n, got, want)
		}
	}
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	f(tree(files), all, 1, 0)
	f(tree(files), all, 2, 0, 1)
	f(tree(files), all, 4, 0, 1, 2, 3)
	f(tree(files), all, 5, 0, 1, 2, 3, 4)
	f(tree(files), []int{0, 4, 5}, 2, 0, 5)
	f(tree(files), []int{6, 7}, 9, 6, 7)
	f(tree(nil), []int{3, 5}, 1, 3) // no topology: all are cores
}

func TestNoise(t *testing.T) {
	read := func(steal, total, nr, usec string) Counters {
		return ReadCounters(tree(map[string]string{
			"/proc/stat":                "cpu  " + total + " 0 0 0 0 0 0 " + steal + " 50 0\ncpu0 1 1 1 1 1 1 1 1\n",
			"/proc/loadavg":             "1.50 1.00 0.50 2/300 999\n",
			"/proc/pressure/cpu":        "some avg10=12.50 avg60=2.00 avg300=3.12 total=47902210\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
			"/proc/pressure/io":         "some avg10=0.00 avg60=0.17 avg300=0.08 total=5783123\n",
			"/proc/self/cgroup":         "0::/a\n",
			"/proc/self/mountinfo":      mountsV2,
			"/sys/fs/cgroup/a/cpu.stat": "usage_usec 100\nnr_periods 7\nnr_throttled " + nr + "\nthrottled_usec " + usec + "\n",
		}))
	}
	before, after := read("10", "1000", "3", "1000"), read("60", "1950", "5", "501000")
	n := Between(before, after)
	if n.Steal != 0.05 || n.Throttled != 2 || n.Stopped != 0.5 || n.CPU != 0.125 || n.Memory != -1 || n.IO != 0 || n.Load != 1.5 {
		t.Errorf("noise %+v", n)
	}
	if w := n.Warnings(2); len(w) != 3 || !strings.Contains(w[0], "5.0 %") || !strings.Contains(w[1], "2 periods, 0.50 s") || !strings.Contains(w[2], "12 %") {
		t.Errorf("warnings %q", w)
	}
	quiet := Between(Counters{}, Counters{})
	if w := quiet.Warnings(2); w != nil {
		t.Errorf("a quiet machine has warnings %q", w)
	}
	if w := (Noise{Load: 1, CPU: -1}).Warnings(2); len(w) != 1 {
		t.Errorf("a load of 1 on 2 processors without PSI: %q", w)
	}
}

func TestFactsAndTheirFingerprint(t *testing.T) {
	root := tree(map[string]string{
		"/sys/devices/system/cpu/online":                             "0-1\n",
		"/sys/devices/system/cpu/cpu0/topology/thread_siblings_list": "0-1\n",
		"/sys/devices/system/cpu/cpu1/topology/thread_siblings_list": "0-1\n",
		"/sys/devices/system/cpu/cpu0/topology/physical_package_id":  "0\n",
		"/sys/devices/system/cpu/cpu0/cache/index0/level":            "1\n",
		"/sys/devices/system/cpu/cpu0/cache/index0/type":             "Data\n",
		"/sys/devices/system/cpu/cpu0/cache/index0/size":             "32K\n",
		"/sys/devices/system/cpu/cpu0/cache/index3/level":            "3\n",
		"/sys/devices/system/cpu/cpu0/cache/index3/type":             "Unified\n",
		"/sys/devices/system/cpu/cpu0/cache/index3/size":             "32768K\n",
		"/sys/kernel/mm/transparent_hugepage/enabled":                "always [madvise] never\n",
		"/proc/meminfo": "MemTotal: 100 kB\nSwapTotal:  2048 kB\n",
		"/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
		"/sys/devices/system/cpu/cpufreq/boost":                 "0\n",
	})
	var f Facts
	f.readSystem(root)
	want := Facts{Physical: 1, Packages: 1, L1d: "32K", L3: "32768K", HugePages: "madvise", Swap: 2 * units.MiB, Governor: "performance", Turbo: "off"}
	if f != want {
		t.Errorf("facts %+v, want %+v", f, want)
	}

	a := Facts{OS: "linux", CPU: "X", Cores: 2, Memory: 24 * units.GiB, Kernel: "6.1", Host: "a"}
	same := func(change func(*Facts), equal bool, what string) {
		t.Helper()
		b := a
		change(&b)
		if (a.Fingerprint() == b.Fingerprint()) != equal {
			t.Errorf("after a change of %s the fingerprints' equality is not %v", what, equal)
		}
	}
	same(func(f *Facts) { f.Memory -= 40 * units.MiB }, true, "a little memory")
	same(func(f *Facts) { f.Kernel, f.Host = "6.2", "b" }, true, "kernel and host")
	same(func(f *Facts) { f.CPU = "Y" }, false, "processor")
	same(func(f *Facts) { f.Memory = 16 * units.GiB }, false, "memory")
	same(func(f *Facts) { f.Cores = 4 }, false, "cores")
}

func TestProbeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := probeDisk(dir, 2*probeBlock)
	if err != nil {
		t.Fatal(err)
	}
	if d.Probed != 2*probeBlock || d.WriteSpeed <= 0 || d.ReadSpeed <= 0 || d.Sync <= 0 {
		t.Errorf("probe %+v", d)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the probe left %v", left)
	}
	if _, err := ProbeDisk(filepath.Join(dir, "no")); err == nil || !strings.Contains(err.Error(), "cannot probe the disk of") {
		t.Errorf("a missing folder: %v", err)
	}
	s, err := ReadSpace(dir)
	if err != nil || s.Free <= 0 || s.Total < s.Free {
		t.Errorf("space %+v, %v", s, err)
	}
	if _, err := ReadSpace(filepath.Join(dir, "no")); err == nil {
		t.Error("the space of a missing folder")
	}
}

// This machine has at least one processor, some memory and a name.
func TestThisMachine(t *testing.T) {
	l := ReadLimits(Root())
	if l.Cores < 1 || l.Cores > l.Machine || l.Memory <= 0 || l.Available > l.Memory {
		t.Errorf("limits %+v", l)
	}
	if f := ReadFacts(Root()); f.OS == "" || f.Cores < 1 || f.Memory <= 0 || len(f.Fingerprint()) != 16 {
		t.Errorf("facts %+v", f)
	}
	if c := ReadCounters(Root()); c.Total < 0 {
		t.Errorf("counters %+v", c)
	}
}
