// Package beside measures two ways to one answer beside each other: what a
// workload does, and what a user's program with types and functions of its own
// does with the same data.
package beside

import (
	"testing"
	"time"
)

// Run runs kernel and generic in turn, so that both meet the machine in the
// same state, and reports the nanoseconds that a record took in each, and the
// speed of generic as a share of kernel's: the ratio that is to be at least a
// half. Both run once before the clock starts.
func Run(b *testing.B, records int, kernel, generic func()) {
	b.Helper()
	kernel()
	generic()
	var k, g time.Duration
	for b.Loop() {
		start := time.Now()
		kernel()
		between := time.Now()
		generic()
		k += between.Sub(start)
		g += time.Since(between)
	}
	n := float64(records) * float64(b.N)
	b.ReportMetric(0, "ns/op") // of both together: no use
	b.ReportMetric(float64(k)/n, "kernel-ns/record")
	b.ReportMetric(float64(g)/n, "generic-ns/record")
	b.ReportMetric(float64(k)/float64(g), "kernel/generic")
}
