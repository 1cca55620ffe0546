package engine

import (
	"fmt"
	"sort"
	"sync"

	"github.com/execbench/execbench/engine/id"
)

// Program is a lineage that any process of the same executable can rebuild
// from data: a name and parameters. Go cannot encode closures, so the task
// binary of a stage names the program that built it, and a worker finds its
// functions by building the program again or, in the process that built it,
// by looking it up.
//
// Build lays out datasets and returns whatever the driver needs of them. It
// must run no action, and must build the same lineage in the same order for
// the same params: ids are told apart by the order of building.
type Program struct {
	Name  string
	Build func(s *Session, params []byte) (any, error)
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

// instance is one building of a program: the ids that its nodes and shuffles
// got, in the order of building. Given to a fresh process, the same building
// order yields the same ids.
type instance struct {
	name     string
	params   []byte
	mu       sync.Mutex // building may fan out; reading begins after
	nodes    []id.Node
	shuffles []id.Shuffle
	replay   bool // ids are given, not taken from the session's counters
	node     int  // next ordinal when replaying
	shuffle  int
	built    any
}

// Build builds a registered program and returns what its Build returned.
// Every call makes new datasets.
func (s *Session) Build(name string, params []byte) (any, error) {
	return s.build(&instance{name: name, params: params})
}

func (s *Session) build(in *instance) (built any, err error) {
	p, ok := program(in.name)
	if !ok {
		return nil, fmt.Errorf("cannot build program %q: this executable registers no such program", in.name)
	}
	built, err = p.Build(&Session{core: s.core, in: in, scope: s.scope}, in.params)
	if err != nil {
		return nil, fmt.Errorf("cannot build program %q: %w", in.name, err)
	}
	if in.replay && (in.node != len(in.nodes) || in.shuffle != len(in.shuffles)) {
		return nil, fmt.Errorf("cannot rebuild program %q: it built %d datasets and %d shuffles here, %d and %d where its task binary was made",
			in.name, in.node, in.shuffle, len(in.nodes), len(in.shuffles))
	}
	in.built = built
	return built, nil
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
		return 0, fmt.Errorf("program %q builds more datasets here than where its task binary was made", in.name)
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
		return 0, fmt.Errorf("program %q builds more shuffles here than where its task binary was made", in.name)
	}
	in.shuffle++
	return in.shuffles[in.shuffle-1], nil
}
