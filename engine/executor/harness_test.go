package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore is a block store in a map.
type fakeStore struct {
	mu     sync.Mutex
	blocks map[block.ID][]byte
	levels map[block.ID]block.Level
	pins   map[id.Task]int
	onGet  func()
	onPut  func() error
	onFree func(t id.Task)
}

func (s *fakeStore) PutBytes(b block.ID, level block.Level, data []byte) error {
	if s.onPut != nil {
		if err := s.onPut(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks[b] = append([]byte(nil), data...)
	s.levels[b] = level
	return nil
}

func (s *fakeStore) GetBytes(b block.ID) ([]byte, func(), error) {
	if s.onGet != nil {
		s.onGet()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.blocks[b]
	if !ok {
		return nil, nil, fmt.Errorf("no block %s", b)
	}
	return data, func() {}, nil
}

func (s *fakeStore) ReleaseTask(t id.Task) int {
	if s.onFree != nil {
		s.onFree(t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.pins[t]
	delete(s.pins, t)
	return n
}

// fakeDriver records every status, tells who waits for a terminal one, and
// does on a worker's goroutine what a test asks it to.
type fakeDriver struct {
	mu       sync.Mutex
	statuses map[id.Task][]task.Status
	ended    map[id.Task]chan struct{}
	bad      []error
	lost     []int
	busy     bool // it says that it takes several messages later

	onStatus  func(s *task.Status)
	canCommit func(stage id.StageAttempt, partition, attempt int32) bool
	barrier   func(ctx context.Context, r task.BarrierRequest) ([]string, error)
	outputs   func(s id.Shuffle, minEpoch int64) ([]*task.MapStatus, int64, error)
}

func (d *fakeDriver) StatusUpdate(msg []byte) {
	var s task.Status
	err := task.DecodeStatus(msg, &s)
	s.Result = append([]byte(nil), s.Result...)
	d.mu.Lock()
	if err != nil {
		d.bad = append(d.bad, err)
	}
	d.statuses[s.Task] = append(d.statuses[s.Task], s)
	d.mu.Unlock()
	if d.onStatus != nil {
		d.onStatus(&s)
	}
	if s.State.Terminal() {
		close(d.end(s.Task)) // a second terminal status panics here
	}
}

func (d *fakeDriver) StatusUpdates(messages [][]byte) (taken bool) {
	for _, msg := range messages {
		d.StatusUpdate(msg)
	}
	return !d.busy
}

func (d *fakeDriver) end(t id.Task) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ended[t] == nil {
		d.ended[t] = make(chan struct{})
	}
	return d.ended[t]
}

func (d *fakeDriver) CanCommit(stage id.StageAttempt, partition, attempt int32) bool {
	return d.canCommit != nil && d.canCommit(stage, partition, attempt)
}

func (d *fakeDriver) Barrier(ctx context.Context, r task.BarrierRequest) ([]string, error) {
	if d.barrier == nil {
		return nil, errors.New("no barrier here")
	}
	return d.barrier(ctx, r)
}

func (d *fakeDriver) MapOutputs(s id.Shuffle, minEpoch int64) ([]*task.MapStatus, int64, error) {
	if d.outputs == nil {
		return nil, 0, errors.New("no outputs here")
	}
	return d.outputs(s, minEpoch)
}

func (d *fakeDriver) SlotLost(t id.Task, left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = append(d.lost, left)
}

// harness is an executor between a fake driver and a fake store.
type harness struct {
	*executor.Executor
	t      testing.TB
	driver *fakeDriver
	store  *fakeStore
	memory *memory.Manager

	bodies  sync.Map // id.Task -> executor.Body
	decode  func(c *executor.Context, binary []byte) error
	next    atomic.Int64
	clock   *fakeClock
	running atomic.Int32
	most    atomic.Int32
}

const binaryID = id.Broadcast(7)

// fakeClock moves only when told to.
type fakeClock struct{ now atomic.Int64 }

func (c *fakeClock) advance(d time.Duration) { c.now.Add(int64(d)) }

func start(t testing.TB, slots int, change ...func(h *harness, c *executor.Config, d *executor.Deps)) *harness {
	t.Helper()
	m, err := memory.NewManager(memory.Config{Budget: 128 * units.MiB, Cores: slots})
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{t: t, memory: m}
	h.driver = &fakeDriver{statuses: map[id.Task][]task.Status{}, ended: map[id.Task]chan struct{}{}}
	h.store = &fakeStore{blocks: map[block.ID][]byte{block.Broadcast(binaryID): []byte("binary")}, levels: map[block.ID]block.Level{}, pins: map[id.Task]int{}}
	began := time.Now()
	cfg := executor.Config{ID: id.Driver, Slots: slots, Dir: t.TempDir() + "/files", Now: func() int64 {
		if h.clock != nil {
			return h.clock.now.Load()
		}
		return int64(time.Since(began))
	}}
	deps := executor.Deps{Driver: h.driver, Memory: m, Store: h.store, Decode: func(c *executor.Context, binary []byte) (executor.Body, error) {
		if h.decode != nil {
			if err := h.decode(c, binary); err != nil {
				return nil, err
			}
		}
		b, ok := h.bodies.Load(c.Task)
		if !ok {
			return nil, fmt.Errorf("no body for task %d", c.Task)
		}
		return h.counted(b.(executor.Body)), nil
	}}
	for _, f := range change {
		f(h, &cfg, &deps)
	}
	h.Executor, err = executor.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(time.Minute); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if most := int(h.most.Load()); most > slots {
			t.Errorf("%d attempts at once on %d workers", most, slots)
		}
		for _, err := range h.driver.bad {
			t.Errorf("driver cannot decode a status: %v", err)
		}
	})
	return h
}

// counted watches how many bodies run at once.
func (h *harness) counted(b executor.Body) executor.Body {
	return func(c *executor.Context) (executor.Encode, error) {
		n := h.running.Add(1)
		defer h.running.Add(-1)
		for most := h.most.Load(); n > most && !h.most.CompareAndSwap(most, n); most = h.most.Load() {
		}
		return b(c)
	}
}

func fakeTime(h *harness, _ *executor.Config, _ *executor.Deps) { h.clock = new(fakeClock) }

// describe makes a description of a new task with a body.
func (h *harness) describe(body executor.Body) *task.Description {
	n := h.next.Add(1)
	d := &task.Description{
		TaskAttempt: id.TaskAttempt{StageAttempt: id.StageAttempt{Stage: 3, Attempt: 1}, Index: int32(n), Task: id.Task(n)},
		Partition:   int32(n), NumPartitions: 4, Kind: task.ResultTask, Executor: id.Driver, Binary: binaryID, CPUs: 1,
	}
	h.bodies.Store(d.Task, body)
	return d
}

func (h *harness) launch(body executor.Body, change ...func(d *task.Description)) id.Task {
	d := h.describe(body)
	for _, f := range change {
		f(d)
	}
	h.Launch(d.Task, task.AppendDescription(nil, d))
	return d.Task
}

// outcome is the terminal status of an attempt, taken apart.
type outcome struct {
	task.Status
	result  task.Result
	failure task.Failure
}

func (h *harness) wait(t id.Task) outcome {
	h.t.Helper()
	select {
	case <-h.driver.end(t):
	case <-time.After(time.Minute):
		h.t.Fatalf("task %d has not ended", t)
	}
	h.driver.mu.Lock()
	defer h.driver.mu.Unlock()
	all := h.driver.statuses[t]
	o := outcome{Status: all[len(all)-1]}
	var err error
	switch {
	case o.State != task.Finished:
		err = task.DecodeFailure(o.Result, &o.failure)
	case o.Route == task.RouteDirect:
		err = task.DecodeResult(o.Result, &o.result)
	case o.Route == task.RouteIndirect:
		h.store.mu.Lock()
		err = task.DecodeResult(h.store.blocks[block.ID(o.Block)], &o.result)
		h.store.mu.Unlock()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if s := o.Stamps; s.Start > s.RunStart || s.RunStart > s.RunEnd || s.RunEnd > s.EncodeEnd || s.EncodeEnd > s.End {
		h.t.Fatalf("stamps are out of order: %+v", s)
	}
	return o
}

// statuses returns what was reported of an attempt so far.
func (h *harness) statuses(t id.Task) []task.Status {
	h.driver.mu.Lock()
	defer h.driver.mu.Unlock()
	return slices.Clone(h.driver.statuses[t])
}

func (h *harness) run(body executor.Body, change ...func(d *task.Description)) outcome {
	h.t.Helper()
	return h.wait(h.launch(body, change...))
}

func value(b []byte) executor.Encode {
	return func(dst []byte) ([]byte, error) { return append(dst, b...), nil }
}

func ok(c *executor.Context) (executor.Encode, error) { return value([]byte("ok")), nil }

func failing(err error) executor.Body {
	return func(*executor.Context) (executor.Encode, error) { return nil, err }
}

// expectOK fails the test unless the pool still runs attempts.
func (h *harness) expectOK() {
	h.t.Helper()
	if o := h.run(ok); o.State != task.Finished || string(o.result.Value) != "ok" {
		h.t.Fatalf("after that the pool answers %v %q %v", o.State, o.result.Value, o.failure)
	}
}
