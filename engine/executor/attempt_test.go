package executor_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/result"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/spill"
	"github.com/execbench/execbench/engine/task"
)

func TestAttemptReportsRunningThenFinished(t *testing.T) {
	h := start(t, 2)
	var seen task.Description
	tid := h.launch(func(c *executor.Context) (executor.Encode, error) {
		seen = c.Description
		return value([]byte("answer")), nil
	}, func(d *task.Description) { d.Properties = map[string]string{"k": "v"}; d.Number = 2 })
	o := h.wait(tid)
	if o.State != task.Finished || o.Route != task.RouteDirect || string(o.result.Value) != "answer" || o.Size != int64(len(o.Result)) {
		t.Fatalf("%+v", o)
	}
	all := h.driver.statuses[tid]
	if len(all) != 2 || all[0].State != task.Running || all[0].Worker != o.Worker || all[0].Executor != id.Driver {
		t.Fatalf("statuses: %+v", all)
	}
	if seen.Properties["k"] != "v" || seen.Number != 2 || seen.Partition != 1 || seen.NumPartitions != 4 || seen.Stage != 3 || seen.Attempt != 1 {
		t.Fatalf("the body saw %+v", seen)
	}
}

// The size of a result is in the message that reports it, and not among the
// metrics inside: they are encoded before it is known.
func TestRES_006_ResultSizeIsTheDriversToSet(t *testing.T) {
	h := start(t, 1, fakeTime, func(_ *harness, c *executor.Config, _ *executor.Deps) { c.Limits = result.Limits{MaxDirect: 1000} })
	for bytes, route := range map[int]task.Route{0: task.RouteDirect, 500: task.RouteDirect, 5000: task.RouteIndirect} {
		o := h.run(func(c *executor.Context) (executor.Encode, error) {
			c.Metrics[task.InputRecordsRead] = 7
			return value(make([]byte, bytes)), nil
		})
		if o.result.Metrics[task.ResultSize] != 0 || o.result.Metrics[task.InputRecordsRead] != 7 {
			t.Errorf("%d bytes: metrics %v", bytes, o.result.Metrics)
		}
		encoded := o.Status.Result
		if route == task.RouteIndirect {
			encoded = h.store.blocks[block.TaskResult(o.Task)]
		}
		if o.Route != route || o.Size != int64(len(encoded)) || len(encoded) <= bytes {
			t.Errorf("%d bytes: size %d by route %v, encoded they are %d", bytes, o.Size, o.Route, len(encoded))
		}
	}
}

func TestEXE_018_PropertiesWhileDecoding(t *testing.T) {
	var seen, binary string
	h := start(t, 1, func(h *harness, _ *executor.Config, _ *executor.Deps) {
		h.decode = func(c *executor.Context, b []byte) error {
			seen, binary = c.Properties["k"], string(b)
			return nil
		}
	})
	h.run(ok, func(d *task.Description) { d.Properties = map[string]string{"k": "v"} })
	if seen != "v" || binary != "binary" {
		t.Fatalf("decoding saw property %q and binary %q", seen, binary)
	}
}

