package proc

import "testing"

func TestHighWater(t *testing.T) {
	f := func(status string, want int64, ok bool) {
		t.Helper()
		got, found := highWater(status)
		if int64(got) != want || found != ok {
			t.Errorf("highWater(%q) = %d, %v", status, got, found)
		}
	}
	f("Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n", 12345, true)
	f("Name:\tx\n", 0, false)
	f("\nVmHWM:\n", 0, false)
	f("\nVmHWM: 5 MB", 0, false)
}
