package memory_test

import (
	"fmt"

	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/units"
)

// An attempt sorts more than it may hold: its consumer writes its pages
// elsewhere when it is asked to, and goes on.
func Example() {
	m, err := memory.NewManager(memory.Config{Budget: 64 * units.MiB, Cores: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	task := m.NewTask(0)
	var pages []*memory.Page
	var sorter *memory.Consumer
	runs := 0
	sorter = task.Consumer("sorter", func(int64) (freed int64, err error) {
		runs++ // here it would sort and write a run
		for _, p := range pages {
			freed += p.Size()
			sorter.Free(p)
		}
		pages = nil
		return freed, nil
	})
	for range 100 {
		p, err := sorter.Alloc(1 << 20)
		if err != nil {
			fmt.Println(err)
			return
		}
		pages = append(pages, p)
	}
	fmt.Println(runs, "runs, peak", units.Bytes(task.Peak()))
	fmt.Println("leaked", units.Bytes(task.Close()))
	fmt.Println(m.Close())
	// Output:
	// 3 runs, peak 32.0 MiB
	// leaked 4.00 MiB
	// <nil>
}
