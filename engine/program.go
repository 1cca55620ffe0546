package engine

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"sort"
	"sync"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
)

// Program is a lineage that any process of the same executable can rebuild
// from data: a name and parameters. Go cannot encode closures, so the task
// binary of a stage names the program that built it, and a worker finds its
// functions by building the program again or, in the process that built it,
// by looking it up.
//
// Build lays out datasets and returns whatever the driver needs of them. It
// must run no action, and must build the same lineage in the same order for
// the same params: ids are told apart by the order of building. What is built
// upon its datasets after it returned is no part of the program.
//
// Step, where there is one, goes on from there: see Session.Step. The same
// rules hold for it.
type Program struct {
	Name  string
	Build func(s *Session, params []byte) (any, error)
	Step  func(s *Session, base any, params []byte) (any, error)
}

var programs struct {
	sync.Mutex
	byName map[string]Program
}

// Register makes a program known to this process, usually from an init
// function or main. It panics if the name is empty or taken.
func Register(p Program) {
	programs.Lock()
	defer programs.Unlock()
	if p.Name == "" || p.Build == nil {
		panic("engine: Register of a program without a name or a Build function")
	}
	if _, taken := programs.byName[p.Name]; taken {
		panic(fmt.Sprintf("engine: Register called twice for program %q", p.Name))
	}
	if programs.byName == nil {
		programs.byName = map[string]Program{}
	}
	programs.byName[p.Name] = p
}

// Programs returns the names of the registered programs, sorted.
func Programs() []string {
	programs.Lock()
	defer programs.Unlock()
	var names []string
	for n := range programs.byName {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func program(name string) (Program, bool) {
	programs.Lock()
	defer programs.Unlock()
	p, ok := programs.byName[name]
	return p, ok
}

// instance is one building of a program, or of a step of it: the ids that its
// nodes and shuffles got, in the order of building. Given to a fresh process,
// the same building order yields the same ids.
type instance struct {
	parent   *instance // what a step goes on from; nil: Build made this
	name     string
	params   []byte
	mu       sync.Mutex // building may fan out; reading begins after
	nodes    []id.Node
	shuffles []id.Shuffle
	lineage  uint64 // its fingerprint, once it is built
	sealed   bool   // built: what comes now is outside the program
	replay   bool   // ids and lineage are given, not made
	node     int    // next ordinal when replaying
	shuffle  int
	built    any
}

// lineageError says that a program builds another lineage than the one that
// a task binary was made of.
type lineageError struct {
	program, difference string
}

func (e *lineageError) Error() string {
	return fmt.Sprintf("cannot rebuild program %q: it builds %s than where its task binary was made; does it depend on something beside its parameters, such as cores, configuration or files that changed?",
		e.program, e.difference)
}

// Build builds a registered program and returns what its Build returned.
// Every call makes new datasets.
func (s *Session) Build(name string, params []byte) (any, error) {
	return s.build(&instance{name: name, params: params})
}

func (s *Session) build(in *instance) (built any, err error) {
	make, err := in.maker()
	if err != nil {
		return nil, err
	}
	defer func() {
		r := recover()
		if e, ok := r.(*lineageError); ok { // a dataset or shuffle too many ends Build where it is built
			built, err, r = nil, e, nil
		}
		if in.replay && (err != nil || r != nil) { // or the next attempt would take it for whole
			s.graph.drop(in.nodes)
		}
		if r != nil {
			panic(r)
		}
	}()
	built, err = make(&Session{core: s.core, in: in, scope: s.scope})
	if err != nil {
		return nil, fmt.Errorf("cannot build program %q: %w", in.name, err)
	}
	if err := in.seal(s.graph); err != nil {
		return nil, err
	}
	in.built = built
	s.remember(in)
	return built, nil
}

// seal ends the building, and checks that it built what it was to.
func (in *instance) seal(g *graph) error {
	in.mu.Lock()
	in.sealed = true
	in.mu.Unlock() // nothing changes any more; and graph.mu comes before in.mu
	lineage := in.fingerprint(g)
	if !in.replay {
		in.lineage = lineage
		return nil
	}
	switch {
	case in.node != len(in.nodes):
		return &lineageError{in.name, fmt.Sprintf("%d datasets, fewer by %d,", in.node, len(in.nodes)-in.node)}
	case in.shuffle != len(in.shuffles):
		return &lineageError{in.name, fmt.Sprintf("%d shuffles, fewer by %d,", in.shuffle, len(in.shuffles)-in.shuffle)}
	case lineage != in.lineage:
		return &lineageError{in.name, "datasets with other operations or partitions"}
	}
	return nil
}

// fingerprint sums up the lineage: operations, partitions, dependencies.
func (in *instance) fingerprint(g *graph) uint64 {
	h := fnv.New64a()
	var b []byte
	for _, n := range in.nodes {
		op, ok := g.op(n)
		if !ok {
			continue
		}
		b = binary.AppendVarint(b[:0], int64(n))
		b = appendString(b, op.node.Name)
		b = binary.AppendVarint(b, int64(op.node.Partitions))
		for _, d := range op.node.Deps() {
			b = binary.AppendVarint(b, int64(d.On().ID))
			if s, ok := d.(*plan.ShuffleDep); ok {
				b = binary.AppendVarint(b, int64(s.Shuffle))
				b = binary.AppendVarint(b, int64(s.Reducers))
			}
		}
		h.Write(b)
	}
	return h.Sum64()
}

// building returns in while what is built belongs to it, and nil afterwards.
func (in *instance) building() *instance {
	if in == nil {
		return nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.sealed {
		return nil
	}
	return in
}

// takeNode returns the id of the next dataset that the program builds.
func (in *instance) takeNode(fresh func() id.Node) (id.Node, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.replay {
		n := fresh()
		in.nodes = append(in.nodes, n)
		return n, nil
	}
	if in.node == len(in.nodes) {
		return 0, &lineageError{in.name, "more datasets"}
	}
	in.node++
	return in.nodes[in.node-1], nil
}

// takeShuffle returns the id of the next shuffle that the program builds.
func (in *instance) takeShuffle(fresh func() id.Shuffle) (id.Shuffle, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.replay {
		n := fresh()
		in.shuffles = append(in.shuffles, n)
		return n, nil
	}
	if in.shuffle == len(in.shuffles) {
		return 0, &lineageError{in.name, "more shuffles"}
	}
	in.shuffle++
	return in.shuffles[in.shuffle-1], nil
}
