package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/child"
	"github.com/execbench/execbench/bench/report"
	"github.com/execbench/execbench/bench/suite"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/workloads"
)

// suiteFlags are the flags of run that no single workload has.
type suiteFlags struct {
	all  bool
	size string
}

func (s *suiteFlags) add(f *pflag.FlagSet) {
	f.BoolVar(&s.all, "all", false, "run every workload, each in a process and a run folder of its own; the exit code is the worst of theirs")
	s.size = "standard"
	f.Var(&choiceFlag{&s.size, suite.SizeNames()}, "size", "with --all, how much: "+sizeDocs()+`; "list --sizes" has the parameters`)
}

func sizeDocs() string {
	var docs []string
	for _, s := range suite.Sizes() {
		docs = append(docs, s.Name+" is "+s.Doc)
	}
	return strings.Join(docs, "; ")
}

// runAll runs every workload at a size, one after the other, and shows one
// table.
func (a *app) runAll(c *cobra.Command, size string, f *runFlags) error {
	for _, name := range []string{"input", "output"} {
		if sourceOf(c.Flags().Lookup(name)) != fromNone {
			return bench.Usagef("cannot use --%s with --all: it is of one workload", name)
		}
	}
	layers, err := f.layers(c.Flags())
	if err != nil {
		return err
	}
	_, warnings, err := conf.ParseLayers(layers...)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	p := suite.Plan{Dir: f.out, Command: append([]string{"execbench"}, a.args...), Now: time.Now}
	for _, s := range suite.Sizes() {
		if s.Name == size {
			p.Size = &s
		}
	}
	for _, w := range workloads.All() {
		if _, err := p.Size.Values(w); err != nil {
			return err
		}
		p.Workloads = append(p.Workloads, w.Name)
	}
	if p.Dir == "" {
		p.Dir = filepath.Join("results", fmt.Sprintf("%s-suite-%s-%s", p.Now().UTC().Format("20060102T150405"), size, strconv.FormatInt(int64(os.Getpid()), 36)))
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program to run it again: %w", err)
	}
	if err := claimFolder(p.Dir, "run --all"); err != nil {
		return err
	}
	for _, w := range warnings {
		a.warn(w.Text)
	}
	// What the environment says of a workload's parameters is theirs; flags
	// come as arguments.
	program := &child.Program{Executable: executable, Env: slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		found := false
		c.Flags().VisitAll(func(f *pflag.Flag) { found = found || envName(f.Name) == name })
		return found
	})}
	if f.samples {
		program.Out = a.out
	}
	args := f.args(c.Flags(), p.Size)
	line := a.progress(f.quiet)
	p.Begin = func(w string, index, of int) { line.begin(w+" · workload", index, of) }
	r, err := suite.Run(c.Context(), p, func(ctx context.Context, w string, params []suite.Param, dir string) child.Outcome {
		own := append([]string{"run", w, "--quiet", "--out", dir}, args...)
		for _, p := range params {
			own = append(own, "--"+p.Name+"="+p.Value)
		}
		return program.Run(ctx, own, dir)
	})
	line.close()
	if !f.quiet {
		err = errors.Join(err, a.tellSuite(r, p.Dir, map[bool]string{true: "json", false: "text"}[f.json]))
	}
	if err != nil {
		return err
	}
	if code := suiteCode(r); code != bench.ExitDone {
		return &exit{code}
	}
	return nil
}

// suiteCode is the worst of the workloads' exit codes.
func suiteCode(r *suite.Result) (worst int) {
	for _, row := range r.Rows {
		code := row.Code
		if code < 0 { // killed, or never begun
			code = bench.ExitBroken
		}
		worst = bench.Worst(worst, code)
	}
	return worst
}

// args are the flags that every process of a suite gets. A number of
// iterations that the user gave goes before the size's.
func (r *runFlags) args(flags *pflag.FlagSet, size *suite.Size) (args []string) {
	add := func(name, value string) { args = append(args, "--"+name+"="+value) }
	given := func(name string) bool { return sourceOf(flags.Lookup(name)) != fromNone }
	count := func(name string, value, ofSize int) {
		if !given(name) && ofSize > 0 {
			value = ofSize
		}
		add(name, strconv.Itoa(value))
	}
	count("iterations", r.iterations, size.Iterations)
	count("warmup", r.warmup, size.Warmup)
	if r.memory > 0 {
		add("memory", strconv.FormatInt(int64(r.memory), 10))
	}
	if r.timeout > 0 {
		add("timeout", time.Duration(r.timeout).String())
	}
	pairs := r.conf
	if sourceOf(flags.Lookup("conf")) == fromEnv {
		pairs = strings.Split(os.Getenv(envName("conf")), ";")
	}
	for _, pair := range pairs {
		if strings.TrimSpace(pair) != "" {
			add("conf", pair)
		}
	}
	for _, name := range []string{"cores", "executors", "properties", "master", "pin", "temp", "data", "profile", "no-verify", "events", "event-log", "samples"} {
		if f := flags.Lookup(name); given(name) {
			add(name, f.Value.String())
		}
	}
	return args
}

// showSuite writes the table of a suite folder.
func (a *app) showSuite(dir, format string) error {
	r, err := suite.Open(dir)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if format == "csv" {
		return bench.Usagef("cannot write the report as csv: that format is for --tasks")
	}
	return a.tellSuite(r, dir, format)
}

// tellSuite writes the table, or all as JSON.
func (a *app) tellSuite(r *suite.Result, dir, format string) error {
	f, err := report.ParseFormat(format)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if f == report.JSON {
		return writeJSON(a.out, struct {
			*suite.Result
			Dir string `json:"suite"`
		}{r, dir})
	}
	if err := r.Write(a.out, f); err != nil {
		return err
	}
	return tell(a.out, "Suite folder: "+dir)
}

// suiteExample names a run of a suite.
func suiteExample(dir string) string {
	r, err := suite.Open(dir)
	if err == nil {
		for _, row := range r.Rows {
			if row.Folder != "" {
				return filepath.Join(dir, row.Folder)
			}
		}
	}
	return filepath.Join(dir, "WORKLOAD")
}
