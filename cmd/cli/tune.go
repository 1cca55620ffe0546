package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
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
	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/bench/tune"
	"github.com/execbench/execbench/engine/conf"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// tuneFlags are the flags of tune.
type tuneFlags struct {
	cores, memory           string
	steps                   int
	conf                    []string
	properties              string
	rounds                  int
	iterations, warmup      int
	budget, timeout         durationFlag
	pin, temp, data         string
	input                   []string
	noVerify, json, verbose bool
	out                     string
}

func (t *tuneFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.cores, "cores", "", "`CORES` to try: 2, or 1,2,4, or 1..8, which doubles (default: 1 to all)")
	f.StringVar(&t.memory, "memory", "", "`SIZES` to try: 1GiB, or 256MiB,1GiB, or 128MiB..2GiB, which doubles (default: 128MiB to half of what it may use)")
	f.Var(&countFlag{&t.steps, 2}, "steps", "try so many sizes of a range of memory instead of doubling")
	f.StringArrayVar(&t.conf, "conf", nil, "configuration `KEY=VALUE,VALUE…`: each value is tried; repeatable")
	f.StringVar(&t.properties, "properties", "", "spark-defaults.conf `FILE` with more configuration, for every run")
	t.rounds, t.iterations, t.warmup = 3, 1, 1
	f.Var(&countFlag{&t.rounds, 1}, "runs", "processes for each setting; rounds of all settings, in a drawn order")
	f.Var(&countFlag{&t.iterations, 1}, "iterations", "timed executions in each process")
	f.Var(&countFlag{&t.warmup, 0}, "warmup", "executions before them")
	f.Var(&t.budget, "budget", "begin no run that is not expected to end within this time")
	f.Var(&t.timeout, "timeout", "end a run after this long; its setting is out")
	t.pin = "on"
	f.Var(&choiceFlag{&t.pin, []string{"on", "off"}}, "pin", "confine each process to as many processors as it has workers")
	f.StringVar(&t.temp, "temp", "", "`FOLDER` for temporary files (default: local.dir, or the system's)")
	f.StringVar(&t.data, "data", "", "`FOLDER` in which generated data are kept (default: in the user's cache)")
	f.StringArrayVar(&t.input, "input", nil, "`PATH` of a file or folder to read instead of generated data; repeatable")
	f.BoolVar(&t.noVerify, "no-verify", false, "do not check the answers")
	f.StringVar(&t.out, "out", "", "`FOLDER` for all runs, tune.json, tune.txt and best.properties, new or empty (default: results/TIME-tune-WORKLOAD-ID)")
	f.BoolVar(&t.json, "json", false, "write JSON")
	f.BoolVar(&t.verbose, "verbose", false, "show what the runs say on standard error")
}

const tuneExamples = `  execbench tune terasort --size 1GB                             # all cores, memory doubling
  execbench tune terasort --size 1GB --cores 1..2 --memory 128MiB..512MiB --budget 10m --out tuned
  execbench run terasort --size 1GB --properties tuned/best.properties   # with what it found
  execbench tune wordcount --size 1GB --cores 2 --memory 256MiB --conf io.compression.codec=lz4,zstd
  execbench tune terasort --size 1GB --cores 2 --memory 256MiB..1GiB --steps 5 --runs 5`

const tuneNotes = `Every run is a process of its own. Running out of memory or time is an outcome of a
setting, not a number. Recommended is, of the settings as fast as the fastest within the
noise, the one with the least memory; "front" marks those that no other beats in both.
Exit codes: 0 a setting is recommended · 2 every setting was refused · 3 none came to
its end, or an answer was wrong · 130, 143 interrupted: what was measured is kept.`

func (a *app) tuneCommand() *cobra.Command {
	flags := &tuneFlags{}
	c := &cobra.Command{
		Use: "tune WORKLOAD [flags]", Short: "Find the cores, memory and configuration that a workload runs best with",
		Long: `Runs a workload with every combination of cores, memory and configuration values,
some rounds of them, shows time, memory and spilling of each, and writes the setting
it recommends as a properties file that "run" reads.`,
		Example: tuneExamples,
	}
	flags.add(c.PersistentFlags())
	workloadCommands(c, func(w *workloads.Workload) *cobra.Command {
		sub := &cobra.Command{Use: w.Name + " [flags]", Long: w.Doc, Args: noArgs}
		v := addParams(sub, w, c.PersistentFlags())
		sub.RunE = func(sub *cobra.Command, _ []string) error { return a.tune(sub, w, v, flags) }
		return sub
	})
	c.Annotations[notes] = tuneNotes
	return c
}

// tuning is a tune with everything decided.
type tuning struct {
	*tuneFlags
	workload *workloads.Workload
	values   workloads.Values
	given    []string // names of parameters that were given
	settings []tune.Setting
	fixed    map[string]string // configuration of every run
}

