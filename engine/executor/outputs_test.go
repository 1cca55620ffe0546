package executor

import (
	"testing"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Statuses that were dropped while they were on their way are used once by
// who asked, but not kept.
func TestOutputsOfAnOlderEpochAreNotKept(t *testing.T) {
	var o outputs
	asked := 0
	ask := func(news int64) func(id.Shuffle, int64) ([]*task.MapStatus, int64, error) {
		return func(id.Shuffle, int64) ([]*task.MapStatus, int64, error) {
			asked++
			o.advance(news) // a description of a newer epoch arrives meanwhile
			return make([]*task.MapStatus, 1), 4, nil
		}
	}
	for i, news := range []int64{5, 0, 0} {
		if list, err := o.get(1, ask(news)); err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if asked != i+1 {
			t.Fatalf("read %d: asked %d times: statuses of epoch 4 are kept at epoch 5", i, asked)
		}
	}
}
