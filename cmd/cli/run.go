package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/profiles"
	"github.com/execbench/execbench/workloads"
)

// engineFlags are the flags of commands that open a session.
type engineFlags struct {
	cores      int
	executors  int
	memory     sizeFlag
	conf       []string
	properties string
	master     string
	pin        string
	temp       string
	data       string
	input      []string
}

func (e *engineFlags) add(f *pflag.FlagSet) {
	f.Var(&countFlag{&e.cores, 1}, "cores", "workers (default: all that cgroup quota and affinity allow)")
	f.Var(&countFlag{&e.executors, 1}, "executors", "groups that the workers are divided into, each with memory and blocks of its own (default: 1)")
	f.Var(&e.memory, "memory", "memory budget of the whole process (default: half of what it may use)")
	f.StringArrayVar(&e.conf, "conf", nil, "configuration `KEY=VALUE`, Spark's names with or without spark.; repeatable")
	f.StringVar(&e.properties, "properties", "", "spark-defaults.conf `FILE` with more configuration")
	f.StringVar(&e.master, "master", "", "`local[N,M]`: cores, and failures of a task that abort its job, as in Spark")
	e.pin = "on"
	f.Var(&choiceFlag{&e.pin, []string{"on", "off"}}, "pin", "confine the process to as many processors as it has workers")
	f.StringVar(&e.temp, "temp", "", "`FOLDER` for temporary files (default: local.dir, or the system's)")
	f.StringVar(&e.data, "data", "", "`FOLDER` in which generated data are kept (default: in the user's cache)")
	f.Var((*pathsFlag)(&e.input), "input", "`PATH` of a file or folder to read instead of generated data; repeatable")
}

// layers returns the configuration, weakest first.
func (e *engineFlags) layers(flags *pflag.FlagSet) ([]conf.Layer, error) {
	var layers []conf.Layer
	if e.properties != "" {
		f, err := os.Open(e.properties)
		if err != nil {
			return nil, bench.Usagef("cannot read properties %s: %w", e.properties, workloads.Cause(err))
		}
		values, err := conf.ReadProperties(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, bench.Usagef("cannot read properties %s: %w", e.properties, err)
		}
		layers = append(layers, conf.Layer{Source: e.properties, Values: values})
	}
	for _, f := range []*pflag.Flag{flags.Lookup("conf"), flags.Lookup("master")} {
		source := sourceOf(f)
		if source == fromNone {
			continue
		}
		pairs := e.conf
		if f.Name == "master" {
			pairs = []string{"master=" + e.master}
		} else if source == fromEnv {
			// One variable holds all pairs.
			pairs = strings.Split(os.Getenv(envName("conf")), ";")
		}
		values, err := splitPairs(pairs)
		if err != nil {
			return nil, err
		}
		layers = append(layers, conf.Layer{Source: said(f), Values: values})
	}
	return layers, e.settleCores(flags, layers)
}

// splitPairs reads key=value pairs.
func splitPairs(pairs []string) (map[string]string, error) {
	values := map[string]string{}
	for _, p := range pairs {
		if strings.TrimSpace(p) == "" {
			continue
		}
		k, v, ok := strings.Cut(p, "=")
		k = strings.TrimSpace(k)
		if !ok || k == "" {
			return nil, bench.Usagef("cannot use --conf %s: write key=value, like memory.fraction=0.6", p)
		}
		if old, twice := values[k]; twice && old != v {
			return nil, bench.Usagef("cannot use --conf %s: %s is given as %s too", p, k, old)
		}
		values[k] = v
	}
	return values, nil
}

// runFlags are the flags of run.
type runFlags struct {
	engineFlags
	output     string
	iterations int
	warmup     int
	timeout    durationFlag
	profile    kindsFlag
	noVerify   bool
	events     string
	eventLog   string
	out        string
	json       bool
	quiet      bool
	samples    bool
}

