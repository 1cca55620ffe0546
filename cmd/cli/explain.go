package cli

import (
	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/explain"
	"github.com/execbench/execbench/bench/report"
)

const explainNotes = `Bounds: CPU, disk (input, output, spilling, waiting for fetched data), GC, skew (tasks
of uneven length), scheduling (launching and handing over tasks), program (what it does
between its jobs). The answers replay the recorded tasks on the same workers without
one of these; the replay of the tasks as they were says how far to trust them.`

func (a *app) explainCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "explain RUN [flags]", Short: "Say what bounds a run, and what removing it would give",
		Long: `Says what bounds an earlier run (CPU, disk, GC, skew, scheduling), of the iteration
with the median time and of each of its stages, with the figures that say so; and how
much faster it would be without a disk, without a collector, with even tasks, with
free scheduling. (The lineage of a job is shown by "describe WORKLOAD --plan".)`,
		Example: `  execbench run terasort --size 1GB --memory 128MiB --out small
  execbench explain small                           # disk: most of it is spilling
  execbench run tasks --tasks 1e5 --length 0 --out empty
  execbench explain empty                           # scheduling: so much a task
  execbench explain RUN --json > explanation.json`,
		Annotations: map[string]string{notes: explainNotes},
		Args:        wants(1, "a run folder"),
		RunE:        func(_ *cobra.Command, args []string) error { return a.explain(args[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

func (a *app) explain(dir string, asJSON bool) error {
	r, err := openRun(dir)
	if err != nil {
		return err
	}
	x, err := explain.Explain(report.FileSource(r.EventsPath()))
	if err != nil {
		return bench.Usagef("cannot explain %s: %w", dir, err)
	}
	x.Problems = append(r.Problems, x.Problems...)
	if asJSON {
		return writeJSON(a.out, struct {
			Run      string `json:"run"`
			Workload string `json:"workload"`
			*explain.Explanation
		}{r.Dir, r.Manifest.Workload, x})
	}
	return x.Write(a.out)
}
