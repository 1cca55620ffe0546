package task

import "github.com/execbench/execbench/engine/id"

// BarrierMethod tells the two kinds of global sync of a barrier stage apart;
// one round admits one kind.
type BarrierMethod uint8

// Kinds of sync.
const (
	Barrier   BarrierMethod = iota // wait for all
	AllGather                      // wait for all and exchange messages
)

// String returns Spark's name of the method.
func (m BarrierMethod) String() string {
	if m == AllGather {
		return "ALL_GATHER"
	}
	return "BARRIER"
}

// BarrierRequest is one attempt's arrival at a global sync.
type BarrierRequest struct {
	id.StageAttempt
	Task      id.Task
	Partition int32 // index of its message in the answer
	NumTasks  int32
	Epoch     int64 // rounds that this attempt has completed
	Method    BarrierMethod
	Message   string

	// An attempt that waits must still give up memory that others ask for:
	// whoever blocks on its behalf calls Serve, on the attempt's own
	// goroutine, each time Requested receives. Both may be nil.
	Requested <-chan struct{}
	Serve     func()
}
