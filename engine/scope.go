package engine

import "github.com/execbench/execbench/engine/id"

// scope is what was built through one view of a session. graph.mu guards it,
// but for built, which core.mu guards.
type scope struct {
	nodes    []id.Node
	shuffles []id.Shuffle
	built    []any // what Build and Step returned

	parent *scope
	inner  map[*scope]struct{} // not released yet
}

// Scope returns a view of the session that remembers what is built through
// it, so that Release can drop it all: the map outputs, the cached
// partitions, and what the driver learned. A program that builds new datasets
// for each of many rounds gives each round a scope; without one, what a round
// left stays until the session closes. Releasing a scope releases those made
// from it.
func (s *Session) Scope() *Session {
	return &Session{core: s.core, in: s.in, scope: s.graph.inner(s.scope)}
}

// inner makes a scope inside another one, or in none.
func (g *graph) inner(outer *scope) *scope {
	sc := &scope{parent: outer}
	if outer == nil {
		return sc
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if outer.inner == nil {
		outer.inner = map[*scope]struct{}{}
	}
	outer.inner[sc] = struct{}{}
	return sc
}

// Release drops everything built through a view made by Scope. No job over
// it may run, and its datasets may not be used afterwards. On any other view
// it does nothing.
func (s *Session) Release() {
	if s.scope == nil || s.closed.Load() {
		return
	}
	nodes, shuffles, scopes := s.graph.take(s.scope)
	for _, n := range shuffles {
		s.driver.RemoveShuffle(n)
		for g := range s.groups.live() {
			g.shuffles.RemoveShuffle(n)
		}
	}
	for _, n := range nodes {
		for g := range s.groups.live() {
			g.store.RemoveNode(n)
		}
	}
	for _, g := range s.groups.all() {
		g.tables.drop(nodes...)
	}
	s.mu.Lock()
	for _, n := range shuffles {
		delete(s.mu.readers, n)
	}
	for _, n := range nodes {
		delete(s.mu.learned, n)
	}
	for _, sc := range scopes {
		for _, b := range sc.built {
			delete(s.mu.instances, b)
		}
		sc.built = nil
	}
	s.mu.Unlock()
}

// take empties a scope and those inside it, drops their operators, and tells
// what they were.
func (g *graph) take(sc *scope) (nodes []id.Node, shuffles []id.Shuffle, scopes []*scope) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if sc.parent != nil {
		delete(sc.parent.inner, sc)
	}
	scopes = []*scope{sc}
	for i := 0; i < len(scopes); i++ { // it grows on the way
		sc := scopes[i]
		for inner := range sc.inner {
			scopes = append(scopes, inner)
		}
		nodes, shuffles = append(nodes, sc.nodes...), append(shuffles, sc.shuffles...)
		sc.nodes, sc.shuffles, sc.inner = nil, nil, nil
	}
	for _, n := range nodes {
		delete(g.mu.ops, n)
	}
	return nodes, shuffles, scopes
}
