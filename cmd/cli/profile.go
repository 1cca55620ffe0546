package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/folder"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/profiles"
	"github.com/execbench/execbench/workloads"
)

// kindsFlag is a flag that holds kinds of profiles.
type kindsFlag []profiles.Kind

// String lists the kinds.
func (k *kindsFlag) String() string {
	var names []string
	for _, kind := range *k {
		names = append(names, kind.String())
	}
	return strings.Join(names, ",")
}

// Set reads a list of kinds.
func (k *kindsFlag) Set(text string) error {
	kinds, err := profiles.ParseKinds(text)
	*k = kinds
	return err
}

// Type names what help shows for a value.
func (*kindsFlag) Type() string { return "KINDS" }

const profileExamples = `  execbench run terasort --profile cpu,heap --out before
  execbench profile top before                       # functions, by processor time
  execbench profile top before --by stage            # and by stage, job, workload, part
  execbench profile top before --where stage=8.0 --cum
  execbench profile top before --kind heap --sample alloc_space
  execbench profile top cpu.pb.gz --rows 50 --json   # a file of any Go program
  execbench profile diff before after                # what changed, and whether it is noise
  execbench profile diff a.pb.gz,b.pb.gz c.pb.gz --normalise total`

const profileNotes = `Totals and rows are those of "go tool pprof -top", and of its -diff_base. Labels are
on the samples of cpu and goroutine profiles alone. Traces are for "go tool trace".
Exit codes: 0 done · 1 something grew beyond --max-growth · 2 unreadable input.`

// profileFlags are the flags of profile top and profile diff.
type profileFlags struct {
	kind, by, sample, where string
	cum, json               bool
	rows                    int
	normalise               string
	growth                  shareFlag
}

func (f *profileFlags) add(s *pflag.FlagSet) {
	s.StringVar(&f.kind, "kind", "", "`KIND` of profile to take from a run folder (default: cpu, else the first)")
	f.by = string(profiles.Function)
	s.Var(&choiceFlag{&f.by, []string{"function", "line", "stage", "job", "workload", "part"}}, "by", "what a row stands for")
	s.StringVar(&f.sample, "sample", "", "sample `TYPE`, like alloc_space (default: the profile's own)")
	s.StringVar(&f.where, "where", "", "only samples with this `LABEL=VALUE`")
	s.BoolVar(&f.cum, "cum", false, "order by the cumulative value")
	f.rows = 20
	s.Var(&countFlag{&f.rows, 0}, "rows", "rows of the table; 0: all")
	s.BoolVar(&f.json, "json", false, "write JSON, with all rows")
}

// options reads what the flags choose.
func (f *profileFlags) options() (profiles.Options, error) {
	where, err := profiles.ParseWhere(f.where)
	if err != nil {
		return profiles.Options{}, &bench.Usage{Err: err}
	}
	return profiles.Options{Sample: f.sample, By: profiles.By(f.by), Where: where, ByCum: f.cum}, nil
}

func (a *app) profileCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "profile top|diff", Short: "Show a profile, or what changed between two",
		Long: `Shows profiles: those that "run --profile" left in a run folder, and files of the
pprof format from any Go program.`,
		Example: profileExamples, Annotations: map[string]string{notes: profileNotes},
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return bench.Usagef("there is no %q of a profile: there are top and diff", args[0])
			}
			return bench.Usagef("say what to show: %s top|diff", c.CommandPath())
		},
	}
	var top, diff profileFlags
	t := &cobra.Command{
		Use: "top RUN|FILE [flags]", Short: "Where the time, the memory or the waiting is",
		Long:    "Shows the largest rows of a profile. Several files, with commas between, are added up.",
		Example: profileExamples, Annotations: map[string]string{notes: profileNotes},
		Args: wants(1, "a run folder or a file"),
		RunE: func(_ *cobra.Command, args []string) error { return a.profileTop(args[0], &top) },
	}
	top.add(t.Flags())
	d := &cobra.Command{
		Use: "diff OLD NEW [flags]", Short: "What changed between two profiles, and whether it is noise",
		Long: `Compares two profiles row by row. Each side is a run folder, a file, or several with
commas between, which are added up. A row's noise follows from how many events were
sampled for it; only what stands out of it, with all rows in mind, is more or less.
Rounds number their stages differently, so stages are named by their place.`,
		Example: profileExamples, Annotations: map[string]string{notes: profileNotes},
		Args: wants(2, "two run folders or files"),
		RunE: func(_ *cobra.Command, args []string) error { return a.profileDiff(args[0], args[1], &diff) },
	}
	diff.add(d.Flags())
	diff.normalise = string(profiles.None)
	d.Flags().Var(&choiceFlag{&diff.normalise, []string{"none", "total", "second", "record"}}, "normalise", "compare as it is, at equal totals, by the second, or by the record")
	d.Flags().Var(&growthFlag{&diff.growth}, "max-growth", "exit code 1 when a row or the total grew, beyond the noise, by more than this share of the old total")
	c.AddCommand(t, d)
	return c
}

