package report

import (
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
)

// ending is how an attempt is counted.
type ending uint8

const (
	ended ending = iota
	failed
	killed
)

// kindOf counts denied commits as kills, and every other end without success
// as a failure (source: Spark's AppStatusListener).
func kindOf(e *event.TaskEnd) ending {
	switch e.Reason {
	case task.Success:
		return ended
	case task.TaskKilled, task.TaskCommitDenied:
		return killed
	}
	return failed
}

func killReason(e *event.TaskEnd) string {
	if e.Reason == task.TaskKilled && e.Failure != nil && e.Failure.Message != "" {
		return e.Failure.Message
	}
	return e.Reason.String()
}

// bits is a set of small numbers.
type bits []uint64

// bitsMax bounds the set to 16 MiB: a stage with more tasks than that exists
// only in a damaged file.
const bitsMax = 1 << 27

// set adds the index of a successful attempt and reports whether it is new.
func (b *bits) set(e *event.TaskEnd) bool {
	i := e.Info.Index
	if e.Reason != task.Success || i < 0 || i >= bitsMax {
		return false
	}
	word := int(i / 64)
	for len(*b) <= word {
		*b = append(*b, 0)
	}
	was := (*b)[word]
	(*b)[word] |= 1 << (i % 64)
	return was != (*b)[word]
}
