package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/folder"
)

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "version [flags]", Short: "Say what this program was built from",
		Long: "Says what this program was built from: version, commit, Go release, system.", Example: "  execbench version",
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := bench.ReadVersions()
			if asJSON {
				return writeJSON(a.out, struct {
					SchemaVersion int `json:"schema_version"`
					folder.Versions
				}{schemaVersion, v})
			}
			commit := v.Commit
			switch {
			case commit == "":
				commit = "unknown commit"
			case v.Modified:
				commit += " with changes"
			}
			_, err := fmt.Fprintf(a.out, "execbench %s (%s) %s %s/%s\n", v.Version, commit, v.Go, runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}