// growthFlag is a shareFlag that need not be given.
type growthFlag struct{ *shareFlag }

// String is what help shows as the default: nothing.
func (g *growthFlag) String() string {
	if g.shareFlag == nil || *g.shareFlag == 0 {
		return ""
	}
	return g.shareFlag.String()
}

// profileFile is one file, with what its run folder says of it.
type profileFile struct {
	path    string
	kind    string  // empty: not known
	seconds float64 // 0: not known
	records int64
	stage   int // first of its round; -1: not known
}

// profileFiles finds the files that an argument names.
func (a *app) profileFiles(arg, kind string) ([]profileFile, error) {
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		f, err := a.profileOfRun(arg, kind)
		return []profileFile{f}, err
	case err == nil:
		return []profileFile{{path: arg, stage: -1}}, nil
	case !strings.Contains(arg, ","):
		return nil, bench.Usagef("cannot read profile %s: %w", arg, workloads.Cause(err))
	}
	var all []profileFile
	for one := range strings.SplitSeq(arg, ",") {
		if strings.Contains(one, ",") || one == "" {
			return nil, bench.Usagef("cannot read the profiles %s: a name is empty", arg)
		}
		files, err := a.profileFiles(one, kind)
		if err != nil {
			return nil, err
		}
		all = append(all, files...)
		kind = cmp.Or(kind, files[0].kind)
	}
	return all, nil
}

// profileOfRun finds a run's profile of a kind.
func (a *app) profileOfRun(dir, kind string) (profileFile, error) {
	r, err := openRun(dir)
	if err != nil {
		return profileFile{}, err
	}
	var there []string
	var found *folder.Profile
	for i := range r.Manifest.Profiles {
		p := &r.Manifest.Profiles[i]
		if p.File == "" || p.Kind == profiles.Trace.String() {
			continue
		}
		there = append(there, p.Kind)
		if found == nil && kind == "" || p.Kind == cmp.Or(kind, profiles.CPU.String()) {
			found = p
		}
	}
	a.tellProblems(r)
	switch {
	case kind == profiles.Trace.String():
		return profileFile{}, bench.Usagef("a trace is for another tool: go tool trace %s", filepath.Join(dir, folder.ProfilesFolder, profiles.Trace.File()))
	case len(there) == 0:
		return profileFile{}, bench.Usagef("there is no profile in %s: run with --profile cpu", dir)
	case found == nil:
		return profileFile{}, bench.Usagef("there is no %s profile in %s: there are %s", kind, dir, strings.Join(there, ", "))
	}
	if !filepath.IsLocal(filepath.FromSlash(found.File)) {
		return profileFile{}, bench.Usagef("the manifest of %s names a profile outside of it: %s", dir, found.File)
	}
	return profileFile{filepath.Join(dir, filepath.FromSlash(found.File)), found.Kind, found.Seconds, found.Records, int(found.Stage)}, nil
}

// profileSide reads and adds up files.
func profileSide(files []profileFile) (profiles.Side, error) {
	list, err := readProfiles(files)
	if err != nil {
		return profiles.Side{}, err
	}
	var first []int
	seconds, records := 0.0, int64(0)
	for _, f := range files {
		first = append(first, f.stage)
		seconds += f.seconds
		records += f.records
	}
	// What only some of the files say is not known of all.
	if slices.ContainsFunc(files, func(f profileFile) bool { return f.seconds == 0 }) {
		seconds = 0
	}
	if slices.ContainsFunc(files, func(f profileFile) bool { return f.records == 0 }) {
		records = 0
	}
	s, err := profiles.NewSide(list, first, seconds, records)
	if err != nil {
		return profiles.Side{}, &bench.Usage{Err: err}
	}
	return s, nil
}