func (a *app) tune(c *cobra.Command, w *workloads.Workload, v workloads.Values, f *tuneFlags) (err error) {
	t := &tuning{tuneFlags: f, workload: w, values: v}
	c.Flags().VisitAll(func(fl *pflag.Flag) {
		if _, param := fl.Annotations[paramMark]; param && sourceOf(fl) != fromNone {
			t.given = append(t.given, fl.Name)
		}
	})
	if err := t.resolve(c.Flags().Lookup("conf")); err != nil {
		return err
	}
	if err := t.claim(); err != nil {
		return err
	}
	line := a.progress(f.json)
	defer func() { line.close() }()
	if err := t.prepareData(c.Context(), line, a.warn); err != nil {
		return usageOfData(c, errors.Join(err, removeEmpty(t.out)))
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program to run it again: %w", err)
	}
	p := &child.Program{Executable: executable, Env: environment()}
	if f.verbose {
		p.Err = a.err
	}
	r, err := tune.Run(c.Context(), tune.Plan{
		Settings: t.settings, Rounds: t.rounds, Budget: time.Duration(t.budget), Now: time.Now,
		Begin: func(s tune.Setting, round, index, of int) {
			line.begin(fmt.Sprintf("round %d · %s · run", round+1, s), index, of)
		},
		After: t.write,
	}, func(ctx context.Context, s tune.Setting, round int) child.Outcome {
		dir := filepath.Join(t.out, "runs", s.FolderName(round))
		return p.Run(ctx, t.args(s, dir), dir)
	})
	line.close()
	r.Workload = w.Name
	if terr := a.tellTuning(t, r); terr != nil {
		return errors.Join(err, terr)
	}
	return errors.Join(err, t.verdict(r, err))
}

// resolve reads the grid.
func (t *tuning) resolve(confFlag *pflag.Flag) error {
	limits := machine.ReadLimits(machine.Root())
	if t.cores == "" {
		t.cores = fmt.Sprintf("1..%d", limits.Cores)
	}
	if t.memory == "" {
		t.memory = fmt.Sprintf("%d..%d", min(128*units.MiB, limits.Budget()), limits.Budget())
	}
	cores, err := tune.ParseCores(t.cores)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	memory, err := tune.ParseMemory(t.memory, t.steps)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if err := t.resolveConf(confFlag, cores, memory); err != nil {
		return err
	}
	if t.workload.Check != nil {
		if err := t.workload.Check(t.values); err != nil {
			return &bench.Usage{Err: err}
		}
	}
	return nil
}

// resolveConf sorts the configuration into what is tried and what is fixed,
// and makes the grid.
func (t *tuning) resolveConf(confFlag *pflag.Flag, cores []int, memory []units.Bytes) error {
	var file engineFlags // of which the properties file alone is given
	none := pflag.NewFlagSet("", pflag.ContinueOnError)
	file.add(none)
	file.properties = t.properties
	layers, err := file.layers(none)
	if err != nil {
		return err
	}
	t.fixed = map[string]string{}
	for _, l := range layers {
		maps.Copy(t.fixed, l.Values)
	}
	pairs := t.conf
	if sourceOf(confFlag) == fromEnv {
		pairs = strings.Split(os.Getenv(envName("conf")), ";")
	}
	var axes []tune.Axis
	for _, pair := range pairs {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		axis, err := tune.ParseConf(pair)
		if err != nil {
			return &bench.Usage{Err: err}
		}
		if slices.ContainsFunc(axes, func(o tune.Axis) bool { return o.Key == axis.Key }) {
			return bench.Usagef("cannot use --conf %s: %s is given twice; write all its values in one", pair, axis.Key)
		}
		if bare := strings.TrimPrefix(axis.Key, conf.Prefix); bare == "master" || bare == "driver.memory" {
			return bench.Usagef("cannot use --conf %s: --cores and --memory try those", pair)
		}
		for k := range t.fixed { // the flag goes before the file
			if strings.TrimPrefix(k, conf.Prefix) == strings.TrimPrefix(axis.Key, conf.Prefix) {
				delete(t.fixed, k)
			}
		}
		axes = append(axes, axis)
	}
	t.settings = tune.Grid(cores, memory, axes)
	for _, s := range t.settings {
		values := maps.Clone(t.fixed)
		for _, p := range s.Conf {
			values[p.Key] = p.Value
		}
		if _, _, err := conf.Parse(values); err != nil {
			return &bench.Usage{Err: err}
		}
	}
	return nil
}

// claim makes the folder for what is measured.
func (t *tuning) claim() error {
	if t.out == "" {
		t.out = filepath.Join("results", fmt.Sprintf("%s-tune-%s-%s", time.Now().UTC().Format("20060102T150405"), t.workload.Name, strconv.FormatInt(int64(os.Getpid()), 36)))
	}
	if err := claimFolder(t.out, "tune"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(t.out, "runs"), 0o777); err != nil {
		return bench.Usagef("cannot make the folder for what tune writes: %w", err)
	}
	return nil
}