// The breakdown under a fake clock: a delay put into one phase lengthens that
// part and no other. The delays are in everything that an attempt calls
// outside the package, the body and the listeners of others included, so that
// nothing but the making of its last message is other.
func TestDelayLengthensItsPartAlone(t *testing.T) {
	const d = time.Hour
	clock := new(fakeClock)
	at := "" // the phase that takes d
	delay := func(phase string) {
		if phase == at {
			clock.advance(d)
		}
	}
	var part task.Part
	h := start(t, 1, func(h *harness, c *executor.Config, deps *executor.Deps) {
		h.clock = clock
		c.Limits = result.Limits{MaxDirect: 64}
		c.Labels = func() bool { delay("labels"); return true }
		deps.FS = tardyFS{fsys.OS, delay}
		h.decode = func(*executor.Context, []byte) error { delay("decode"); return nil }
		h.store.onGet = func() { delay("binary") }
		h.store.onPut = func() error { delay("store"); return nil }
		h.store.onFree = func(id.Task) { delay("pins") }
	})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	binary, fetched := id.Broadcast(100), int64(0)
	run := func(size int, fails error) outcome {
		binary++
		fetched++
		h.store.mu.Lock()
		h.store.blocks[block.Broadcast(binary)] = []byte("binary")
		h.store.mu.Unlock()
		return h.run(func(c *executor.Context) (executor.Encode, error) {
			c.OnComplete(func(*executor.Context) error { delay("completion"); return nil })
			c.OnFailure(func(*executor.Context, error) error { delay("failure"); return nil })
			c.Accumulator(1, "", true, func() executor.Accumulator { return slowSum{delay} })
			c.Context() // has an end, too
			delay("compute")
			prev := c.Timer.Switch(part)
			delay("part")
			c.Timer.Switch(prev)
			return func(dst []byte) ([]byte, error) {
				delay("encode")
				return append(dst, make([]byte, size)...), nil
			}, fails
		}, func(d *task.Description) {
			d.Binary = binary
			d.Files = []task.File{{Name: "file", Source: file, Timestamp: fetched}}
		})
	}
	type parts struct{ decode, run, encode time.Duration }
	check := func(t *testing.T, phase string, size int, fails error, want parts) (metrics task.Metrics) {
		t.Helper()
		at = phase
		o := run(size, fails)
		at = ""
		s := o.Stamps
		got := parts{time.Duration(s.RunStart - s.Start), time.Duration(s.RunEnd - s.RunStart), time.Duration(s.EncodeEnd - s.RunEnd)}
		if got != want || s.End != s.EncodeEnd {
			t.Errorf("%+v and %v of other, want %+v", got, time.Duration(s.End-s.EncodeEnd), want)
		}
		if fails != nil {
			if o.State != task.Failed || time.Duration(o.failure.Metrics[task.ExecutorRunTime]) != want.run {
				t.Errorf("%v, metrics %v", o.State, o.failure.Metrics)
			}
			return o.failure.Metrics
		}
		m := o.result.Metrics
		if o.State != task.Finished || time.Duration(m[task.ExecutorDeserializeTime]) != want.decode || time.Duration(m[task.ExecutorRunTime]) != want.run || m[task.ResultSerializationTime] != 0 {
			t.Errorf("%v, metrics %v", o.State, m)
		}
		if m[task.ExecutorCPUTime] > m[task.ExecutorRunTime] {
			t.Errorf("more CPU (%d) than wall time (%d)", m[task.ExecutorCPUTime], m[task.ExecutorRunTime])
		}
		return m
	}
	inside := func(t *testing.T, m task.Metrics, want task.Metric, took time.Duration) {
		t.Helper()
		for p := range task.PartCount {
			if got := time.Duration(m[p.Metric()]); p.Metric() == want && got != took || p.Metric() != want && got != 0 {
				t.Errorf("%v is %v", p.Metric(), got)
			}
		}
	}
	for _, route := range []struct {
		name  string
		size  int
		fails error
	}{{"direct", 1, nil}, {"stored", 100, nil}, {"failed", 1, errors.New("on purpose")}} {
		t.Run(route.name, func(t *testing.T) {
			for phase, want := range map[string]parts{
				"none": {}, "labels": {decode: d}, "file": {decode: d}, "binary": {decode: d}, "decode": {decode: d},
				"compute": {run: d}, "completion": {run: d}, "failure": {run: d},
				"encode": {encode: d}, "pins": {encode: d}, "accumulator": {encode: d}, "store": {encode: d},
			} {
				if route.fails == nil && phase == "failure" || route.fails != nil && phase == "encode" || route.name != "stored" && phase == "store" {
					want = parts{} // it has no such phase
				}
				t.Run(phase, func(t *testing.T) {
					m := check(t, phase, route.size, route.fails, want)
					if route.fails == nil {
						inside(t, m, task.ComputeTime, want.run)
					}
				})
			}
			for p := task.PartCompute + 1; p < task.PartCount; p++ {
				part = p
				m := check(t, "part", route.size, route.fails, parts{run: d})
				if route.fails == nil {
					inside(t, m, p.Metric(), d)
				}
			}
			part = task.PartCompute
		})
	}
}

// slowSum is an accumulator whose encoding takes its time.
type slowSum struct{ delay func(phase string) }

func (s slowSum) AppendValue(dst []byte) []byte { s.delay("accumulator"); return append(dst, '1') }

// tardyFS takes its time to open a file.
type tardyFS struct {
	fsys.FS
	delay func(phase string)
}

func (s tardyFS) Open(name string) (fsys.File, error) { s.delay("file"); return s.FS.Open(name) }

