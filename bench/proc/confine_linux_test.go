package proc

import (
	"os"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Every thread, those made afterwards included, runs on the one processor;
// after Close all have their mask again. Threads are made while the mask is
// set, which is what makes one pass too few.
func TestConfineReachesEveryThread(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Skip("no affinity masks here:", err)
	}
	first := 0
	for !before.IsSet(first) {
		first++
	}
	masks := func(want *unix.CPUSet, when string) {
		t.Helper()
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		for _, th := range threads {
			tid, _ := strconv.Atoi(th.Name())
			var got unix.CPUSet
			if err := unix.SchedGetaffinity(tid, &got); err == nil && got != *want {
				t.Errorf("%s thread %d may run on %d processors, want %d", when, tid, got.Count(), want.Count())
			}
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					// A pipe read blocks in the kernel: the runtime needs a thread more.
					r, w, err := os.Pipe()
					if err != nil {
						return
					}
					_, _ = w.Write([]byte{1})
					_, _ = r.Read(make([]byte, 1))
					_ = r.Close()
					_ = w.Close()
				}
			}
		})
	}
	s, err := Start(Config{Cores: 1, CPUs: []int{first}})
	if err != nil {
		t.Fatal(err)
	}
	close(stop)
	wg.Wait()
	var one unix.CPUSet
	one.Set(first)
	masks(&one, "confined:")
	if got := s.Pinned(); len(got) != 1 || got[0] != first {
		t.Errorf("Pinned() = %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	masks(&before, "restored:")
}

func TestConfineToNoSuchProcessor(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Skip("no affinity masks here:", err)
	}
	s, err := Start(Config{Cores: 1, CPUs: []int{1023}})
	if err == nil {
		t.Error("confined to processor 1023")
	}
	if s == nil || s.Pinned() != nil {
		t.Fatalf("setup %+v", s)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("the mask changed: %v", err)
	}
}
