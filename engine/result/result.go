// Package result decides how the result of an attempt travels from executor
// to driver, and when a job's results together are too much.
//
// It owns two decisions and no bytes. The executor asks [Limits.Route] where
// one encoded result goes: into the status message, into the block store, or
// nowhere. The driver adds up what a task set returned in a [Total], which
// says when to abort. Both compare strictly: a size equal to a limit passes.
package result

import (
	"fmt"

	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// Limits are the sizes at which a result changes its route (spark-semantics
// §3.4). A field that is 0 takes the default named beside it, but for
// MaxResult, where it means no limit, as in Spark.
type Limits struct {
	MaxResult units.Bytes // spark.driver.maxResultSize
	MaxDirect units.Bytes // spark.task.maxDirectResultSize; 0: DefaultMaxDirect
	Message   units.Bytes // spark.rpc.message.maxSize; 0: DefaultMessage
}

// Spark's defaults.
const (
	DefaultMaxResult = 1 * units.GiB
	DefaultMaxDirect = 1 * units.MiB
	DefaultMessage   = 128 * units.MiB
)

// Direct returns the size above which a result is stored as a block.
func (l Limits) Direct() units.Bytes {
	if l.MaxDirect == 0 {
		l.MaxDirect = DefaultMaxDirect
	}
	if l.Message == 0 {
		l.Message = DefaultMessage
	}
	return min(l.MaxDirect, l.Message)
}

// Route returns how an encoded result of size bytes, accumulators included,
// travels. The first condition that holds decides: above MaxResult it is
// dropped, above Direct it is stored, else it goes in the status message.
func (l Limits) Route(size int64) task.Route {
	switch {
	case l.MaxResult > 0 && size > int64(l.MaxResult):
		return task.RouteDropped
	case size > int64(l.Direct()):
		return task.RouteIndirect
	}
	return task.RouteDirect
}

// Total adds up the results of one task set. It belongs to whoever decides
// about that task set and is not safe for several goroutines. The zero value
// has no limit.
type Total struct {
	limit int64
	sum   int64
	tasks int
}

// NewTotal returns the running total of a result stage's task set; limit 0
// means none. Map stages return no results to the driver, so they need none.
func NewTotal(limit units.Bytes) Total { return Total{limit: int64(limit)} }

// Add counts one more result before it is fetched or decoded. size is what
// the driver would hold: the value's bytes of a direct result, the reported
// size of a stored or dropped one. It returns a *TooLargeError from the
// result on that takes the sum above the limit.
func (t *Total) Add(size int64) error {
	t.sum += size
	t.tasks++
	if t.limit > 0 && t.sum > t.limit {
		return &TooLargeError{Tasks: t.tasks, Total: units.Bytes(t.sum), Limit: units.Bytes(t.limit)}
	}
	return nil
}

// Sum returns the bytes counted so far.
func (t *Total) Sum() units.Bytes { return units.Bytes(t.sum) }

// KeyMaxResult is the configuration key that a TooLargeError names.
const KeyMaxResult = "spark.driver.maxResultSize"

// TooLargeError aborts a job whose results together exceed the limit.
type TooLargeError struct {
	Tasks int // results counted, the last one included
	Total units.Bytes
	Limit units.Bytes
}

// Error names both figures and the key to change.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("cannot return the results of %d tasks: their total of %v (%d bytes) is above %s of %v (%d bytes)",
		e.Tasks, e.Total, int64(e.Total), KeyMaxResult, e.Limit, int64(e.Limit))
}
