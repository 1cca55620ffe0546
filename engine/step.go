package engine

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/execbench/execbench/engine/plan"
)

// Steps are how an iterative program lets what an action returned into later
// stages, while every stage remains data that another process can run. A step
// is built like a program, from parameters, but upon datasets that the
// program built before:
//
//	built, _ := s.Build("kmeans", params)       // points, cached
//	for range iterations {
//		round := s.Scope()
//		step, _ := round.Step(built, centres)   // assignments, sums
//		…collect, compute the next centres…
//		round.Release()
//	}
//
// Inside Step, the datasets of base are those of another building, and what is
// built upon them would be as well: Reuse makes them the step's.
//
// A task binary then tells the chain of buildings that leads to its operator,
// each with its parameters and ids, and another process repeats the chain.

// Step builds a step of a program upon base and returns what the program's
// Step returned. base is what Build or an earlier Step of the same session
// returned, which must be a pointer (to a Dataset, or to a struct with
// whatever the steps need): it is what the session knows a building by. params
// is all that the step may depend on beside base; what is large, such as a
// table of values, goes into a broadcast that params name (BroadcastByID).
//
// A chain of steps, each upon the one before, is as long in each task binary
// as it has become; steps upon one base are not.
func (s *Session) Step(base any, params []byte) (any, error) {
	parent := s.instanceOf(base)
	if parent == nil {
		return nil, fmt.Errorf("cannot build a step upon a %T: it is not what Build or Step of this session returned, or was released, or is no pointer", base)
	}
	return s.build(&instance{parent: parent, name: parent.name, params: params})
}

// Reuse returns d as a dataset of s, another view of its session: what is
// built upon it is built through s, so that it belongs to the step or the
// scope that s stands for. It computes nothing of its own and d stays what it
// is, cached where it was cached.
func Reuse[T any](s *Session, d *Dataset[T]) *Dataset[T] {
	if s.core != d.op.s.core {
		panic("engine: Reuse of a dataset of another session")
	}
	n := d.op.node
	out := newDataset(s, nodeSpec{
		name: "reuse", parts: n.Partitions, determinism: n.Determinism, barrier: n.Barrier,
		deps: []plan.Dep{&plan.NarrowDep{Parent: n}},
	}, func(t *Task, part int, emit func([]T) error) error { return d.each(t, part, emit) })
	out.sampler = d.sampler
	return out
}

// maker returns what builds in, but for its session.
func (in *instance) maker() (func(s *Session) (any, error), error) {
	p, ok := program(in.name)
	switch {
	case !ok:
		return nil, fmt.Errorf("cannot build program %q: this executable registers no such program", in.name)
	case in.parent == nil:
		return func(s *Session) (any, error) { return p.Build(s, in.params) }, nil
	case p.Step == nil:
		return nil, fmt.Errorf("cannot build a step of program %q: it has none", in.name)
	}
	return func(s *Session) (any, error) {
		built, err := p.Step(s, in.parent.built, in.params)
		if err == nil && len(in.nodes) == 0 {
			err = errNoStep
		}
		return built, err
	}, nil
}

var errNoStep = errors.New("its step built no dataset through the session that it was given; engine.Reuse lets it build upon those of its base")

// chain returns the buildings that lead to in.
func (in *instance) chain() []building {
	var links []building
	if in.parent != nil {
		links = in.parent.chain()
	}
	return append(links, building{in.params, in.nodes, in.shuffles, in.lineage})
}

// handle returns what a building is known by, or nil.
func handle(built any) any {
	if v := reflect.ValueOf(built); v.Kind() != reflect.Pointer || v.IsNil() {
		return nil
	}
	return built
}

// remember keeps a building, so that steps can go on from it. A step that
// returns its base leaves the base what it was.
func (s *Session) remember(in *instance) {
	h := handle(in.built)
	if h == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.instances == nil {
		s.mu.instances = map[any]*instance{}
	}
	if _, known := s.mu.instances[h]; known {
		return
	}
	s.mu.instances[h] = in
	if s.scope != nil {
		s.scope.built = append(s.scope.built, h)
	}
}

func (s *Session) instanceOf(built any) *instance {
	h := handle(built)
	if h == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.instances[h]
}

// rebuild repeats a chain of buildings, but for those that were repeated for
// another task before.
func (s *Session) rebuild(program string, chain []building) error {
	s.rebuilding.Lock()
	defer s.rebuilding.Unlock()
	key := []byte(program)
	var last *instance
	for i := range chain {
		b := &chain[i]
		key = b.append(key)
		s.mu.Lock()
		in := s.mu.rebuilt[string(key)]
		s.mu.Unlock()
		if in == nil {
			in = &instance{parent: last, name: program, params: b.params, nodes: b.nodes, shuffles: b.shuffles, lineage: b.lineage, replay: true}
			if _, err := s.build(in); err != nil {
				return err
			}
			s.mu.Lock()
			if s.mu.rebuilt == nil {
				s.mu.rebuilt = map[string]*instance{}
			}
			s.mu.rebuilt[string(key)] = in
			s.mu.Unlock()
		}
		last = in
	}
	return nil
}
