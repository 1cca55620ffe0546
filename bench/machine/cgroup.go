package machine

import (
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// Bound is a limit and who set it.
type Bound struct {
	Value  float64 `json:"value"`
	Source string  `json:"source"` // a file, or a word for what the machine has
}

// cgroupDir is a control group that this process belongs to, as a folder of
// its mounted hierarchy.
type cgroupDir struct {
	mount string // where the hierarchy is mounted, without the leading /
	path  string // below mount; "" is the mounted root itself
	v2    bool
}

// cgroups finds the folders that hold the limits of a controller ("cpu",
// "memory"): of version 2, of version 1, or of both where a machine mixes
// them. They come leaf first.
//
// /proc/self/cgroup has a line "id:controllers:path" for each hierarchy, with
// id 0 and no controllers for version 2. /proc/self/mountinfo says where it is
// mounted and which folder of it is the mount's root: in a container the path
// may lie above that root, then the mount's root is the best that can be seen.
func cgroups(root fs.FS, controller string) []cgroupDir {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounts := cgroupMounts(root)
	var dirs []cgroupDir
	for line := range strings.Lines(string(own)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		v2 := f[0] == "0" && f[1] == ""
		if !v2 && !hasWord(f[1], controller) {
			continue
		}
		for _, m := range mounts {
			if m.v2 != v2 || !v2 && !hasWord(m.options, controller) {
				continue
			}
			dirs = append(dirs, walkUp(m, f[2])...)
			break
		}
	}
	return dirs
}

// walkUp lists the folders from a group's own up to the mount's root.
func walkUp(m cgroupMount, group string) []cgroupDir {
	below, inside := strings.CutPrefix(path.Clean("/"+group), strings.TrimSuffix(m.root, "/"))
	if !inside || below != "" && below[0] != '/' {
		below = ""
	}
	var dirs []cgroupDir
	for p := strings.Trim(below, "/"); ; p = path.Dir(p) {
		if p == "." {
			p = ""
		}
		dirs = append(dirs, cgroupDir{mount: m.point, path: p, v2: m.v2})
		if p == "" {
			return dirs
		}
	}
}

type cgroupMount struct {
	root    string // the folder of the hierarchy that is mounted
	point   string // where, without the leading /
	options string // of the super block: version 1's controllers
	v2      bool
}

// cgroupMounts reads /proc/self/mountinfo: "id parent dev root point options
// [tags] - type source super-options".
func cgroupMounts(root fs.FS) []cgroupMount {
	info, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var mounts []cgroupMount
	for line := range strings.Lines(string(info)) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 3 || g[0] != "cgroup" && g[0] != "cgroup2" {
			continue
		}
		mounts = append(mounts, cgroupMount{
			root: unescape(f[3]), point: strings.TrimPrefix(unescape(f[4]), "/"), options: g[2], v2: g[0] == "cgroup2",
		})
	}
	return mounts
}

// unescape undoes mountinfo's octal escapes of blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// CPUQuota returns the tightest limit of processor time, in cores, that the
// process's control groups and their ancestors set. ok is false when none
// sets any.
func CPUQuota(root fs.FS) (Bound, bool) {
	return tightest(root, "cpu", func(dir string, v2 bool) (float64, string) {
		if v2 {
			f := strings.Fields(read(root, dir, "cpu.max"))
			if len(f) == 2 {
				return number(f[0]) / number(f[1]), "cpu.max"
			}
			return math.NaN(), ""
		}
		quota := number(read(root, dir, "cpu.cfs_quota_us"))
		if quota <= 0 { // -1: no limit
			return math.NaN(), ""
		}
		return quota / number(read(root, dir, "cpu.cfs_period_us")), "cpu.cfs_quota_us"
	})
}

// noLimitV1 is what version 1 shows for no memory limit: the largest number
// of whole pages, a little below 2^63.
const noLimitV1 = 1 << 62

// MemoryLimit returns the tightest memory limit, in bytes, that the
// process's control groups and their ancestors set. Version 2's memory.high,
// above which a group is slowed down, counts as a limit too.
func MemoryLimit(root fs.FS) (Bound, bool) {
	return tightest(root, "memory", func(dir string, v2 bool) (float64, string) {
		if !v2 {
			if n := number(read(root, dir, "memory.limit_in_bytes")); n < noLimitV1 {
				return n, "memory.limit_in_bytes"
			}
			return math.NaN(), ""
		}
		hard, soft := number(read(root, dir, "memory.max")), number(read(root, dir, "memory.high"))
		if soft < hard || math.IsNaN(hard) {
			return soft, "memory.high"
		}
		return hard, "memory.max"
	})
}

// tightest asks every group of a controller for its limit. limit returns NaN
// for none.
func tightest(root fs.FS, controller string, limit func(dir string, v2 bool) (float64, string)) (Bound, bool) {
	best, found := Bound{}, false
	for _, d := range cgroups(root, controller) {
		dir := path.Join(d.mount, d.path)
		v, file := limit(dir, d.v2)
		if math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 || found && v >= best.Value {
			continue
		}
		best, found = Bound{v, "/" + path.Join(dir, file)}, true
	}
	return best, found
}

// read returns a file's text, "" when there is none.
func read(root fs.FS, dir, name string) string {
	b, err := fs.ReadFile(root, path.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number reads a number; NaN for anything else, "max" included.
func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}