// claimFolder makes dir for what a command writes, or takes it when it is
// empty.
func claimFolder(dir, command string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return bench.Usagef("cannot use %s for what %s writes: it is not empty; name a new folder", dir, command)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o777)
	}
	if err != nil {
		return bench.Usagef("cannot use %s for what %s writes: %w", dir, command, err)
	}
	return nil
}

// removeEmpty takes back a folder in which nothing was begun.
func removeEmpty(dir string) error {
	return errors.Join(os.Remove(filepath.Join(dir, "runs")), os.Remove(dir))
}

// prepareData makes the data before the runs: the memory and time that it
// takes are of none of them.
func (t *tuning) prepareData(ctx context.Context, line *progress, warn func(string)) error {
	if t.workload.Generate == nil || t.input != nil {
		return nil
	}
	line.begin("generate", 0, 1)
	limits := machine.ReadLimits(machine.Root())
	cache := data.Cache{Dir: t.data}
	if cache.Dir == "" {
		cache.Dir = data.DefaultDir()
	}
	g := workloads.Gen{Cores: limits.Cores, Memory: min(64*units.MiB, limits.Budget()/2), Progress: line.count}
	_, err := cache.Get(ctx, t.workload, t.values, g, func(err error) { warn(err.Error()) })
	return err
}

// args are those of the process that runs a setting.
func (t *tuning) args(s tune.Setting, dir string) []string {
	args := []string{"run", t.workload.Name, "--quiet", "--out", dir,
		"--cores", strconv.Itoa(s.Cores), "--memory", strconv.FormatInt(int64(s.Memory), 10),
		"--iterations", strconv.Itoa(t.iterations), "--warmup", strconv.Itoa(t.warmup), "--pin", t.pin}
	for _, f := range []struct{ name, value string }{{"properties", t.properties}, {"temp", t.temp}, {"data", t.data}} {
		if f.value != "" {
			args = append(args, "--"+f.name, f.value)
		}
	}
	if t.timeout > 0 {
		args = append(args, "--timeout", time.Duration(t.timeout).String())
	}
	if t.noVerify {
		args = append(args, "--no-verify")
	}
	for _, path := range t.input {
		args = append(args, "--input", path)
	}
	for _, p := range s.Conf {
		args = append(args, "--conf", p.Key+"="+p.Value)
	}
	for _, name := range t.given {
		args = append(args, "--"+name+"="+t.values.Text(name))
	}
	return args
}

// environment is that of this process, without the flags in it: the runs get
// theirs as arguments.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envName("")) })
}

// Names of what tune writes.
const (
	tuneFile       = "tune.json"
	tuneTable      = "tune.txt"
	propertiesFile = "best.properties"
)

// write keeps what has been measured so far.
func (t *tuning) write(r *tune.Result) error {
	r.Workload = t.workload.Name
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = folder.ReplaceFile(filepath.Join(t.out, tuneFile), append(text, '\n'))
	}
	var table, properties bytes.Buffer
	if err == nil {
		err = r.Write(&table)
	}
	if err == nil {
		err = folder.ReplaceFile(filepath.Join(t.out, tuneTable), table.Bytes())
	}
	if row := r.Recommended(); err == nil && row != nil {
		fmt.Fprintf(&properties, "# %s: %s, median %s. Made by execbench tune.\n", t.workload.Name, row.Setting, units.Duration(seconds(row.Median)))
		err = conf.WriteProperties(&properties, r.Properties(t.fixed))
		if err == nil {
			err = folder.ReplaceFile(filepath.Join(t.out, propertiesFile), properties.Bytes())
		}
	}
	if err != nil {
		return fmt.Errorf("cannot keep what was measured: %w", err)
	}
	return nil
}

// tellTuning writes the result.
func (a *app) tellTuning(t *tuning, r *tune.Result) error {
	if err := t.write(r); err != nil {
		return err
	}
	if t.json {
		return writeJSON(a.out, r)
	}
	if err := r.Write(a.out); err != nil {
		return err
	}
	if r.Recommended() == nil {
		_, err := fmt.Fprintf(a.out, "Folder: %s\n", t.out)
		return err
	}
	again := []string{"execbench", "run", t.workload.Name}
	for _, name := range t.given {
		again = append(again, "--"+name, t.values.Text(name))
	}
	again = append(again, "--properties", filepath.Join(t.out, propertiesFile))
	return tell(a.out, "Folder: "+t.out, "To run with it: "+strings.Join(again, " "))
}

func tell(w io.Writer, lines ...string) error {
	_, err := io.WriteString(w, strings.Join(lines, "\n")+"\n")
	return err
}

// verdict is the error of a tuning that recommends nothing.
func (t *tuning) verdict(r *tune.Result, err error) error {
	if err != nil || r.Recommended() != nil {
		return nil
	}
	for _, row := range r.Rows {
		if row.Outcome != child.Refused {
			return errors.New("no setting came to its end")
		}
	}
	return bench.Usagef("every setting was refused: %s", r.Rows[0].Why)
}