func TestEXE_010_DamagedDescriptionFailsItsAttempt(t *testing.T) {
	h := start(t, 1)
	d := h.describe(ok)
	msg := task.AppendDescription(nil, d)
	msg[len(msg)/2] ^= 0x20
	h.Launch(d.Task, msg)
	o := h.wait(d.Task)
	if o.State != task.Failed || o.failure.Kind != task.ExceptionFailure || !strings.Contains(o.failure.Message, "checksum differs") {
		t.Fatalf("%v %+v", o.State, o.failure)
	}
	other := h.describe(ok)
	h.Launch(99999, task.AppendDescription(nil, other))
	if o := h.wait(99999); o.State != task.Failed || !strings.Contains(o.failure.Message, "describes task") {
		t.Fatalf("a description of another task: %v %+v", o.State, o.failure)
	}
	h.expectOK()
}

func TestEXE_010_DecodeFailureFailsItsAttempt(t *testing.T) {
	cause := errors.New("binary is strange")
	h := start(t, 1, func(h *harness, _ *executor.Config, _ *executor.Deps) {
		h.decode = func(c *executor.Context, _ []byte) error {
			switch c.Properties["decode"] {
			case "fail":
				return cause
			case "panic":
				panic("cannot")
			}
			return nil
		}
	})
	for how, want := range map[string]string{"fail": "binary is strange", "panic": "cannot"} {
		o := h.run(ok, func(d *task.Description) { d.Properties = map[string]string{"decode": how} })
		if o.State != task.Failed || o.failure.Message != want || o.failure.Metrics[task.ExecutorRunTime] != 0 {
			t.Errorf("%s: %v %+v", how, o.State, o.failure)
		}
	}
	if o := h.run(ok, func(d *task.Description) { d.Binary = 404 }); o.State != task.Failed || !strings.Contains(o.failure.Message, "broadcast_404") {
		t.Errorf("missing binary: %v %+v", o.State, o.failure)
	}
	h.expectOK()
}

func TestResultRoutes(t *testing.T) {
	h := start(t, 1, fakeTime, func(h *harness, c *executor.Config, _ *executor.Deps) {
		c.Limits = result.Limits{MaxDirect: 1000, MaxResult: 5000}
	})
	for _, c := range []struct {
		bytes int
		want  task.Route
	}{{10, task.RouteDirect}, {900, task.RouteDirect}, {1001, task.RouteIndirect}, {4900, task.RouteIndirect}, {5001, task.RouteDropped}} {
		data := bytes.Repeat([]byte{'x'}, c.bytes)
		o := h.run(func(*executor.Context) (executor.Encode, error) { return value(data), nil })
		if o.State != task.Finished || o.Route != c.want || o.Size < int64(c.bytes) {
			t.Errorf("%d bytes: %v by route %v, size %d", c.bytes, o.State, o.Route, o.Size)
		}
		stored, level := h.store.blocks[block.TaskResult(o.Task)], h.store.levels[block.TaskResult(o.Task)]
		switch c.want {
		case task.RouteDirect:
			if stored != nil || !bytes.Equal(o.result.Value, data) {
				t.Errorf("%d bytes: value differs, or it was stored", c.bytes)
			}
		case task.RouteIndirect:
			if int64(len(stored)) != o.Size || level != block.MemoryAndDiskSer || !bytes.Equal(o.result.Value, data) || len(o.Result) != 0 {
				t.Errorf("%d bytes: %d stored at %v, %d in the message", c.bytes, len(stored), level, len(o.Result))
			}
		case task.RouteDropped:
			if stored != nil || len(o.Result) != 0 || o.Block != "" {
				t.Errorf("%d bytes: dropped result is still somewhere: %q", c.bytes, o.Block)
			}
		}
	}
	h.store.onPut = func() error { return errors.New("disk full") }
	o := h.run(func(*executor.Context) (executor.Encode, error) { return value(make([]byte, 2000)), nil })
	if o.State != task.Failed || !strings.Contains(o.failure.Message, "disk full") || o.failure.NoRetry {
		t.Errorf("result that cannot be stored: %v %+v", o.State, o.failure)
	}
}

