package cli

import (
	"github.com/spf13/cobra"

	"github.com/execbench/execbench/workloads"
)

func (a *app) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list [flags]", Short: "List the workloads",
		Long:    "Lists the workloads, with what bounds each of them.",
		Example: "  execbench list\n  execbench describe terasort   # all about one of them",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
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
	return c
}