func (a *app) profileTop(arg string, f *profileFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	files, err := a.profileFiles(arg, f.kind)
	if err != nil {
		return err
	}
	list, err := readProfiles(files)
	if err != nil {
		return err
	}
	p, err := profiles.Merge(list)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	top, err := profiles.NewTop(p, o)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	if f.json {
		return writeJSON(a.out, struct {
			SchemaVersion int      `json:"schema_version"`
			Files         []string `json:"files"`
			*profiles.Top
		}{schemaVersion, pathsOf(files), top})
	}
	return writeTop(a.out, top, files, f.rows)
}

// writeTop shows a profile to people.
func writeTop(w io.Writer, t *profiles.Top, files []profileFile, most int) error {
	parts := []string{t.Sample + " of " + strings.Join(pathsOf(files), ", "), "total " + amount(float64(t.Total), t.Unit)}
	if t.Duration > 0 {
		parts = append(parts, "over "+units.Duration(t.Duration))
	}
	parts = append(parts, fmt.Sprintf("events sampled %.0f", t.Events))
	if _, err := fmt.Fprintf(w, "%s\n\n", strings.Join(parts, " · ")); err != nil {
		return err
	}
	rows := t.Rows[:shown(len(t.Rows), most)]
	var cells [][]string
	sum := int64(0)
	for _, r := range rows {
		sum += r.Flat
		cells = append(cells, []string{amount(float64(r.Flat), t.Unit), shareOf(r.Flat, t.Total), shareOf(sum, t.Total),
			amount(float64(r.Cum), t.Unit), shareOf(r.Cum, t.Total), r.Name})
	}
	if err := writeTable(w, "", []string{"flat", "flat %", "sum %", "cum", "cum %", string(t.By)}, cells, 0, 1, 2, 3, 4); err != nil {
		return err
	}
	return writeShown(w, len(rows), len(t.Rows))
}

func (a *app) profileDiff(oldArg, newArg string, f *profileFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	oldFiles, err := a.profileFiles(oldArg, f.kind)
	if err != nil {
		return err
	}
	newFiles, err := a.profileFiles(newArg, cmp.Or(f.kind, oldFiles[0].kind))
	if err != nil {
		return err
	}
	old, err := profileSide(oldFiles)
	if err != nil {
		return err
	}
	new, err := profileSide(newFiles)
	if err != nil {
		return err
	}
	d, err := profiles.NewDiff(old, new, profiles.DiffOptions{Options: o, Normalise: profiles.Normalise(f.normalise)})
	if err != nil {
		return &bench.Usage{Err: err}
	}
	growth, who := d.Growth()
	failed := f.growth > 0 && growth > float64(f.growth)
	if f.json {
		err = writeJSON(a.out, struct {
			SchemaVersion int      `json:"schema_version"`
			Old           []string `json:"old_files"`
			New           []string `json:"new_files"`
			Growth        float64  `json:"growth"`
			Grown         string   `json:"grown,omitempty"`
			Failed        bool     `json:"failed"`
			*profiles.Diff
		}{schemaVersion, pathsOf(oldFiles), pathsOf(newFiles), growth, who, failed, d})
	} else {
		err = writeDiff(a.out, d, oldFiles, newFiles, f.rows, f.cum)
	}
	if err == nil && failed {
		fmt.Fprintf(a.err, "execbench: %s grew by %.1f %% of the old total, more than %s\n", who, 100*growth, f.growth.String())
		return &exit{bench.ExitGate}
	}
	return err
}