func (r *runFlags) add(f *pflag.FlagSet) {
	r.engineFlags.add(f)
	f.StringVar(&r.output, "output", "", "`FOLDER` for the job's output, new or empty (default: removed when verified)")
	r.iterations, r.warmup = 3, 1
	f.Var(&countFlag{&r.iterations, 1}, "iterations", "timed executions; from 6 on the median has an interval")
	f.Var(&countFlag{&r.warmup, 0}, "warmup", "executions before them")
	f.Var(&r.timeout, "timeout", "end the run after this long")
	f.Var(&r.profile, "profile", "profiles to take, each in one more execution that is no sample: "+strings.Join(profiles.Kinds(), ",")+"; or all")
	f.BoolVar(&r.noVerify, "no-verify", false, "do not check the answers; the run is marked as unverified")
	r.events = "on"
	f.Var(&choiceFlag{&r.events, []string{"on", "off"}}, "events", "write the event file, from which reports are made; without it the run can only be timed")
	f.StringVar(&r.eventLog, "event-log", "", "`FOLDER` for Spark's own JSON event log, written as the run goes")
	f.StringVar(&r.out, "out", "", "the run `FOLDER`, new or empty (default: results/TIME-WORKLOAD-ID)")
	f.BoolVar(&r.json, "json", false, "write the report as JSON")
	f.BoolVar(&r.quiet, "quiet", false, "no progress, no report")
	f.BoolVar(&r.samples, "samples", false, "write a line \"@ WORKLOAD SECONDS\" for every timed iteration")
}

const runExamples = `  execbench run terasort --size 1GB                      # generate or reuse 1 GB, sort it, verify
  execbench run terasort --size 1GB --memory 256MiB      # it spills, and says how much
  execbench run wordcount --input src --output counts    # your files, and keep the answer
  execbench run tasks --tasks 1e6 --cores 1              # what one task costs
  execbench run terasort --iterations 10 --json > r.json # with an interval of the median
  execbench run terasort --conf spark.shuffle.compress=true --conf io.compression.codec=lz4
  execbench run terasort --properties spark-defaults.conf --event-log logs
  execbench run --all --size small                       # every workload, one table at the end`

func (a *app) runCommand() *cobra.Command {
	flags, all := &runFlags{}, &suiteFlags{}
	c := &cobra.Command{
		Use: "run WORKLOAD|--all [flags]", Short: "Run a workload, or all, and show where the time went",
		Long: `Generates the workload's data (or finds them in the cache, or reads --input),
executes the job some times, verifies every answer, and shows where the time of
every stage went. Everything is kept in a run folder, from which "report" makes
the same tables again.`,
		Example: runExamples,
	}
	flags.add(c.PersistentFlags())
	all.add(c.Flags())
	workloadCommands(c, func(w *workloads.Workload) *cobra.Command {
		sub := &cobra.Command{Use: w.Name + " [flags]", Long: w.Doc, Args: noArgs}
		v := addParams(sub, w, c.PersistentFlags())
		sub.RunE = func(sub *cobra.Command, _ []string) error { return a.run(sub, w, v, flags) }
		return sub
	})
	one := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if !all.all {
			return one(c, args)
		}
		if len(args) > 0 {
			return bench.Usagef("cannot run %q beside --all, which runs every workload: leave one of them out", args[0])
		}
		return a.runAll(c, all.size, flags)
	}
	return c
}

func (a *app) run(c *cobra.Command, w *workloads.Workload, v workloads.Values, f *runFlags) error {
	layers, err := f.layers(c.Flags())
	if err != nil {
		return err
	}
	p := bench.Plan{
		Workload: w, Values: v, Sources: map[string]string{},
		Input: f.input, Output: f.output, Iterations: f.iterations, Warmup: f.warmup, Verify: !f.noVerify, Profiles: f.profile,
		Conf: layers, Cores: f.cores, Executors: f.executors, Memory: units.Bytes(f.memory), Pin: f.pin == "on",
		Temp: f.temp, Cache: f.data, Out: f.out, NoEvents: f.events == "off", EventLog: f.eventLog, Timeout: time.Duration(f.timeout),
		Command: append([]string{"execbench"}, a.args...),
	}
	c.Flags().VisitAll(func(fl *pflag.Flag) {
		if _, param := fl.Annotations[paramMark]; param {
			p.Sources[fl.Name] = sourceOf(fl)
		} else if fl.Name != "help" && fl.Name != "conf" {
			p.Settings = append(p.Settings, folder.Setting{Name: fl.Name, Value: fl.Value.String(), Source: sourceOf(fl)})
		}
	})
	o := bench.Observer{Warn: a.warn}
	if f.samples {
		o.Sample = func(s folder.Sample) {
			if s.Phase == folder.Iteration && s.Error == "" {
				fmt.Fprintf(a.out, "@ %s %.6f\n", s.Workload, s.Seconds)
			}
		}
	}
	line := a.progress(f.quiet)
	line.observe(&o)
	dir, err := bench.Run(c.Context(), p, o)
	line.close()
	if dir == "" {
		return err
	}
	// What was done is shown, whatever ended it.
	if !f.quiet {
		format := cmp.Or(map[bool]string{true: "json"}[f.json], "text")
		if rerr := a.showRun(dir, format, false); rerr != nil {
			err = errors.Join(err, rerr)
		}
	}
	return err
}
