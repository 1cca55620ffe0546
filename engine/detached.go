package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/shuffle"
	"github.com/execbench/execbench/engine/task"
)

// Detached is all that an executor is told of one task attempt, as data: any
// process of the same executable can run it. A Recording makes them.
type Detached struct {
	// Description is the attempt, as task.AppendDescription encodes it.
	Description []byte
	// Binary is the task binary of its stage attempt.
	Binary []byte
	// Outputs are the map outputs that it may read: by shuffle, and then by
	// map index, as task.AppendMapStatus encodes them; nil where one is
	// missing. Shuffles that it does not read may be there too.
	Outputs map[id.Shuffle][][]byte
	// Broadcasts are the encoded broadcast values that it may read.
	Broadcasts map[id.Broadcast][]byte
	// Blocks is the folder with the files of those outputs: another
	// session's. Files are only read. Empty: there are none.
	Blocks string
}

// RunDetached runs one task in a process that never built its dataset:
//
//  1. It opens a session without a scheduler: memory, a folder of its own,
//     block store, shuffle, executor.
//  2. The executor decodes the description and the task binary, builds the
//     program that the binary names, and runs the attempt, under the ids that
//     they had where they were recorded.
//  3. The driver's part is played from d: it tells where map outputs are and
//     lets the attempt commit its output.
//
// cfg must have the Conf and the Cores of the recorded session, since
// programs may lay out their lineage by them; its Events and Record are not
// used. An attempt that writes an output folder needs the folder begun, as
// the driver's side begins it (source.CreateOutput), and leaves its file
// there as committed.
//
// It blocks until the attempt has ended; when ctx ends, the attempt is
// killed. The status is the attempt's terminal one, with its encoded result
// or failure in Result. The error is nil if the attempt finished. If not, it
// wraps what kept the attempt from starting, such as ErrNotPortable or, for
// damaged data, task.ErrCorrupt, or else is the attempt's *task.Failure.
//
// Partitions that were cached, or checkpointed after the program was built,
// are computed anew.
func RunDetached(ctx context.Context, cfg Config, d Detached) (task.Status, error) {
	var desc task.Description
	if err := task.DecodeDescription(d.Description, &desc); err != nil {
		return task.Status{}, fmt.Errorf("cannot run a detached task: %w", err)
	}
	fail := func(err error) error { return fmt.Errorf("cannot run detached %s: %w", desc.TaskAttempt, err) }
	outputs, err := decodeOutputs(d.Outputs)
	if err != nil {
		return task.Status{}, fail(err)
	}
	cfg.Events, cfg.Record = nil, nil
	cfg.Executors, cfg.Hosts = 1, nil
	s, budget, err := newSession(cfg)
	if err != nil {
		return task.Status{}, err
	}
	a := &detachedDriver{outputs: outputs, ended: make(chan struct{})}
	err = s.startStores(cfg, budget)
	if err == nil {
		a.results = storedResults{s.core}
		err = s.admit(&desc, &d)
	}
	only := s.groups.find(id.Driver)
	if err == nil {
		s.groups.peer = func(id.Executor) *shuffle.Manager { return only.shuffles } // it has what others wrote
		s.groups.driver = a
		s.groups.decode = func(g *group) executor.DecodeFunc { return a.decoding(s.decoderOf(g)) }
		err = s.startGroup(only)
	}
	if err != nil {
		s.stop(0)
		return task.Status{}, fail(err)
	}
	only.executor.Launch(desc.Task, d.Description)
	select {
	case <-a.ended:
	case <-ctx.Done():
		only.executor.Kill(desc.Task, true, context.Cause(ctx).Error())
	}
	stopped := s.stop(closeGrace)
	status, err := a.end()
	switch {
	case err != nil:
		return status, fail(err)
	case stopped != nil:
		return status, fail(stopped)
	}
	return status, nil
}

// decodeOutputs decodes map statuses.
func decodeOutputs(encoded map[id.Shuffle][][]byte) (map[id.Shuffle][]*task.MapStatus, error) {
	outputs := make(map[id.Shuffle][]*task.MapStatus, len(encoded))
	for n, list := range encoded {
		statuses := make([]*task.MapStatus, len(list))
		for i, b := range list {
			if b == nil {
				continue
			}
			statuses[i] = new(task.MapStatus)
			if err := task.DecodeMapStatus(b, statuses[i]); err != nil {
				return nil, fmt.Errorf("shuffle %d, map %d: %w", n, i, err)
			}
		}
		outputs[n] = statuses
	}
	return outputs, nil
}

