package cli

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/engine/storage"
	"github.com/execbench/execbench/engine/units"
)

func (a *app) cleanCommand() *cobra.Command {
	var temp, dir string
	var keep, asJSON bool
	c := &cobra.Command{
		Use: "clean [flags]", Short: "Remove what killed runs left, and generated data",
		Long: `Removes temporary folders whose process is gone, and the generated data in the
cache. Folders of running processes, run folders and whatever execbench did not
make are left alone.`,
		Example: "  execbench clean\n  execbench clean --keep-data --temp /mnt/scratch",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			removed, size, err := storage.CleanStale(cmp.Or(temp, os.TempDir()))
			bytes := units.Bytes(size)
			if !keep {
				sets, more, derr := data.Cache{Dir: cmp.Or(dir, data.DefaultDir())}.Clean(false)
				removed, bytes, err = append(removed, sets...), bytes+more, errors.Join(err, derr)
			}
			if asJSON {
				return errors.Join(err, writeJSON(a.out, struct {
					SchemaVersion int         `json:"schema_version"`
					Removed       []string    `json:"removed"`
					Bytes         units.Bytes `json:"bytes"`
				}{schemaVersion, removed, bytes}))
			}
			for _, r := range removed {
				fmt.Fprintln(a.out, "removed", r)
			}
			_, werr := fmt.Fprintf(a.out, "%d folders, %s\n", len(removed), bytes)
			return errors.Join(err, werr)
		},
	}
	c.Flags().StringVar(&temp, "temp", "", "`FOLDER` for temporary files (default: the system's)")
	c.Flags().StringVar(&dir, "data", "", "`FOLDER` in which generated data are kept (default: in the user's cache)")
	c.Flags().BoolVar(&keep, "keep-data", false, "leave generated data where they are")
	c.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	return c
}
