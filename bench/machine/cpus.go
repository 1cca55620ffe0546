package machine

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// ParseCPUs reads a list of processors as the kernel writes it: "0-3,8". A
// malformed list is nil.
func ParseCPUs(list string) []int {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(first)
		if err != nil {
			return nil
		}
		b := a
		if ranged {
			if b, err = strconv.Atoi(last); err != nil || b < a || b-a > 1<<16 {
				return nil
			}
		}
		for ; a <= b; a++ {
			cpus = append(cpus, a)
		}
	}
	return cpus
}

// FormatCPUs is the inverse of ParseCPUs, for sorted lists.
func FormatCPUs(cpus []int) string {
	var b strings.Builder
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(cpus[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(cpus[j]))
		}
		i = j + 1
	}
	return b.String()
}

// Choose picks n of the allowed processors to confine a process to, sorted:
// one thread of every physical core first, and only then their siblings,
// packages in order, so that n workers share as few cores as possible and
// stay near one another. Fewer than n allowed: all of them.
func Choose(root fs.FS, allowed []int, n int) []int {
	type place struct{ cpu, thread, pkg, core int }
	places := make([]place, 0, len(allowed))
	for _, c := range allowed {
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology", c)
		p := place{cpu: c, core: c}
		if siblings := ParseCPUs(read(root, dir, "thread_siblings_list")); len(siblings) > 0 {
			p.core = siblings[0]
		}
		if pkg, err := strconv.Atoi(read(root, dir, "physical_package_id")); err == nil {
			p.pkg = pkg
		}
		for _, q := range places {
			if q.core == p.core {
				p.thread++
			}
		}
		places = append(places, p)
	}
	slices.SortStableFunc(places, func(a, b place) int {
		if a.thread != b.thread {
			return a.thread - b.thread
		}
		if a.pkg != b.pkg {
			return a.pkg - b.pkg
		}
		return a.cpu - b.cpu
	})
	var chosen []int
	for _, p := range places[:min(n, len(places))] {
		chosen = append(chosen, p.cpu)
	}
	slices.Sort(chosen)
	return chosen
}
