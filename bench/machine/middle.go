package machine

import (
	"slices"
	"time"
)

// middle returns the median of an odd number of durations, which it sorts.
func middle(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
