package bench

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/profiles"
	"github.com/execbench/execbench/workloads"
)

// Plan says what one run is. Fields without a word on their zero value must
// be set.
type Plan struct {
	Workload *workloads.Workload
	Values   workloads.Values
	// Sources says who chose a parameter, by its name; a name that is not
	// there has its default.
	Sources map[string]string

	Input  []string // files and folders; nil: the workload generates
	Output string   // where the last iteration's output stays; empty: nowhere

	Iterations int // timed ones, at least 1
	Warmup     int // executions before them
	Verify     bool
	// Profiles are taken after the timed iterations, each in a round of its
	// own that is no sample.
	Profiles []profiles.Kind

	// Conf are the engine's configuration layers, weakest first.
	Conf []conf.Layer
	// Cores is the number of workers; 0: what the master key says, else what
	// the process may use.
	Cores int
	// Executors are groups that the workers are divided into; 0: one.
	Executors int
	// Memory is the budget of the process; 0: what the driver.memory key
	// says, else half of what the process may use.
	Memory units.Bytes
	// Pin confines the process to Cores processors when it may use more.
	Pin bool

	Temp     string // parent of the session's folder; empty: local.dir, else the system's
	Cache    string // folder of generated data; empty: data.DefaultDir
	Out      string // the run folder; empty: a new one below "results"
	NoEvents bool   // write no event file: the run can be compared, and not be reported on by stage or task
	EventLog string // folder for Spark's own event log; empty: none, or what eventLog.dir says
	Timeout  time.Duration
	// Settings are the harness's own for the manifest, with who chose them.
	Settings []folder.Setting
	Command  []string // as typed, for the manifest
}

// Observer is told how a run goes. Every field may be nil. The functions are
// called on the goroutine of Run, except Bytes and Events.
type Observer struct {
	// Phase says what begins: "generate", "check data", "warmup",
	// "iteration", "prepare", "digest", "verify", "measure"; of is how many there are of it.
	Phase func(name string, index, of int)
	// Bytes says how far generating, checking or verifying is. One call at a
	// time, from any goroutine.
	Bytes func(done, total int64)
	// Events receives every event of the engine.
	Events event.Sink
	// Sample receives every sample as it is recorded.
	Sample func(folder.Sample)
	// Warn receives what the user should know, in sentences.
	Warn func(text string)
}

func (o Observer) phase(name string, index, of int) {
	if o.Phase != nil {
		o.Phase(name, index, of)
	}
}

// resolved is a plan with everything decided.
type resolved struct {
	Plan
	set      conf.Settings
	conf     map[string]string
	limits   machine.Limits
	facts    machine.Facts
	warnings []string
}

// resolve decides what the plan leaves open.
func (p Plan) resolve() (*resolved, error) {
	p.Settings = slices.Clone(p.Settings)
	r := &resolved{Plan: p, limits: machine.ReadLimits(machine.Root()), facts: machine.ReadFacts(machine.Root())}
	set, warnings, err := conf.ParseLayers(p.Conf...)
	if err != nil {
		return nil, &Usage{err}
	}
	r.set = set
	r.conf = map[string]string{}
	for _, l := range p.Conf {
		for k, v := range l.Values {
			// The prefixed and the bare form are one key; the later layer wins.
			bare := strings.TrimPrefix(k, conf.Prefix)
			delete(r.conf, bare)
			delete(r.conf, conf.Prefix+bare)
			r.conf[k] = v
		}
	}
	for _, w := range warnings {
		r.warnings = append(r.warnings, w.Text)
	}
	if err := r.resolveSizes(); err != nil {
		return nil, err
	}
	if r.Input != nil && r.Workload.Generate == nil {
		return nil, Usagef("workload %s reads no input: leave --input out", r.Workload.Name)
	}
	if r.Workload.Check != nil {
		if err := r.Workload.Check(r.Values); err != nil {
			return nil, &Usage{err}
		}
	}
	return r, nil
}

func (r *resolved) warn(format string, args ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

// decided records a setting that the plan left open, or that was given.
func (r *resolved) decided(name, value, source string) {
	for i := range r.Settings {
		if s := &r.Settings[i]; s.Name == name {
			s.Value = value
			if s.Source == "default" {
				s.Source = source
			}
			return
		}
	}
	r.Settings = append(r.Settings, folder.Setting{Name: name, Value: value, Source: source})
}

// resolveSizes decides on cores and memory.
func (r *resolved) resolveSizes() error {
	source := "flag"
	if r.Cores == 0 {
		r.Cores, source = r.set.Master.Cores, "master"
		if r.Cores == 0 {
			r.Cores, source = r.limits.Cores, r.limits.CoresSource
		}
	}
	r.decided("cores", strconv.Itoa(r.Cores), source)
	r.Executors = max(1, r.Executors)
	if r.Cores%r.Executors != 0 {
		return Usagef("cannot divide %d cores among %d executors: all must have the same number", r.Cores, r.Executors)
	}
	if err := r.set.CheckSlots(r.Cores / r.Executors); err != nil {
		return &Usage{err}
	}
	if r.Cores > r.limits.Cores {
		r.warn("%d cores are more than the %d that this process may use (%s): workers will wait for one another", r.Cores, r.limits.Cores, r.limits.CoresSource)
	}
	source = "flag"
	if r.Memory == 0 {
		r.Memory, source = r.set.Memory, "driver.memory"
		if r.Memory == 0 {
			r.Memory, source = r.limits.Budget(), "half of "+r.limits.MemorySource
		}
	}
	r.decided("memory", strconv.FormatInt(int64(r.Memory), 10), source)
	if r.limits.Memory > 0 && r.Memory > r.limits.Memory {
		r.warn("a memory budget of %s is more than the %s that this process may use (%s)", r.Memory, r.limits.Memory, r.limits.MemorySource)
	} else if r.limits.Available > 0 && r.Memory > r.limits.Available {
		r.warn("a memory budget of %s is more than the %s that are available now: the machine may swap", r.Memory, r.limits.Available)
	}
	return nil
}
