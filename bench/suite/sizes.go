package suite

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/execbench/execbench/workloads"
)

// Size is a named set of parameters, for every workload that it names.
// Workloads that it does not name have their own defaults.
type Size struct {
	Name string `json:"name"`
	Doc  string `json:"doc"` // what it is for, and how long it takes
	// Iterations and Warmup are used unless the user says otherwise; 0: the
	// command's own.
	Iterations int `json:"iterations"`
	Warmup     int `json:"warmup"`
	// Params are the values, by workload and parameter.
	Params map[string]map[string]string `json:"params"`
}

//go:embed sizes.json
var sizesFile []byte

// sizes is read once: the file is part of the program.
var sizes = func() (s []Size) {
	if err := json.Unmarshal(sizesFile, &s); err != nil {
		panic(fmt.Sprintf("bench/suite: sizes.json: %v", err))
	}
	return s
}()

// Sizes returns all sizes, smallest first. The caller must not change them.
func Sizes() []Size { return sizes }

// SizeNames returns the names of Sizes.
func SizeNames() (names []string) {
	for _, s := range sizes {
		names = append(names, s.Name)
	}
	return names
}

// Values returns the values of w at this size.
func (s *Size) Values(w *workloads.Workload) (workloads.Values, error) {
	v := w.Values()
	for _, p := range s.Given(w.Name) {
		if err := v.Set(p.Name, p.Value); err != nil {
			return v, fmt.Errorf("size %s of %s: %w", s.Name, w.Name, err)
		}
	}
	if w.Check != nil {
		if err := w.Check(v); err != nil {
			return v, fmt.Errorf("size %s of %s: %w", s.Name, w.Name, err)
		}
	}
	return v, nil
}

// Param is a parameter and its value.
type Param struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Given returns what the size says of a workload, by name of the parameter.
func (s *Size) Given(workload string) (out []Param) {
	for name, value := range s.Params[workload] {
		out = append(out, Param{name, value})
	}
	slices.SortFunc(out, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Text is "nodes=1 edges=2".
func Text(params []Param) string {
	var parts []string
	for _, p := range params {
		parts = append(parts, p.Name+"="+p.Value)
	}
	return strings.Join(parts, " ")
}
