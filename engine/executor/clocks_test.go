package executor_test

import (
	"testing"
	"time"

	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/task"
)

// Wall time comes from a clock that jumps an hour in each phase, CPU time
// from the real thread, which no phase keeps busy that long. So a CPU figure
// of an hour is the wall time, and a smaller one was read apart.
func TestCPUTimeIsReadApartWhereItPays(t *testing.T) {
	if threadID() == 0 {
		t.Skip("no thread CPU time on this system")
	}
	const hour = int64(time.Hour)
	clock := new(fakeClock)
	h := start(t, 1, func(h *harness, _ *executor.Config, _ *executor.Deps) {
		h.clock = clock
		h.decode = func(*executor.Context, []byte) error { clock.advance(time.Hour); return nil }
		h.store.blocks["broadcast_8"] = make([]byte, 64<<10+1)
	})
	body := func(n int) executor.Body {
		return func(*executor.Context) (executor.Encode, error) {
			clock.advance(time.Hour)
			return func(dst []byte) ([]byte, error) {
				clock.advance(time.Hour)
				return append(dst, make([]byte, n)...), nil
			}, nil
		}
	}
	largeBinary := func(d *task.Description) { d.Binary = 8 }
	largeDescription := func(d *task.Description) { d.Properties = map[string]string{"k": string(make([]byte, 64<<10))} }
	none := func(*task.Description) {}
	for _, c := range []struct {
		name                     string
		change                   func(*task.Description)
		result                   int
		decodeApart, encodeApart bool
	}{
		{"small", none, 64 << 10, false, false},
		{"large binary", largeBinary, 10, true, false},
		{"large description", largeDescription, 10, true, false},
		{"large result", none, 64<<10 + 1, false, true},
	} {
		o := h.run(body(c.result), c.change)
		m, s := o.result.Metrics, o.Stamps
		if m[task.ExecutorDeserializeTime] != hour || m[task.ExecutorRunTime] != hour || s.EncodeEnd-s.RunEnd != hour {
			t.Errorf("%s: wall times %v", c.name, m)
		}
		if cpu := m[task.ExecutorCPUTime]; cpu <= 0 || cpu >= hour {
			t.Errorf("%s: run took %d of CPU", c.name, cpu)
		}
		if cpu := m[task.ExecutorDeserializeCPUTime]; cpu <= 0 || (cpu < hour) != c.decodeApart {
			t.Errorf("%s: decode took %d of CPU", c.name, cpu)
		}
		// 0: the driver takes the wall time.
		if cpu := m[task.ResultSerializationCPUTime]; cpu < 0 || cpu >= hour || (cpu > 0) != c.encodeApart {
			t.Errorf("%s: encode took %d of CPU", c.name, cpu)
		}
	}
}
