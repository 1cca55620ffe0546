package workloads

import (
	"fmt"
	"regexp"
	"sort"
	"sync"

	"github.com/execbench/execbench/engine"
)

var registry struct {
	sync.Mutex
	byName map[string]*Workload
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// Register makes w known by its name, and its lineage known to the engine as
// the program "workload/NAME". It panics if w is not whole or its name is
// taken: those are mistakes of the program, to be seen when it starts.
func Register(w *Workload) {
	if err := w.valid(); err != nil {
		panic("workloads: " + err.Error())
	}
	registry.Lock()
	defer registry.Unlock()
	if registry.byName == nil {
		registry.byName = map[string]*Workload{}
	}
	if _, taken := registry.byName[w.Name]; taken {
		panic(fmt.Sprintf("workloads: Register called twice for workload %q", w.Name))
	}
	registry.byName[w.Name] = w
	engine.Register(engine.Program{
		Name: programName(w),
		Build: func(s *engine.Session, params []byte) (any, error) {
			v, in, err := decodeParams(w, params)
			if err != nil {
				return nil, err
			}
			return w.Build(s, v, in)
		},
		Step: w.Step,
	})
}

func programName(w *Workload) string { return "workload/" + w.Name }

// valid says what is missing from w.
func (w *Workload) valid() error {
	switch {
	case !validName.MatchString(w.Name):
		return fmt.Errorf("cannot register a workload called %q: use lower-case letters, digits and hyphens", w.Name)
	case w.Summary == "" || w.Build == nil || w.Run == nil || w.Verify == nil:
		return fmt.Errorf("cannot register workload %q: it needs Summary, Build, Run and Verify", w.Name)
	case (w.Generate == nil) != (w.DataBytes == nil):
		return fmt.Errorf("cannot register workload %q: Generate and DataBytes belong together", w.Name)
	}
	seen := map[string]bool{}
	for _, p := range w.Params {
		if !validName.MatchString(p.Name) || seen[p.Name] {
			return fmt.Errorf("cannot register workload %q: parameter %q is badly named or there twice", w.Name, p.Name)
		}
		seen[p.Name] = true
		if p.Doc == "" {
			return fmt.Errorf("cannot register workload %q: parameter %q has no doc text", w.Name, p.Name)
		}
		if _, err := p.parse(p.Default); err != nil {
			return fmt.Errorf("cannot register workload %q: default: %w", w.Name, err)
		}
	}
	return nil
}

// Get returns the workload called name, or an error that offers the nearest
// name.
func Get(name string) (*Workload, error) {
	registry.Lock()
	defer registry.Unlock()
	if w, ok := registry.byName[name]; ok {
		return w, nil
	}
	var names []string
	for n := range registry.byName {
		names = append(names, n)
	}
	return nil, unknown("there is no workload", name, names)
}

// All returns the registered workloads, by name.
func All() []*Workload {
	registry.Lock()
	defer registry.Unlock()
	var all []*Workload
	for _, w := range registry.byName {
		all = append(all, w)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Build builds the lineage of a registered workload as its program, so that
// its task binaries are data. It returns what w.Build returned.
func Build(s *engine.Session, w *Workload, v Values, in Input) (any, error) {
	if w.Check != nil {
		if err := w.Check(v); err != nil {
			return nil, err
		}
	}
	return s.Build(programName(w), encodeParams(v, in))
}