// The route is decided on the encoded size, metrics included, and strictly.
func TestRouteBoundaryIsTheEncodedSize(t *testing.T) {
	const limit = 1 << 20
	h := start(t, 1, fakeTime, func(_ *harness, c *executor.Config, _ *executor.Deps) { c.Limits = result.Limits{MaxDirect: limit} })
	seen := map[task.Route]int{}
	for n := limit - 40; n <= limit; n++ {
		o := h.run(func(*executor.Context) (executor.Encode, error) { return value(make([]byte, n)), nil })
		want := task.RouteDirect
		if o.Size > limit {
			want = task.RouteIndirect
		}
		if o.Route != want || o.Size <= int64(n) {
			t.Errorf("a value of %d bytes is %d encoded and goes %v, want %v", n, o.Size, o.Route, want)
		}
		seen[o.Route]++
	}
	if len(seen) != 2 {
		t.Errorf("the boundary was not crossed: %v", seen)
	}
}

func TestEncodeFailureIsFinal(t *testing.T) {
	h := start(t, 1)
	for name, encode := range map[string]executor.Encode{
		"error": func(dst []byte) ([]byte, error) { return dst, errors.New("no codec") },
		"panic": func(dst []byte) ([]byte, error) { panic("no codec") },
		"cut":   func(dst []byte) ([]byte, error) { return nil, nil },
	} {
		o := h.run(func(*executor.Context) (executor.Encode, error) { return encode, nil })
		if o.State != task.Failed || o.failure.Kind != task.ExceptionFailure || !o.failure.NoRetry || !strings.Contains(o.failure.Message, "cannot encode the result") {
			t.Errorf("%s: %v %+v", name, o.State, o.failure)
		}
	}
	h.expectOK()
}

func TestEXE_003_LeakedMemory(t *testing.T) {
	leak := func(err error) executor.Body {
		return func(c *executor.Context) (executor.Encode, error) {
			if _, e := c.Memory().Consumer("rows", nil).Alloc(16 << 10); e != nil {
				return nil, e
			}
			return value(nil), err
		}
	}
	strict := func(_ *harness, c *executor.Config, _ *executor.Deps) { c.LeakIsError, c.PinLeakIsError = true, true }
	h := start(t, 1, strict)
	run := func(h *harness, body executor.Body) outcome {
		free := h.memory.Free()
		o := h.run(body)
		if kept := free - h.memory.Free(); kept != 0 {
			t.Errorf("%v %q: %d bytes stay reserved", o.State, o.failure.Message, kept)
		}
		return o
	}
	o := run(h, leak(nil))
	if o.State != task.Failed || o.failure.Class != "*executor.LeakError" || !strings.Contains(o.failure.Message, "16384 bytes") {
		t.Errorf("strict: %v %+v", o.State, o.failure)
	}
	if o := run(h, leak(errors.New("own reason"))); o.failure.Message != "own reason" {
		t.Errorf("a failing attempt that leaks: %+v", o.failure)
	}
	pinned := func(c *executor.Context) (executor.Encode, error) {
		h.store.mu.Lock()
		h.store.pins[c.Task] = 2
		h.store.mu.Unlock()
		return nil, nil
	}
	if o := run(h, pinned); o.State != task.Failed || !strings.Contains(o.failure.Message, "2 pinned blocks") {
		t.Errorf("strict pins: %v %+v", o.State, o.failure)
	}
	o = run(start(t, 1), leak(nil))
	if o.State != task.Finished || o.result.Metrics[task.LeakedMemory] != 16<<10 || o.result.Metrics[task.PeakExecutionMemory] != 16<<10 {
		t.Errorf("lax: %v %v", o.State, o.result.Metrics)
	}
}

