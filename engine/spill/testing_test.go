package spill

import (
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// bench is what a kernel under test works with. Its cleanup asserts that
// nothing is left: no byte, no file.
type bench struct {
	manager *memory.Manager
	disk    *storage.Disk
	env     Env
	metrics task.Metrics
	timer   task.Timer
}

// newBench returns an environment whose attempt may hold share bytes.
func newBench(tb testing.TB, share units.Bytes) *bench {
	return newBenchOn(tb, share, fsys.OS)
}

func newBenchOn(tb testing.TB, share units.Bytes, fs fsys.FS) *bench {
	tb.Helper()
	m, err := memory.NewManager(memory.Config{Budget: share, Reserved: -1, StorageFraction: -1, Floor: 1, Cores: 1})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := storage.OpenDisk(tb.TempDir(), fs)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{manager: m, disk: d}
	attempt := m.NewTask(1)
	b.env = Env{Memory: attempt, Disk: d, Metrics: &b.metrics, Timer: &b.timer}
	tb.Cleanup(func() {
		if leaked := attempt.Close(); leaked != 0 {
			tb.Errorf("%d bytes were not given back", leaked)
		}
		if names := d.Names(); len(names) != 0 {
			tb.Errorf("files left: %v", names)
		}
		if err := d.Close(); err != nil {
			tb.Error(err)
		}
		if err := m.Close(); err != nil {
			tb.Error(err)
		}
	})
	return b
}

func mustCodec[T any](tb testing.TB) codec.Codec[T] {
	tb.Helper()
	c, err := codec.For[T]()
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func mustKey[K any](tb testing.TB) codec.Key[K] {
	tb.Helper()
	k, err := codec.KeyOf[K]()
	if err != nil {
		tb.Fatal(err)
	}
	return k
}
