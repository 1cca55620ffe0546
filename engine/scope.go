package engine

import "github.com/execbench/execbench/engine/id"

// scope is what was built through one view of a session. graph.mu guards it.
type scope struct {
	nodes    []id.Node
	shuffles []id.Shuffle
}

// Scope returns a view of the session that remembers what is built through
// it, so that Release can drop it all: the map outputs, the cached
// partitions, and what the driver learned. A program that builds new datasets
// for each of many rounds gives each round a scope; without one, what a round
// left stays until the session closes.
func (s *Session) Scope() *Session {
	return &Session{core: s.core, in: s.in, scope: &scope{}}
}

// Release drops everything built through a view made by Scope. No job over
// it may run, and its datasets may not be used afterwards. On any other view
// it does nothing.
func (s *Session) Release() {
	if s.scope == nil || s.closed.Load() {
		return
	}
	nodes, shuffles := s.graph.take(s.scope)
	for _, n := range shuffles {
		s.driver.RemoveShuffle(n)
		s.shuffles.RemoveShuffle(n)
	}
	for _, n := range nodes {
		s.store.RemoveNode(n)
	}
	s.mu.Lock()
	for _, n := range shuffles {
		delete(s.mu.readers, n)
	}
	for _, n := range nodes {
		delete(s.mu.learned, n)
	}
	s.mu.Unlock()
}