// However an attempt ends, when the driver hears of it no memory of the
// attempt's is left, what held its value included, and no pin.
func TestEndedAttemptHoldsNothing(t *testing.T) {
	h := start(t, 1)
	free := h.memory.Free()
	h.driver.onStatus = func(s *task.Status) {
		if !s.State.Terminal() {
			return
		}
		h.store.mu.Lock()
		pins := len(h.store.pins)
		h.store.mu.Unlock()
		if held := free - h.memory.Free(); held != 0 || pins != 0 {
			t.Errorf("%v: it holds %d bytes, %d blocks", s.State, held, pins)
		}
	}
	holds := func(c *executor.Context) {
		for _, name := range []string{"rows", "result"} {
			m := c.Memory().Consumer(name, nil)
			if _, err := m.Alloc(16 << 10); err != nil {
				t.Error(err)
			}
			if name == "result" {
				c.HoldResult(m)
			}
		}
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		h.store.pins[c.Task] = 2
	}
	for want, ends := range map[task.State][]executor.Body{
		task.Finished: {ok},
		task.Killed: {func(c *executor.Context) (executor.Encode, error) {
			h.Kill(c.Task, false, "for the test")
			return nil, c.Check()
		}},
		task.Failed: {
			failing(errors.New("no")),
			func(*executor.Context) (executor.Encode, error) { panic("no") },
			func(*executor.Context) (executor.Encode, error) { runtime.Goexit(); return nil, nil },
			func(*executor.Context) (executor.Encode, error) {
				return func([]byte) ([]byte, error) { return nil, errors.New("no value") }, nil
			},
			func(c *executor.Context) (executor.Encode, error) {
				c.OnComplete(func(*executor.Context) error { return errors.New("no end") })
				return nil, nil
			},
		},
	} {
		for i, end := range ends {
			o := h.run(func(c *executor.Context) (executor.Encode, error) { holds(c); return end(c) })
			if o.State != want {
				t.Errorf("end %d is %v, want %v: %+v", i, o.State, want, o.failure)
			}
		}
	}
	h.expectOK()
}

// What a block's reader holds in the attempt's account goes with its pin, and
// is not counted as leaked memory beside it.
func TestPinsAreReleasedBeforeTheAccountCloses(t *testing.T) {
	var release func()
	h := start(t, 1, func(h *harness, _ *executor.Config, _ *executor.Deps) {
		h.store.onFree = func(id.Task) { release() }
	})
	o := h.run(func(c *executor.Context) (executor.Encode, error) {
		reader := c.Memory().Consumer("block reader", nil)
		release = reader.Close
		_, err := reader.Alloc(16 << 10)
		return nil, err
	})
	if m := o.result.Metrics; m[task.LeakedMemory] != 0 || m[task.PeakExecutionMemory] != 16<<10 {
		t.Errorf("leaked %d, peak %d", m[task.LeakedMemory], m[task.PeakExecutionMemory])
	}
}

// Profiles tell which stage an attempt, and what it starts, belongs to.
func TestAttemptsRunUnderProfileLabels(t *testing.T) {
	h := start(t, 1, func(_ *harness, c *executor.Config, _ *executor.Deps) { c.Labels = func() bool { return true } })
	for stage := range id.Stage(3) {
		h.run(func(c *executor.Context) (executor.Encode, error) {
			job, _ := pprof.Label(c.Context(), "job")
			label, _ := pprof.Label(c.Context(), "stage")
			if job != "12" || label != c.StageAttempt.String() {
				t.Errorf("stage %s runs under job %q, stage %q", c.StageAttempt, job, label)
			}
			return nil, nil
		}, func(d *task.Description) { d.Job, d.Stage = 12, stage })
	}
}

type sum int64

func (s *sum) AppendValue(dst []byte) []byte { return fmt.Append(dst, int64(*s)) }

// Of the metrics, too, only what an attempt touched travels, and the size of
// its result always.
func TestACC_006_OnlyTouchedMetricsTravel(t *testing.T) {
	h := start(t, 1, fakeTime)
	o := h.run(func(c *executor.Context) (executor.Encode, error) {
		c.Metrics[task.InputRecordsRead] = 5
		return value([]byte("x")), nil
	})
	var want task.Metrics
	want[task.InputRecordsRead] = 5
	if o.result.Metrics != want || o.Size <= 0 {
		t.Errorf("metrics %v, size %d", o.result.Metrics, o.Size)
	}
	alone, none := task.AppendMetrics(nil, &want), task.AppendMetrics(nil, new(task.Metrics))
	if len(none) != 1 || len(alone) > len(none)+binary.MaxVarintLen64 {
		t.Errorf("%d bytes for no metric, %d for one", len(none), len(alone))
	}
}

func TestACC_006_OnlyTouchedAccumulatorsTravel(t *testing.T) {
	h := start(t, 1)
	body := func(err error) executor.Body {
		return func(c *executor.Context) (executor.Encode, error) {
			fresh := func() executor.Accumulator { return new(sum) }
			for range 3 {
				*c.Accumulator(1, "rows", false, fresh).(*sum)++
				*c.Accumulator(2, "tries", true, fresh).(*sum) += 2
			}
			return nil, err
		}
	}
	rows := task.AccumUpdate{ID: 1, Name: "rows", Value: []byte("3")}
	tries := task.AccumUpdate{ID: 2, Name: "tries", Value: []byte("6"), CountFailed: true}
	if o := h.run(body(nil)); !reflect.DeepEqual(o.result.Accums, []task.AccumUpdate{rows, tries}) {
		t.Errorf("success: %+v", o.result.Accums)
	}
	if o := h.run(body(errors.New("no"))); !reflect.DeepEqual(o.failure.Accums, []task.AccumUpdate{tries}) {
		t.Errorf("failure: %+v", o.failure.Accums)
	}
	if o := h.run(ok); o.result.Accums != nil {
		t.Errorf("untouched: %+v", o.result.Accums)
	}
}

