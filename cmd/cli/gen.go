package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/bench/machine"
	"github.com/execbench/execbench/bench/proc"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// workFlags are the flags of commands that compute without a session.
type workFlags struct {
	cores  int
	memory sizeFlag
}

func (f *workFlags) add(c *cobra.Command) {
	c.PersistentFlags().Var(&countFlag{&f.cores, 1}, "cores", "goroutines that compute (default: all that the process may use)")
	c.PersistentFlags().Var(&f.memory, "memory", "memory budget of the whole process (default: half of what it may use)")
}

// gen sets the process up and returns what generators and verifiers get.
// restore puts it back.
func (f *workFlags) gen(p *progress) (g workloads.Gen, restore func() error, err error) {
	limits := machine.ReadLimits(machine.Root())
	cores, memory := f.cores, units.Bytes(f.memory)
	if cores == 0 {
		cores = limits.Cores
	}
	if memory == 0 {
		memory = limits.Budget()
	}
	setup, err := proc.Start(proc.Config{Cores: cores, Memory: memory})
	if err != nil {
		return g, nil, err
	}
	return workloads.Gen{Cores: cores, Memory: min(64*units.MiB, memory/2), Progress: p.count}, setup.Close, nil
}

func (a *app) genCommand() *cobra.Command {
	var flags workFlags
	var out string
	var asJSON bool
	c := &cobra.Command{
		Use: "gen WORKLOAD --out FOLDER [flags]", Short: "Generate a workload's data into a folder",
		Long: `Generates data: the same seed gives the same bytes, whatever the cores. The
folder holds data only; a manifest with the checksum of every file stands
beside it, and "run --input FOLDER" checks against it.`,
		Example: `  execbench gen terasort --size 1GB --out data
  execbench gen terasort --records 1000000 --start 5000000 --ascii --out part   # as gensort -a -b5000000 1000000
  execbench gen wordcount --size 100MB --seed 7 --out text`,
	}
	flags.add(c)
	c.PersistentFlags().StringVar(&out, "out", "", "the `FOLDER` to make; it must not exist")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "write JSON")
	workloadCommands(c, func(w *workloads.Workload) *cobra.Command {
		if w.Generate == nil {
			return nil
		}
		sub := &cobra.Command{Use: w.Name + " --out FOLDER [flags]", Long: w.Doc, Args: noArgs}
		v := addParams(sub, w, c.PersistentFlags())
		sub.RunE = func(c *cobra.Command, _ []string) error {
			if out == "" {
				return bench.Usagef("name the folder for the data: --out FOLDER")
			}
			return a.gen(c, w, v, &flags, out, asJSON)
		}
		return sub
	})
	return c
}

func (a *app) gen(c *cobra.Command, w *workloads.Workload, v workloads.Values, flags *workFlags, out string, asJSON bool) (err error) {
	if w.Check != nil {
		if err := w.Check(v); err != nil {
			return &bench.Usage{Err: err}
		}
	}
	line := a.progress(false)
	line.begin("generate", 0, 1)
	g, restore, err := flags.gen(line)
	if err != nil {
		line.close()
		return err
	}
	began := time.Now()
	set, err := data.Make(c.Context(), w, v, g, out)
	line.close()
	err = errors.Join(err, restore())
	if err != nil {
		return usageOfData(c, err)
	}
	if asJSON {
		return writeJSON(a.out, struct {
			SchemaVersion int    `json:"schema_version"`
			Folder        string `json:"folder"`
			*data.Manifest
		}{schemaVersion, set.Dir, set.Manifest})
	}
	_, err = fmt.Fprintf(a.out, "%s: %s (%d bytes), files %d, checksum %s, %s\n",
		set.Dir, set.Bytes, set.Bytes, len(set.Files), set.Checksum, units.Duration(time.Since(began)))
	return err
}

// usageOfData marks what the user can mend; what a signal ended keeps its
// cause.
func usageOfData(c *cobra.Command, err error) error {
	var full *data.NoSpace
	if c.Context().Err() == nil && (errors.As(err, &full) || data.Damaged(err) || errors.Is(err, data.ErrExists)) {
		return &bench.Usage{Err: err}
	}
	return err
}