// admit puts what a detached attempt reads where the executor looks for it.
func (s *Session) admit(desc *task.Description, d *Detached) error {
	if err := s.store.PutBytes(block.Broadcast(desc.Binary), block.MemoryAndDiskSer, d.Binary); err != nil {
		return fmt.Errorf("cannot store the task binary: %w", err)
	}
	last := desc.Binary
	for n, data := range d.Broadcasts {
		last = max(last, n)
		if err := s.store.PutBytes(block.Broadcast(n), block.MemoryAndDiskSer, data); err != nil {
			return fmt.Errorf("cannot store broadcast %d: %w", n, err)
		}
	}
	s.broadcastID.Store(int64(last) + 1) // those that the program makes anew get other numbers
	if d.Blocks == "" {
		return nil
	}
	_, err := s.groups.find(id.Driver).shuffles.Attach(d.Blocks)
	return err
}

// detachedDriver plays the driver for one attempt.
type detachedDriver struct {
	outputs map[id.Shuffle][]*task.MapStatus
	results storedResults
	ended   chan struct{} // closed by the terminal status

	over sync.Once
	mu   struct {
		sync.Mutex
		status   task.Status
		err      error // why the status is not what it should be
		decoding error // why the task binary could not be decoded
	}
}

// decoding remembers the error of decode, which in a status is only text.
func (a *detachedDriver) decoding(decode executor.DecodeFunc) executor.DecodeFunc {
	return func(c *executor.Context, binary []byte) (executor.Body, error) {
		body, err := decode(c, binary)
		a.mu.Lock()
		a.mu.decoding = err
		a.mu.Unlock()
		return body, err
	}
}

// end returns the terminal status and why it is not FINISHED.
func (a *detachedDriver) end() (task.Status, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.mu.status
	switch {
	case a.mu.err != nil:
		return s, a.mu.err
	case !s.State.Terminal():
		return s, fmt.Errorf("the attempt has not ended")
	case s.State == task.Finished:
		return s, nil
	case a.mu.decoding != nil:
		return s, a.mu.decoding
	}
	f := new(task.Failure)
	if err := task.DecodeFailure(s.Result, f); err != nil {
		return s, err
	}
	return s, f
}

// StatusUpdates implements executor.Driver.
func (a *detachedDriver) StatusUpdates(messages [][]byte) (taken bool) {
	for _, msg := range messages {
		a.StatusUpdate(msg)
	}
	return true
}

// StatusUpdate implements executor.Driver.
func (a *detachedDriver) StatusUpdate(msg []byte) {
	var s task.Status
	err := readStatus(msg, &s, a.results)
	if err == nil && !s.State.Terminal() {
		return
	}
	a.over.Do(func() {
		a.mu.Lock()
		a.mu.status, a.mu.err = s, err
		a.mu.Unlock()
		close(a.ended)
	})
}

// CanCommit implements executor.Driver: there is no other attempt.
func (a *detachedDriver) CanCommit(id.StageAttempt, int32, int32) bool { return true }

// Barrier implements executor.Driver.
func (a *detachedDriver) Barrier(_ context.Context, r task.BarrierRequest) ([]string, error) {
	if r.NumTasks > 1 {
		return nil, fmt.Errorf("it runs alone, and the stage has %d tasks", r.NumTasks)
	}
	return []string{r.Message}, nil
}

// MapOutputs implements executor.Driver.
func (a *detachedDriver) MapOutputs(n id.Shuffle, minEpoch int64) ([]*task.MapStatus, int64, error) {
	statuses, ok := a.outputs[n]
	if !ok {
		return nil, 0, fmt.Errorf("nothing is known of shuffle %d", n)
	}
	return statuses, minEpoch, nil
}

// SlotLost implements executor.Driver: RunDetached does not outlive a lost
// slot, since closing the executor names the attempt.
func (a *detachedDriver) SlotLost(id.Task, int) {}
