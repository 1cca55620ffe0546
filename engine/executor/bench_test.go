package executor_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/memory"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// trivialDriver launches an attempt whenever one ends. It decodes every
// message, as a driver must, and decides nothing.
type trivialDriver struct {
	e      *executor.Executor
	shared []byte
	slots  []slot // by worker
	left   atomic.Int64
	done   chan struct{}
}

type slot struct {
	desc []byte
	d    task.Description
	_    [64]byte // workers step at once
}

func (d *trivialDriver) StatusUpdate(msg []byte) {
	probe := task.Status{Executor: id.Driver} // equal names are kept, not made anew
	if err := task.DecodeStatus(msg, &probe); err != nil {
		panic(err)
	}
	if probe.State == task.Running {
		return
	}
	if probe.State != task.Finished {
		panic("attempt failed")
	}
	d.next(int(probe.Worker))
}

func (d *trivialDriver) next(worker int) {
	n := d.left.Add(-1)
	if n < 0 {
		if n == -int64(len(d.slots)) {
			close(d.done)
		}
		return
	}
	s := &d.slots[worker]
	s.d.Task = id.Task(n)
	s.desc = task.AppendDescriptionWith(s.desc[:0], d.shared, &s.d)
	d.e.Launch(s.d.Task, s.desc)
}

func (d *trivialDriver) StatusUpdates(messages [][]byte) (taken bool) {
	for _, msg := range messages {
		d.StatusUpdate(msg)
	}
	return true
}

func (d *trivialDriver) CanCommit(id.StageAttempt, int32, int32) bool { return true }
func (d *trivialDriver) SlotLost(id.Task, int)                        {}
func (d *trivialDriver) Barrier(context.Context, task.BarrierRequest) ([]string, error) {
	return nil, nil
}
func (d *trivialDriver) MapOutputs(id.Shuffle, int64) ([]*task.MapStatus, int64, error) {
	return nil, 0, nil
}

type noBlocks struct{ binary []byte }

func (s noBlocks) PutBytes(block.ID, block.Level, []byte) error { return nil }
func (s noBlocks) GetBytes(block.ID) ([]byte, func(), error)    { return s.binary, nil, nil }
func (s noBlocks) ReleaseTask(id.Task) int                      { return 0 }

// BenchmarkEmptyAttempt is the executor's whole cost of an attempt that does
// nothing, with every clock on: launch, decode, RUNNING, run, encode, metrics
// and the terminal status. Wall time ÷ attempts.
func BenchmarkEmptyAttempt(b *testing.B) {
	for _, slots := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", slots), func(b *testing.B) {
			m, err := memory.NewManager(memory.Config{Budget: 128 * units.MiB, Cores: slots})
			if err != nil {
				b.Fatal(err)
			}
			began := time.Now()
			encode := func(dst []byte) ([]byte, error) { return append(dst, 1), nil }
			body := func(*executor.Context) (executor.Encode, error) { return encode, nil }
			d := &trivialDriver{slots: make([]slot, slots), done: make(chan struct{})}
			shared := task.Description{Kind: task.ResultTask, NumPartitions: 1, Properties: map[string]string{"spark.job.description": "empty"}}
			d.shared = task.AppendShared(nil, &shared)
			for i := range d.slots {
				d.slots[i].d.Executor = id.Driver
			}
			e, err := executor.New(executor.Config{ID: id.Driver, Slots: slots, Now: func() int64 { return int64(time.Since(began)) }},
				executor.Deps{Driver: d, Memory: m, Store: noBlocks{make([]byte, 300)}, Decode: func(*executor.Context, []byte) (executor.Body, error) { return body, nil }})
			if err != nil {
				b.Fatal(err)
			}
			d.e = e
			b.ReportAllocs()
			d.left.Store(int64(b.N))
			b.ResetTimer()
			for i := range slots {
				d.next(i)
			}
			<-d.done
			b.StopTimer()
			if err := e.Close(time.Minute); err != nil {
				b.Fatal(err)
			}
			if err := m.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
