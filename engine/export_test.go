package engine

import (
	"time"

	"github.com/execbench/execbench/engine/block"
	"github.com/execbench/execbench/engine/executor"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/scheduler"
	"github.com/execbench/execbench/engine/task"
	"github.com/execbench/execbench/engine/units"
)

// What tests of the public behaviour must do behind its back.

// RemoveBlock loses a block, wherever it is.
func RemoveBlock(s *Session, b block.ID) (found bool) {
	found = s.store.Remove(b)
	for g := range s.groups.live() {
		found = g.store.Remove(b) || found
	}
	return found
}

// FlipBlock changes a bit in the midst of a block of bytes that is in memory.
func FlipBlock(s *Session, b block.ID) error {
	for g := range s.groups.live() {
		data, release, err := g.store.GetBytes(b)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 4
		release()
	}
	return nil
}

// Crowd reserves all memory that is free but for so many bytes, until it is
// told otherwise.
func Crowd(s *Session, leave units.Bytes) (release func()) {
	r, err := s.memory.Reserve("crowd", s.memory.Free()-int64(leave))
	if err != nil {
		panic(err)
	}
	return r.Release
}

// HasBlock tells whether a block is there.
func HasBlock(s *Session, b block.ID) bool { return s.store.Contains(b) || s.hasBlock(b) }

// Holders tells which executors have a block, by name.
func Holders(s *Session, b block.ID) (names []string) {
	for g := range s.groups.live() {
		if g.store.Contains(b) {
			names = append(names, string(g.id))
		}
	}
	return names
}

// StarvationTimeout is what the scheduler is told of starvation.timeout.
func StarvationTimeout(s *Session) time.Duration { return s.starvationTimeout() }

// Groups tells how many executors hold anything, lost ones among them.
func Groups(s *Session) int { return len(s.groups.all()) }

// Bury gives back what lost executors hold, as housekeeping does.
func Bury(s *Session) { s.bury() }

// Hide makes an executor's blocks and map outputs be found no more, as a loss
// does that the driver has not been told of.
func Hide(s *Session, n id.Executor) { s.groups.find(n).lost.Store(true) }

// DropJoinTables drops the tables that no attempt uses.
func DropJoinTables(s *Session) {
	for _, g := range s.groups.all() {
		g.tables.close()
	}
}

// Idle tells what the scheduler still holds of former jobs.
func Idle(s *Session) error { return s.driver.Idle() }

// QueueCapacities tells how many events each listener queue holds.
func QueueCapacities(s *Session) map[string]int {
	m := map[string]int{}
	for _, q := range s.queues {
		m[q.Name()] = q.Capacity()
	}
	return m
}

// OpenOn is Open on another file system.
func OpenOn(cfg Config, fs fsys.FS) (*Session, error) {
	s, budget, err := newSession(cfg)
	if err != nil {
		return nil, err
	}
	s.fs = fs
	if err := s.start(cfg, budget); err != nil {
		s.stop(0)
		return nil, err
	}
	return s, nil
}

// Progress is what a heartbeat tells of the attempts that run.
func Progress(s *Session) []scheduler.Progress { return progress(s.groups.all()[0].executor) }

// CanCommit asks for the right to commit a partition's output in the name of an
// attempt, which need not be one that runs.
func CanCommit(s *Session, stage id.StageAttempt, partition, attempt int32) bool {
	return s.driver.CanCommit(stage, partition, attempt)
}

// Heartbeat tells the driver that an executor lives, whether or not there is
// one of that name.
func Heartbeat(s *Session, n id.Executor) <-chan scheduler.Answer { return s.driver.Heartbeat(n, nil) }

// Between has what executors report that are added from now on pass through
// damage, which may change it.
func Between(s *Session, damage func(*task.Status)) {
	s.groups.driver = &damagingDriver{s.groups.driver, damage}
}

type damagingDriver struct {
	executor.Driver
	damage func(*task.Status)
}

// StatusUpdate implements executor.Driver.
func (d *damagingDriver) StatusUpdate(msg []byte) {
	var s task.Status
	if err := task.DecodeStatus(msg, &s); err != nil {
		panic(err)
	}
	d.damage(&s)
	d.Driver.StatusUpdate(task.AppendStatus(nil, &s))
}

// StatusUpdates implements executor.Driver.
func (d *damagingDriver) StatusUpdates(messages [][]byte) (taken bool) {
	for _, msg := range messages {
		d.StatusUpdate(msg)
	}
	return true
}
