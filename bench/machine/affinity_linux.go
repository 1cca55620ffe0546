package machine

import "golang.org/x/sys/unix"

// affinity returns the processors that this process may run on, nil when
// the kernel does not tell (machines with more than 1024 processors).
func affinity() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var cpus []int
	for i := 0; i < len(set)*64 && len(cpus) < set.Count(); i++ {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus
}
