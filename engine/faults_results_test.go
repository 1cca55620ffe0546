package engine_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/execbench/execbench/engine"
	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// TestFaultsOfStoredResults damages results that wait in the block store for
// the driver, in memory and on disk: such a result is lost, its task runs
// again, and when that happens too often the job ends with the task's error.
func TestFaultsOfStoredResults(t *testing.T) {
	type way func(*testing.T, *rig, block.ID)
	inMemory := map[string]way{
		"lost":    func(_ *testing.T, r *rig, b block.ID) { engine.RemoveBlock(r.Session, b) },
		"flipped": func(t *testing.T, r *rig, b block.ID) { check(t, engine.FlipBlock(r.Session, b), 0, 0) },
	}
	onDisk := map[string]way{}
	for name, do := range harms {
		onDisk[name] = func(t *testing.T, r *rig, b block.ID) {
			files := r.files(string(b))
			if len(files) != 1 {
				t.Errorf("the files of %s are %v", b, files)
				return
			}
			if info, err := os.Stat(files[0]); err != nil || info.Size() == 0 {
				t.Errorf("%s is empty: %v", files[0], err)
			}
			harm(t, files[0], do)
		}
	}
	run := func(where string, ways map[string]way, disk bool, sizes ...int) {
		var want []string
		for _, n := range sizes {
			want = append(want, strings.Repeat("x", n))
		}
		for name, do := range ways {
			for _, times := range []int64{1, 3, 4} {
				t.Run(fmt.Sprintf("%s %s %d times", where, name, times), func(t *testing.T) {
					var r *rig
					var damaged atomic.Int64
					r = start(t, engine.Config{Cores: 1, Memory: 48 * units.MiB, Conf: conf("task.maxDirectResultSize", "1KiB")}, func(e event.Event) {
						// It comes from the attempt that stores its result, before it says so.
						b, ok := e.(*event.BlockUpdated)
						if !ok || !strings.HasPrefix(b.Block, "taskresult_") || b.Level == block.LevelNone {
							return
						}
						if (b.Disk > 0) != disk {
							t.Errorf("%s has %d bytes in memory, %d on disk", b.Block, b.Memory, b.Disk)
						}
						if damaged.Add(1) <= times {
							do(t, r, block.ID(b.Block))
						}
					})
					if disk {
						defer engine.Crowd(r.Session, 6600*units.KiB)()
					}
					rows, err := engine.FromFunc(r.Session, "large", 1, func(_ *engine.Task, _ int, emit func([]string) error) error {
						for _, row := range want {
							if err := emit([]string{row}); err != nil {
								return err
							}
						}
						return nil
					}).Collect(t.Context())
					var te *engine.TaskError
					switch {
					case times < 4 && (err != nil || !slices.Equal(rows, want)):
						t.Errorf("%d rows of %d, or others, or %v", len(rows), len(want), err)
					case times == 4 && (!errors.As(err, &te) || te.Failures != 4 || te.Failure.Kind != task.TaskResultLost):
						t.Errorf("got %v", err)
					}
					check(t, nil, r.rec.ended(task.TaskResultLost), int(times))
					check(t, nil, r.held("stored results"), 0)
					if files := r.files("taskresult_"); len(files) > 0 {
						t.Errorf("files are left: %v", files)
					}
				})
			}
		}
	}
	run("in memory", inMemory, false, 100_000)
	// The first row's buffer doubles for the second, and there is room for both
	// buffers (6 MiB); but beside the second (4 MiB) there is none for a copy.
	run("on disk", onDisk, true, 2<<20, 900<<10)
}
