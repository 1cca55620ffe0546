package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/data"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/workloads"
)

func (a *app) verifyCommand() *cobra.Command {
	var flags workFlags
	var input []string
	var asJSON bool
	c := &cobra.Command{
		Use: "verify WORKLOAD FOLDER [flags]", Short: "Verify an output folder",
		Long: `Verifies the output of a job, by itself or against its input. Exit code 3 says
that it is wrong.`,
		Example: `  execbench verify terasort sorted                  # order, duplicates
  execbench verify terasort sorted --input data     # and nothing lost or changed
  execbench verify wordcount counts --input src`,
	}
	flags.add(c)
	c.PersistentFlags().Var((*pathsFlag)(&input), "input", "`PATH` of a file or folder that the job read; repeatable")
	c.PersistentFlags().BoolVar(&asJSON, "json", false, "write JSON")
	workloadCommands(c, func(w *workloads.Workload) *cobra.Command {
		if w.VerifyDir == nil {
			return nil
		}
		sub := &cobra.Command{Use: w.Name + " FOLDER [flags]", Long: w.Doc, Args: wants(1, "one output folder")}
		v := addParams(sub, w, c.PersistentFlags())
		sub.RunE = func(c *cobra.Command, args []string) error { return a.verify(c, w, v, &flags, args[0], input, asJSON) }
		return sub
	})
	return c
}

func (a *app) verify(c *cobra.Command, w *workloads.Workload, v workloads.Values, flags *workFlags, dir string, input []string, asJSON bool) error {
	files, err := workloads.OutputFiles(dir)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if len(files) == 0 { // a job writes a file for each partition, be it empty
		return bench.Usagef("cannot verify %s: there is no output file in it", dir)
	}
	line := a.progress(false)
	line.begin("verify", 0, 1)
	g, restore, err := flags.gen(line)
	if err != nil {
		line.close()
		return err
	}
	verdict, err := verifyOutput(c, w, v, g, dir, input)
	line.close()
	if err := errors.Join(err, restore()); err != nil {
		return usageOfData(c, err)
	}
	if err := a.showVerdict(verdict, asJSON); err != nil {
		return err
	}
	if !verdict.OK {
		return &exit{bench.ExitBroken}
	}
	return nil
}

// verifyOutput checks the input against its manifest, if it has one, and the
// output against the input, if there is one.
func verifyOutput(c *cobra.Command, w *workloads.Workload, v workloads.Values, g workloads.Gen, dir string, input []string) (*workloads.Verdict, error) {
	var in *workloads.Input
	if input != nil {
		if _, err := workloads.InputFiles(input); err != nil {
			return nil, &bench.Usage{Err: err}
		}
		for _, path := range input {
			if _, err := data.Check(c.Context(), g, path); err != nil {
				return nil, err
			}
		}
		in = &workloads.Input{Paths: input}
	}
	verdict, err := w.VerifyDir(c.Context(), g, v, dir, in)
	if err != nil {
		return nil, fmt.Errorf("cannot verify %s: %w", dir, err)
	}
	return verdict, nil
}

// showVerdict writes what a verifier found.
func (a *app) showVerdict(v *workloads.Verdict, asJSON bool) error {
	var checks []folder.Check
	var rows [][]string
	for _, c := range v.Checks {
		checks = append(checks, folder.Check(c))
		mark := "right"
		if !c.OK {
			mark = "WRONG"
		}
		rows = append(rows, []string{c.Name, c.Want, c.Got, mark})
	}
	if asJSON {
		return writeJSON(a.out, struct {
			SchemaVersion int            `json:"schema_version"`
			OK            bool           `json:"ok"`
			Checks        []folder.Check `json:"checks"`
		}{schemaVersion, v.OK, checks})
	}
	if err := writeTable(a.out, "", []string{"check", "want", "got", ""}, rows); err != nil {
		return err
	}
	verdict := "The output is right."
	if !v.OK {
		verdict = "The output is WRONG."
	}
	_, err := fmt.Fprintln(a.out, verdict)
	return err
}
