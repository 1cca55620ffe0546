package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/workloads"
)

func (a *app) exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "export FORMAT RUN --out FOLDER", Short: "Write a run in another program's form",
		Long:    "Writes a run in another program's form.",
		Example: "  execbench export spark results/RUN --out logs",
	}
	c.Annotations = map[string]string{choices: "Formats"}
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return noFormat(c, args[0])
		}
		return bench.Usagef("%s wants a format and a run folder: %s", c.CommandPath(), c.UseLine())
	}
	var out string
	spark := &cobra.Command{
		Use: "spark RUN --out FOLDER", Short: "Spark's JSON event log",
		Long:    "Writes the events of a run as Spark's own JSON event log, which Spark's History Server opens.",
		Example: "  execbench export spark results/RUN --out logs",
		Args:    wants(1, "a run folder"),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return bench.Usagef("name the folder for the event log: --out FOLDER")
			}
			return a.exportSpark(args[0], out)
		},
	}
	spark.Flags().StringVar(&out, "out", "", "`FOLDER` for the event log; made if it is not there")
	c.AddCommand(spark)
	return c
}

// noFormat is the error for a word that should be a format of export.
func noFormat(c *cobra.Command, word string) error {
	return bench.Usagef("there is no format %q: there is %s", word, strings.Join(subNames(c), ", "))
}

// exportSpark replays a run's events into a Spark log.
func (a *app) exportSpark(dir, out string) (err error) {
	r, err := openRun(dir)
	if err != nil {
		return err
	}
	a.tellProblems(r)
	f, err := os.Open(r.EventsPath())
	if err != nil {
		return bench.Usagef("cannot export %s: cannot read %s: %w", dir, r.EventsPath(), workloads.Cause(err))
	}
	defer f.Close() // only read
	made, err := folder.MakeAll(out)
	defer func() {
		if err != nil {
			folder.RemoveEmpty(made)
		}
	}()
	if err != nil {
		return bench.Usagef("cannot export to %s: %w", out, workloads.Cause(err))
	}
	log, err := event.NewSparkLog(out, event.SparkOptions{})
	if err != nil {
		return &bench.Usage{Err: err}
	}
	var cut *event.Truncated
	for e, rerr := range event.Read(f) {
		if errors.As(rerr, &cut) {
			break
		}
		if rerr != nil {
			return errors.Join(bench.Usagef("cannot export %s: %w", dir, rerr), log.Discard())
		}
		log.Emit(e)
	}
	if err := log.Close(); err != nil {
		return errors.Join(err, log.Discard())
	}
	if cut != nil {
		a.warn(cut.Error() + "; the log holds what was before and shows as incomplete")
	}
	_, err = fmt.Fprintln(a.out, log.Path())
	return err
}
