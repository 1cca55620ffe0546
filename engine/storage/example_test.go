package storage_test

import (
	"fmt"
	"io"
	"os"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/units"
)

// A partition is written while it is computed, and read by whoever needs it
// next.
func Example() {
	temp, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(temp)
	m, err := memory.NewManager(memory.Config{Budget: 64 * units.MiB})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk, err := storage.OpenDisk(temp, fsys.OS)
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := storage.NewStore(storage.Config{Memory: m, Disk: disk})
	if err != nil {
		fmt.Println(err)
		return
	}

	task := m.NewTask(0)
	b := block.Node(4, 2)
	if w, ok := store.NewWriter(task, b, block.MemoryAndDisk); ok {
		for _, batch := range []string{"first batch", "second batch"} {
			if err := w.Frame(1, []byte(batch)); err != nil {
				fmt.Println(err)
			}
		}
		stored, err := w.Commit()
		fmt.Println("stored:", stored, err)
	}
	r, err := store.Open(task, b)
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		rows, data, err := r.Next()
		if err == io.EOF {
			break
		}
		fmt.Println(rows, string(data))
	}
	r.Close()

	fmt.Println("leaked:", store.ReleaseTask(0), task.Close())
	fmt.Println(store.Close(), disk.Close(), m.Close())
	// Output:
	// stored: true <nil>
	// 1 first batch
	// 1 second batch
	// leaked: 0 0
	// <nil> <nil> <nil>
}
