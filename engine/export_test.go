package engine

import (
	"github.com/execbench/execbench/engine/block"
)

// What tests of the public behaviour must do behind its back.

// RemoveBlock loses a block.
func RemoveBlock(s *Session, b block.ID) bool { return s.store.Remove(b) }

// HasBlock tells whether a block is there.
func HasBlock(s *Session, b block.ID) bool { return s.store.Contains(b) }

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
