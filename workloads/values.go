package workloads

import (
	"fmt"
	"slices"
	"time"

	"github.com/execbench/execbench/engine/units"
)

// Values is one choice of a workload's parameters. Copies share their
// values; Clone makes an independent one. It may be read by several
// goroutines, but not while Set is called.
type Values struct {
	workload string
	params   []Param
	vals     []value
	set      []bool
}

// Values returns the workload's defaults. A default that does not parse or
// lies outside its range panics: it is the workload's own mistake.
func (w *Workload) Values() Values {
	v := Values{workload: w.Name, params: w.Params, vals: make([]value, len(w.Params)), set: make([]bool, len(w.Params))}
	for i, p := range w.Params {
		val, err := p.parse(p.Default)
		if err != nil {
			panic(fmt.Sprintf("workloads: default of %s: %v", w.Name, err))
		}
		v.vals[i] = val
	}
	return v
}

// Set reads text as the parameter called name. An unknown name is an error
// that offers the nearest one; a value that cannot be read or lies outside
// its range is an error that says what may be written.
func (v Values) Set(name, text string) error {
	i := v.index(name)
	if i < 0 {
		return unknown(fmt.Sprintf("workload %s has no parameter", v.workload), name, v.names())
	}
	val, err := v.params[i].parse(text)
	if err != nil {
		return err
	}
	v.vals[i], v.set[i] = val, true
	return nil
}

// Clone returns a copy with values of its own.
func (v Values) Clone() Values {
	v.vals, v.set = slices.Clone(v.vals), slices.Clone(v.set)
	return v
}

// Params returns the parameters that v chooses values for. The slice must
// not be changed.
func (v Values) Params() []Param { return v.params }

// IsSet reports whether Set was called for the parameter: its value is the
// user's, not the default.
func (v Values) IsSet(name string) bool { return v.set[v.must(name)] }

// Text returns a value in a form that Set reads back exactly.
func (v Values) Text(name string) string {
	i := v.must(name)
	return v.params[i].text(v.vals[i])
}

// Int returns an Int parameter. Like all the getters it panics when the
// workload has no such parameter, or one of another kind.
func (v Values) Int(name string) int64 { return v.get(name, Int).n }

// Bytes returns a Bytes parameter.
func (v Values) Bytes(name string) units.Bytes { return units.Bytes(v.get(name, Bytes).n) }

// Duration returns a Duration parameter.
func (v Values) Duration(name string) time.Duration {
	return time.Duration(v.get(name, Duration).n)
}

// Float returns a Float parameter.
func (v Values) Float(name string) float64 { return v.get(name, Float).f }

// String returns a String parameter.
func (v Values) String(name string) string { return v.get(name, String).s }

// Bool returns a Bool parameter.
func (v Values) Bool(name string) bool { return v.get(name, Bool).n != 0 }

func (v Values) get(name string, kind Kind) value {
	i := v.must(name)
	if v.params[i].Kind != kind {
		panic(fmt.Sprintf("workloads: parameter %s of %s is a %v, read as a %v", name, v.workload, v.params[i].Kind, kind))
	}
	return v.vals[i]
}

func (v Values) index(name string) int {
	return slices.IndexFunc(v.params, func(p Param) bool { return p.Name == name })
}

func (v Values) must(name string) int {
	i := v.index(name)
	if i < 0 {
		panic(fmt.Sprintf("workloads: workload %s has no parameter %q", v.workload, name))
	}
	return i
}

func (v Values) names() []string {
	names := make([]string, len(v.params))
	for i, p := range v.params {
		names[i] = p.Name
	}
	return names
}