// writeDiff shows a comparison to people.
func writeDiff(w io.Writer, d *profiles.Diff, old, new []profileFile, most int, byCum bool) error {
	per := map[profiles.Normalise]string{profiles.Second: "/s", profiles.Record: "/record"}[d.Normalise]
	cell := func(v float64) string { return amount(v, d.Unit) + per }
	signed := func(v float64) string {
		if v > 0 {
			return "+" + cell(v)
		}
		return cell(v)
	}
	relative := func(p profiles.Pair) string {
		r, ok := p.Relative()
		if !ok {
			return "–"
		}
		return fmt.Sprintf("%+.1f %%", 100*r)
	}
	how := map[profiles.Normalise]string{
		profiles.None:   "none: values as they were profiled",
		profiles.Total:  fmt.Sprintf("equal totals: new values are divided by %.4g", d.NewDivisor),
		profiles.Second: fmt.Sprintf("by the second: old over %.3f s, new over %.3f s", d.OldDivisor, d.NewDivisor),
		profiles.Record: fmt.Sprintf("by the record: old over %.0f, new over %.0f", d.OldDivisor, d.NewDivisor),
	}[d.Normalise]
	_, err := fmt.Fprintf(w, "%s of old %s · total %s · events sampled %.0f\n%s of new %s · total %s · events sampled %.0f\nNormalised: %s.\nTotal: %s → %s, %s (%s), z %.1f.\n"+
		"Noise: z is the difference over its standard deviation, from the events sampled; a row counts from |z| = %.2f (5 %% over all %d rows), unsure from %.2f.\n\n",
		d.Sample, strings.Join(pathsOf(old), ", "), amount(float64(d.RawOld), d.Unit), d.OldEvents,
		d.Sample, strings.Join(pathsOf(new), ", "), amount(float64(d.RawNew), d.Unit), d.NewEvents,
		how, cell(d.Total.Old), cell(d.Total.New), signed(d.Total.Delta), relative(d.Total), d.Total.Z, d.Floor, len(d.Rows), d.Single)
	if err != nil {
		return err
	}
	rows := d.Rows[:shown(len(d.Rows), most)]
	var cells [][]string
	for _, r := range rows {
		z := r.Flat.Z
		if byCum {
			z = r.Cum.Z
		}
		cells = append(cells, []string{cell(r.Flat.Old), cell(r.Flat.New), signed(r.Flat.Delta), relative(r.Flat), fmt.Sprintf("%.1f", z),
			cell(r.Cum.Old), cell(r.Cum.New), signed(r.Cum.Delta), relative(r.Cum), r.Mark(), r.Name})
	}
	header := []string{"old", "new", "Δ", "Δ %", "z", "old cum", "new cum", "Δ cum", "Δ % cum", "change", string(d.By)}
	if err := writeTable(w, "", header, cells, 0, 1, 2, 3, 4, 5, 6, 7, 8); err != nil {
		return err
	}
	return writeShown(w, len(rows), len(d.Rows))
}

func writeShown(w io.Writer, n, of int) error {
	if n == of {
		return nil
	}
	_, err := fmt.Fprintf(w, "%d of %d rows; --rows 0 shows all.\n", n, of)
	return err
}

// writeProfiles says which profiles a run took, and what taking them cost.
func writeProfiles(w io.Writer, r *folder.Run) error {
	var rows [][]string
	for i := range r.Manifest.Profiles {
		p := &r.Manifest.Profiles[i]
		overhead := "–"
		if o, ok := p.Overhead(); ok {
			overhead = fmt.Sprintf("%+.1f %%", 100*o)
		}
		rows = append(rows, []string{p.Kind, units.Duration(seconds(p.Seconds)), units.Duration(seconds(p.Median)), overhead, cmp.Or(p.File, p.Error)})
	}
	return writeTable(w, "Profiles, each of a round that is no sample", []string{"kind", "round", "median of the timed", "overhead", "file"}, rows, 1, 2, 3)
}

// readProfiles reads the files in their order.
func readProfiles(files []profileFile) (list profiles.List, err error) {
	for _, f := range files {
		p, err := profiles.Read(f.path)
		if err != nil {
			return nil, &bench.Usage{Err: err}
		}
		list = append(list, p)
	}
	return list, nil
}

func pathsOf(files []profileFile) []string {
	var all []string
	for _, f := range files {
		all = append(all, f.path)
	}
	return all
}

func shown(n, most int) int {
	if most == 0 {
		return n
	}
	return min(n, most)
}

func shareOf(v, of int64) string {
	if of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*float64(v)/float64(of))
}

// amount prints a value in its unit.
func amount(v float64, unit string) string {
	sign, size := "", math.Abs(v)
	if v < 0 {
		sign = "-"
	}
	switch {
	case unit == "nanoseconds" && size >= 1000 && size < math.MaxInt64/2:
		return sign + units.Duration(time.Duration(size))
	case unit == "nanoseconds":
		return strconv.FormatFloat(v, 'g', 4, 64) + " ns"
	case unit == "bytes" && size >= 1024 && size < math.MaxInt64/2:
		return sign + units.Bytes(size).String()
	case unit == "bytes":
		return strconv.FormatFloat(v, 'g', 4, 64) + " B"
	case v == math.Trunc(v) && size < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}
