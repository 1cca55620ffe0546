// Package profiles takes profiles of a whole run and reads profiles of any Go
// program.
//
// [Start] begins one capture, [Capture.Stop] ends it and puts the file into
// its place. Captures go through github.com/pkg/profile and through nothing
// else; capture.go says which of its traps are guarded, and how. There is one
// capture at a time in a process.
//
// [Read] reads a file of the pprof format within limits, [Merge] adds
// profiles up, [NewTop] counts one by function, by line or by a label, and
// [NewDiff] compares two with the noise of each row. The counts are those of
// "go tool pprof -top", to the unit.
//
// Of the profiles that Go writes, those of the processor and of goroutines
// carry labels; the others cannot be counted by stage.
//
//	c, err := profiles.Start("profiles", profiles.CPU)
//	…
//	work()
//	path, err := c.Stop() // profiles/cpu.pb.gz
//
// The package knows nothing of jobs and stages beyond their being labels. It
// draws no tables.
package profiles
