package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/compare"
	"github.com/execbench/execbench/bench/folder"
)

// shareFlag is a flag that holds a share, written as a percentage.
type shareFlag float64

// String is what help shows as the default.
func (s *shareFlag) String() string {
	return strconv.FormatFloat(100*float64(*s), 'g', 6, 64) + "%"
}

// Set reads a percentage, or a share below 1.
func (s *shareFlag) Set(text string) error {
	number, percent := strings.CutSuffix(strings.TrimSpace(text), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil {
		return fmt.Errorf("write a percentage, like 5%%")
	}
	if percent {
		v /= 100
	}
	if !(v > 0 && v < 1) {
		return fmt.Errorf("it must be above 0%% and below 100%%")
	}
	*s = shareFlag(v)
	return nil
}

// Type names what help shows for a value.
func (*shareFlag) Type() string { return "PERCENT" }

const compareExamples = `  execbench run terasort --iterations 10 --out before
  # change something, build again
  execbench run terasort --iterations 10 --out after
  execbench compare before after                    # exit code 1 when after is slower
  execbench compare before after --min-effect 2%    # smaller changes count; wants more iterations
  execbench compare before after --strict           # exit code 4 when the samples cannot tell
  execbench compare before after --out diff         # diff/verdict.json and diff/compare.txt, for CI
  execbench run terasort --iterations 10 --memory 256MiB --out small
  execbench compare before small --allow-env-diff   # what memory is worth: refused without the flag
  execbench compare SUITE OTHER                     # two folders of run --all, workload by workload
  # several runs a side, made in turns, meet the same noise: a dozen tell 5 %
  for i in $(seq 12); do for b in old new; do ./$b run terasort --quiet --out $b.runs/$i; done; done
  execbench compare old.runs new.runs               # each run counts once`

const compareNotes = `Verdicts: better or worse (a change beyond chance, and of the minimum effect or
more), same (the interval of the change lies below the minimum effect), unsure (the
samples cannot tell; how many would is said). Where the machine did something else
meanwhile, all of a change's interval must be of the minimum effect.
Exit codes: 0 not worse · 1 worse · 2 a folder that cannot be used · 4 unsure, with
--strict · 5 the runs differ in machine, workload, parameters, data or configuration.`

func (a *app) compareCommand() *cobra.Command {
	var o compare.Options
	var asJSON, strict, allow bool
	var out string
	effect, alpha := shareFlag(0.05), shareFlag(0.05)
	c := &cobra.Command{
		Use: "compare OLD NEW [flags]", Short: "Say whether a run is faster or slower than another",
		Long: `Compares two run folders, iteration by iteration and part by part: medians, change,
interval, verdict. OLD and NEW may also be folders of run folders: of several
workloads, or of one workload several times; then each run counts once, by its median
iteration. Whole iterations decide; the parts of the stages say where. Chance is kept
out by the Mann-Whitney test with Holm's correction over each table.`,
		Example: compareExamples, Annotations: map[string]string{notes: compareNotes},
		Args: wants(2, "two run folders"),
		RunE: func(_ *cobra.Command, args []string) error {
			o.MinEffect, o.Alpha = float64(effect), float64(alpha)
			return a.compare(args[0], args[1], o, compareForm{asJSON, strict, allow, out})
		},
	}
	f := c.Flags()
	f.Var(&effect, "min-effect", "smallest change of the median that matters")
	f.Var(&alpha, "alpha", "chance of a false alarm in a table in which nothing changed")
	f.BoolVar(&strict, "strict", false, "exit code 4 when the verdict is unsure")
	f.BoolVar(&allow, "allow-env-diff", false, "compare runs that differ in more than the program")
	f.StringVar(&out, "out", "", "`FOLDER` for verdict.json and compare.txt; made if it is not there")
	f.BoolVar(&asJSON, "json", false, "write JSON")
	return c
}

// compareForm says how a comparison is told.
type compareForm struct {
	json, strict, allow bool
	out                 string
}

func (a *app) compare(oldDir, newDir string, o compare.Options, f compareForm) error {
	old, err := compare.Open(oldDir)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	new, err := compare.Open(newDir)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	r, err := compare.Compare(old, new, o)
	refused := errors.Is(err, compare.ErrDiffer) && !f.allow
	switch {
	case refused:
		r.ExitCode = bench.ExitEnvironment
	case err != nil && !errors.Is(err, compare.ErrDiffer):
		return &bench.Usage{Err: err}
	case r.Verdict == compare.Worse:
		r.ExitCode = bench.ExitGate
	case r.Verdict == compare.Unsure && f.strict:
		r.ExitCode = bench.ExitInconclusive
	}
	if refused {
		// There is no verdict on what may not be compared.
		r.Verdict, r.Sentence, r.Runs, r.Parts, r.Figures = "refused", err.Error(), []*compare.Row{}, []*compare.Row{}, []compare.Figure{}
		fmt.Fprintf(a.err, "execbench: %v\n", err)
	}
	if err := a.tellComparison(r, f, refused); err != nil {
		return err
	}
	if r.ExitCode != bench.ExitDone {
		return &exit{r.ExitCode}
	}
	return nil
}

// tellComparison writes a comparison to standard output and, if asked for,
// into a folder.
func (a *app) tellComparison(r *compare.Result, f compareForm, refused bool) error {
	var text bytes.Buffer
	if !refused {
		if err := r.Write(&text); err != nil {
			return err
		}
	}
	if f.out != "" {
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(f.out, 0o777); err != nil {
			return bench.Usagef("cannot write the comparison: %w", err)
		}
		verdict := filepath.Join(f.out, folder.VerdictFile)
		if _, err := os.Stat(filepath.Join(f.out, folder.ManifestFile)); !errors.Is(err, fs.ErrNotExist) {
			return bench.Usagef("cannot write the comparison into %s: it is a run folder, with a verdict of its own", f.out)
		}
		if err := errors.Join(folder.ReplaceFile(verdict, append(data, '\n')), folder.ReplaceFile(filepath.Join(f.out, "compare.txt"), text.Bytes())); err != nil {
			return bench.Usagef("cannot write the comparison: %w", err)
		}
	}
	if f.json {
		return writeJSON(a.out, r)
	}
	_, err := a.out.Write(text.Bytes())
	return err
}
