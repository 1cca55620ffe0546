package engine

import (
	"bytes"
	"maps"
	"sync"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Recording keeps what passes between the driver and the executor of one
// session: each attempt's description, the task binary of its stage, the map
// statuses that were asked for, the attempt's terminal status, and the values
// that were broadcast. Name it in
// Config.Record. It copies every message and drops none, so it is for jobs of
// some thousand attempts. Its methods may be called from several goroutines.
type Recording struct {
	mu struct { // a leaf: nothing is called while it is held
		sync.Mutex
		folder   string
		order    []id.Task
		attempts map[id.Task]*recordedAttempt
		binaries map[id.Broadcast][]byte
		outputs  map[id.Shuffle][][]byte
		values   map[id.Broadcast][]byte
	}
}

type recordedAttempt struct {
	description []byte
	status      task.Status
}

// Recorded is one attempt of a recording.
type Recorded struct {
	// Detached is what the attempt was told, ready for RunDetached as long as
	// the recorded session is open: closing it removes the blocks. Only
	// outputs that are in files are there for others (shuffle.storage=disk).
	Detached
	// Status is the terminal status. Its Result is the encoded result or
	// failure, by whatever route it went, but for one that was dropped. It is
	// the zero Status while the attempt has not ended.
	Status task.Status
}

// Attempts returns the attempts so far, in the order of their launch. What
// they point to is shared and must not be changed. Map statuses are those
// told last.
func (r *Recording) Attempts() ([]Recorded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Recorded, 0, len(r.mu.order))
	outputs, values := maps.Clone(r.mu.outputs), maps.Clone(r.mu.values)
	for _, t := range r.mu.order {
		a := r.mu.attempts[t]
		var d task.Description
		if err := task.DecodeDescription(a.description, &d); err != nil {
			return nil, err
		}
		list = append(list, Recorded{
			Detached: Detached{
				Description: a.description, Binary: r.mu.binaries[d.Binary],
				Outputs: outputs, Broadcasts: values, Blocks: r.mu.folder,
			},
			Status: a.status,
		})
	}
	return list, nil
}

// between returns a driver that records what passes and hands it on.
func (r *Recording) between(d executor.Driver, s storedResults, folder string) executor.Driver {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.folder = folder
	r.mu.attempts = map[id.Task]*recordedAttempt{}
	r.mu.binaries = map[id.Broadcast][]byte{}
	r.mu.outputs = map[id.Shuffle][][]byte{}
	r.mu.values = map[id.Broadcast][]byte{}
	return &recordingDriver{d, r, s}
}

// launched records a description.
func (r *Recording) launched(t id.Task, desc []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.order = append(r.mu.order, t)
	r.mu.attempts[t] = &recordedAttempt{description: bytes.Clone(desc)}
}

// made records a task binary, which it keeps.
func (r *Recording) made(b id.Broadcast, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.binaries[b] = data
}

// broadcast records a value, encoded, which it keeps.
func (r *Recording) broadcast(b id.Broadcast, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.values[b] = data
}

// recordingDriver stands between the executor and its driver.
type recordingDriver struct {
	executor.Driver
	r       *Recording
	results storedResults
}

// StatusUpdates implements executor.Driver.
func (d *recordingDriver) StatusUpdates(messages [][]byte) (taken bool) {
	for _, msg := range messages {
		d.StatusUpdate(msg)
	}
	return true
}

// StatusUpdate implements executor.Driver.
func (d *recordingDriver) StatusUpdate(msg []byte) {
	var s task.Status
	if err := readStatus(msg, &s, d.results); err == nil && s.State.Terminal() {
		d.r.mu.Lock()
		if a := d.r.mu.attempts[s.Task]; a != nil {
			a.status = s
		}
		d.r.mu.Unlock()
	}
	d.Driver.StatusUpdate(msg)
}

// MapOutputs implements executor.Driver.
func (d *recordingDriver) MapOutputs(s id.Shuffle, minEpoch int64) ([]*task.MapStatus, int64, error) {
	statuses, epoch, err := d.Driver.MapOutputs(s, minEpoch)
	if err != nil {
		return statuses, epoch, err
	}
	encoded := make([][]byte, len(statuses))
	for i, st := range statuses {
		if st != nil {
			encoded[i] = task.AppendMapStatus(nil, st)
		}
	}
	d.r.mu.Lock()
	d.r.mu.outputs[s] = encoded
	d.r.mu.Unlock()
	return statuses, epoch, nil
}

// readStatus decodes a status into s, which keeps nothing of msg, and puts a
// stored result in its place.
func readStatus(msg []byte, s *task.Status, results storedResults) error {
	if err := task.DecodeStatus(msg, s); err != nil {
		return err
	}
	if s.Route != task.RouteIndirect {
		s.Result = bytes.Clone(s.Result)
		return nil
	}
	data, release, err := results.GetBytes(block.ID(s.Block))
	if err != nil {
		return err
	}
	defer release()
	s.Result = bytes.Clone(data)
	return nil
}
