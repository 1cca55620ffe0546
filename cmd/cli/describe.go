package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

func (a *app) describeCommand() *cobra.Command {
	flags := &engineFlags{}
	var plan, asJSON bool
	c := &cobra.Command{
		Use: "describe WORKLOAD [flags]", Short: "Say what a workload does, takes and checks",
		Long: `Shows a workload's own text and its parameters. With --plan it shows the lineage
of its job instead, cut where a shuffle begins a new stage; that needs the
input, since its files decide the partitions, and runs nothing.

The functions behind the steps of a plan are shared by all tasks and called from
several at once, where Spark copies a closure for every task: those of your own
workload must not change what they capture.`,
		Example: `  execbench describe terasort
  execbench describe wordcount --plan --input src
  execbench describe terasort --plan --size 100MB`,
	}
	flags.add(c.PersistentFlags())
	c.PersistentFlags().BoolVar(&plan, "plan", false, "show the lineage of the job")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "write JSON")
	workloadCommands(c, func(w *workloads.Workload) *cobra.Command {
		sub := &cobra.Command{Use: w.Name + " [flags]", Long: w.Doc, Args: noArgs}
		v := addParams(sub, w, c.PersistentFlags())
		sub.RunE = func(sub *cobra.Command, _ []string) error {
			if plan {
				return a.plan(sub, w, v, flags)
			}
			return a.describe(w, asJSON)
		}
		return sub
	})
	return c
}

func (a *app) describe(w *workloads.Workload, asJSON bool) error {
	type param struct {
		Name    string `json:"name"`
		Kind    string `json:"kind"`
		Default string `json:"default"`
		Range   string `json:"range,omitempty"`
		Data    bool   `json:"decides_data"`
		Doc     string `json:"doc"`
	}
	var params []param
	var rows [][]string
	for _, p := range w.Params {
		params = append(params, param{p.Name, p.Kind.String(), p.Default, p.Range(), p.Data, p.Doc})
		rows = append(rows, []string{"--" + p.Name, p.Kind.String(), p.Default, p.Range(), p.Doc})
	}
	if asJSON {
		return writeJSON(a.out, struct {
			SchemaVersion int     `json:"schema_version"`
			Name          string  `json:"name"`
			Summary       string  `json:"summary"`
			Stresses      string  `json:"stresses"`
			Doc           string  `json:"doc"`
			Params        []param `json:"params"`
		}{schemaVersion, w.Name, w.Summary, w.Stresses, w.Doc, params})
	}
	if _, err := fmt.Fprintf(a.out, "%s: %s\n\n%s\n\n", w.Name, w.Summary, strings.TrimSpace(w.Doc)); err != nil {
		return err
	}
	return writeTable(a.out, "Parameters", []string{"flag", "kind", "default", "range", "meaning"}, rows)
}

// plan prints the lineage of a workload's job.
func (a *app) plan(c *cobra.Command, w *workloads.Workload, v workloads.Values, f *engineFlags) error {
	layers, err := f.layers(c.Flags())
	if err != nil {
		return err
	}
	line := a.progress(false)
	o := bench.Observer{Warn: a.warn}
	line.observe(&o)
	text, err := bench.Explain(c.Context(), bench.Plan{
		Workload: w, Values: v, Input: f.input, Conf: layers, Cores: f.cores, Executors: f.executors, Memory: units.Bytes(f.memory),
		Temp: f.temp, Cache: f.data,
	}, o)
	line.close()
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(a.out, text)
	return err
}
