package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// confineRounds bounds the passes over the threads. Every pass masks the
// threads that unmasked ones made during the one before; two are usual.
const confineRounds = 100

// confine sets the affinity mask of every thread of the process, and returns
// what undoes it.
//
// A mask belongs to a thread, and a new thread takes its maker's. The
// runtime makes threads whenever it likes, so /proc/self/task is read again
// until a pass finds nothing new: from then on every maker is masked.
func confine(cpus []int) (func() error, error) {
	var before, mask unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("cannot read the affinity mask: %w", err)
	}
	for _, c := range cpus {
		mask.Set(c)
	}
	if err := maskThreads(&mask); err != nil {
		// Some threads may be masked by now.
		return nil, errors.Join(fmt.Errorf("cannot confine the process to processors %v: %w", cpus, err), maskThreads(&before))
	}
	return func() error {
		if err := maskThreads(&before); err != nil {
			return fmt.Errorf("cannot restore the affinity mask: %w", err)
		}
		return nil
	}, nil
}

func maskThreads(mask *unix.CPUSet) error {
	done := map[int]bool{}
	for range confineRounds {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := false
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil || done[tid] {
				continue
			}
			fresh = true
			if err := unix.SchedSetaffinity(tid, mask); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("thread %d: %w", tid, err)
			}
			done[tid] = true
		}
		if !fresh {
			return nil
		}
	}
	return fmt.Errorf("new threads appeared in %d passes in a row", confineRounds)
}