func TestFilesAreFetchedWhenNewer(t *testing.T) {
	clock := new(fakeClock)
	source := filepath.Join(t.TempDir(), "words.txt")
	write := func(s string) {
		if err := os.WriteFile(source, []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var dir string
	fs := &slowFS{FS: fsys.OS, slow: func() { clock.advance(time.Second) }}
	h := start(t, 1, func(h *harness, c *executor.Config, d *executor.Deps) {
		h.clock = clock
		dir = c.Dir
		d.FS = fs
	})
	read := func(timestamp int64) (string, time.Duration) {
		var got string
		o := h.run(func(c *executor.Context) (executor.Encode, error) {
			path, err := c.File("words.txt")
			if err != nil {
				return nil, err
			}
			b, err := os.ReadFile(path)
			got = string(b)
			return nil, err
		}, func(d *task.Description) {
			d.Files = []task.File{{Name: "words.txt", Source: source, Timestamp: timestamp}}
		})
		if o.State != task.Finished {
			t.Fatalf("%+v", o.failure)
		}
		m := o.result.Metrics
		if m[task.FileFetchTime] != m[task.ExecutorDeserializeTime] {
			t.Errorf("fetching took %d, decoding with it %d", m[task.FileFetchTime], m[task.ExecutorDeserializeTime])
		}
		return got, time.Duration(m[task.FileFetchTime])
	}
	write("one")
	if got, took := read(5); got != "one" || took != time.Second {
		t.Errorf("first: %q in %v", got, took)
	}
	write("two")
	if got, took := read(5); got != "one" || took != 0 {
		t.Errorf("same timestamp: %q in %v", got, took)
	}
	if got, took := read(6); got != "two" || took != time.Second {
		t.Errorf("newer: %q in %v", got, took)
	}
	if o := h.run(ok, func(d *task.Description) { d.Files = []task.File{{Name: "../x", Source: source, Timestamp: 1}} }); o.State != task.Failed {
		t.Error("a name that leads out of the folder is fetched")
	}
	if o := h.run(ok, func(d *task.Description) { d.Files = []task.File{{Name: "y", Source: source + "?", Timestamp: 1}} }); o.State != task.Failed || !strings.Contains(o.failure.Message, "words.txt?") {
		t.Errorf("a missing source: %v %+v", o.State, o.failure)
	}
	if o := h.run(func(c *executor.Context) (executor.Encode, error) { _, err := c.File("z"); return nil, err }); !strings.Contains(o.failure.Message, `"z"`) {
		t.Errorf("a name never added: %+v", o.failure)
	}
	if err := h.Close(time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder of task files is still there: %v", err)
	}
}

type slowFS struct {
	fsys.FS
	slow func()
}

func (s *slowFS) Create(name string) (fsys.File, error) { s.slow(); return s.FS.Create(name) }

func TestFileFaults(t *testing.T) {
	source := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(source, make([]byte, 100<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	for k := 1; ; k++ {
		faulty := fsys.NewFaulty(fsys.OS, fsys.Fault{K: k})
		h := start(t, 1, func(h *harness, _ *executor.Config, d *executor.Deps) { d.FS = faulty })
		o := h.run(ok, func(d *task.Description) { d.Files = []task.File{{Name: "in", Source: source, Timestamp: 1}} })
		if open := faulty.StillOpen(); len(open) != 0 {
			t.Errorf("operation %d fails: still open: %v", k, open)
		}
		if faulty.Fired() == 0 {
			if err := h.Close(time.Minute); err == nil && faulty.Fired() != 0 {
				t.Errorf("operation %d fails while closing, which does not say so", k)
			}
			if o.State != task.Finished {
				t.Fatalf("no fault, and yet %+v", o.failure)
			}
			if k < 5 {
				t.Fatalf("only %d operations seen", k-1)
			}
			return
		}
		if o.State == task.Failed && !strings.Contains(o.failure.Message, `cannot fetch file "in"`) {
			t.Errorf("operation %d fails: %+v", k, o.failure)
		}
		if err := h.Close(time.Minute); err != nil {
			t.Error(err)
		}
	}
}

func TestMapOutputsAreCachedByEpoch(t *testing.T) {
	h := start(t, 1)
	asked, epoch := 0, int64(1)
	h.driver.outputs = func(s id.Shuffle, min int64) ([]*task.MapStatus, int64, error) {
		asked++
		if min > epoch {
			t.Errorf("asked for epoch %d at %d", min, epoch)
		}
		return make([]*task.MapStatus, int(s)), epoch, nil
	}
	read := func(at int64, s id.Shuffle) {
		t.Helper()
		o := h.run(func(c *executor.Context) (executor.Encode, error) {
			list, err := c.MapOutputs(s)
			if err == nil && len(list) != int(s) {
				err = fmt.Errorf("%d statuses", len(list))
			}
			return nil, err
		}, func(d *task.Description) { d.Epoch = at })
		if o.State != task.Finished {
			t.Fatalf("%+v", o.failure)
		}
	}
	for i, c := range []struct {
		epoch, driver int64
		shuffle       id.Shuffle
		asked         int
	}{{1, 1, 4, 1}, {1, 1, 4, 1}, {1, 1, 5, 2}, {2, 2, 4, 3}, {1, 2, 4, 3}, {2, 3, 5, 4}, {2, 3, 4, 5}, {3, 3, 4, 5}} {
		epoch = c.driver
		read(c.epoch, c.shuffle)
		if asked != c.asked {
			t.Fatalf("step %d: the driver was asked %d times, want %d", i, asked, c.asked)
		}
	}
	h.RemoveShuffle(4)
	read(3, 4)
	if asked != 6 {
		t.Error("a removed shuffle is still cached")
	}
	h.driver.outputs = func(id.Shuffle, int64) ([]*task.MapStatus, int64, error) { return nil, 0, errors.New("gone") }
	if o := h.run(func(c *executor.Context) (executor.Encode, error) { _, err := c.MapOutputs(9); return nil, err }); !strings.Contains(o.failure.Message, "shuffle 9: gone") {
		t.Errorf("%+v", o.failure)
	}
}

// Who is told of a newer epoch drops what it knew and asks anew: an output
// that is gone is then missed by each who reads, and not by the first alone.
func TestMOT_001_ANewEpochIsReadAnew(t *testing.T) {
	h := start(t, 1)
	known := func(m id.Task) *task.MapStatus { // of an output with nothing in it
		return task.NewMapStatus(task.Location{Host: "a", Executor: "1"}, m, make([]int64, 4))
	}
	list, epoch, asked := []*task.MapStatus{known(5), known(6)}, int64(1), 0
	h.driver.outputs = func(id.Shuffle, int64) ([]*task.MapStatus, int64, error) {
		asked++
		return list, epoch, nil
	}
	read := func(at int64) outcome {
		return h.run(func(c *executor.Context) (executor.Encode, error) {
			statuses, err := c.MapOutputs(4)
			if err != nil {
				return nil, err
			}
			r := shuffle.NewReader(nil, spill.Env{Memory: c.Memory()}, shuffle.Source{Shuffle: 4, Statuses: statuses, From: 2, To: 3})
			defer r.Close()
			if _, err = r.Next(); err == io.EOF {
				err = nil
			}
			return nil, err
		}, func(d *task.Description) { d.Epoch = at })
	}
	for range 2 {
		if o := read(1); o.State != task.Finished || asked != 1 {
			t.Fatalf("asked %d times: %v, %+v", asked, o.State, o.failure)
		}
	}
	list, epoch = []*task.MapStatus{known(5), nil}, 2
	if o := read(1); o.State != task.Finished || asked != 1 { // it has not heard of that
		t.Fatalf("asked %d times: %v, %+v", asked, o.State, o.failure)
	}
	for range 3 {
		o := read(2)
		if want := (task.FetchFailure{Shuffle: 4, Map: -1, MapIndex: -1, Reduce: 2}); o.State != task.Failed || o.failure.Kind != task.FetchFailed || o.failure.Fetch != want {
			t.Fatalf("%v, %+v, want %+v", o.State, o.failure, want)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times in all, want 2", asked)
	}
}
