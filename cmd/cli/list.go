package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench/suite"
	"github.com/execbench/execbench/workloads"
)

func (a *app) listCommand() *cobra.Command {
	var asJSON, sizes bool
	c := &cobra.Command{
		Use: "list [flags]", Short: "List the workloads",
		Long:    "Lists the workloads, with what bounds each of them.",
		Example: "  execbench list\n  execbench describe terasort   # all about one of them\n  execbench list --sizes        # what \"run --all --size small\" gives each of them",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if sizes {
				return listSizes(a.out, asJSON)
			}
			type row struct {
				Name     string `json:"name"`
				Summary  string `json:"summary"`
				Stresses string `json:"stresses"`
			}
			var all []row
			var cells [][]string
			for _, w := range workloads.All() {
				all = append(all, row{w.Name, w.Summary, w.Stresses})
				cells = append(cells, []string{w.Name, w.Summary, w.Stresses})
			}
			if asJSON {
				return writeJSON(a.out, struct {
					SchemaVersion int   `json:"schema_version"`
					Workloads     []row `json:"workloads"`
				}{schemaVersion, all})
			}
			return writeTable(a.out, "", []string{"workload", "what it does", "what it stresses"}, cells)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	c.Flags().BoolVar(&sizes, "sizes", false, "list the sizes of \"run --all\" instead")
	return c
}

// listSizes lists what the sizes of a suite give each workload.
func listSizes(w io.Writer, asJSON bool) error {
	if asJSON {
		return writeJSON(w, struct {
			SchemaVersion int          `json:"schema_version"`
			Sizes         []suite.Size `json:"sizes"`
		}{schemaVersion, suite.Sizes()})
	}
	for _, s := range suite.Sizes() {
		title := s.Name + ": " + s.Doc
		if s.Iterations > 0 {
			title += fmt.Sprintf("; iterations %d, warm-up %d", s.Iterations, s.Warmup)
		}
		var rows [][]string
		for _, w := range workloads.All() {
			given := suite.Text(s.Given(w.Name))
			if given == "" {
				given = "its defaults"
			}
			rows = append(rows, []string{w.Name, given})
		}
		if err := writeTable(w, title, []string{"workload", "parameters"}, rows); err != nil {
			return err
		}
	}
	return nil
}
