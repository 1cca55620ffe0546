package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/bench/suite"
	"github.com/execbench/execbench/engine/units"
	"github.com/execbench/execbench/workloads"
)

// sizeFlag is a flag that holds a size; empty while it is not given.
type sizeFlag units.Bytes

// String is what help shows as the default: nothing.
func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return units.Bytes(*s).String()
}

// Set reads a size.
func (s *sizeFlag) Set(text string) error {
	b, err := units.ParseBytes(text)
	if err == nil && b == 0 {
		err = fmt.Errorf("a size of 0 is of no use")
	}
	*s = sizeFlag(b)
	return err
}

// Type names what help shows for a value.
func (*sizeFlag) Type() string { return "SIZE" }

// pathsFlag is a flag that names files and folders: it may be repeated, and
// one value may hold several, with commas between them.
type pathsFlag []string

// String is what help shows as the default: nothing.
func (p *pathsFlag) String() string { return strings.Join(*p, ",") }

// Set adds the paths in text. A path that is there may have commas in it.
func (p *pathsFlag) Set(text string) error {
	if _, err := os.Stat(text); err == nil || !strings.Contains(text, ",") {
		*p = append(*p, text)
		return nil
	}
	*p = append(*p, strings.Split(text, ",")...)
	return nil
}

// Type names what help shows for a value.
func (*pathsFlag) Type() string { return "PATH" }

// durationFlag is a flag that holds a duration above zero.
type durationFlag time.Duration

// String is what help shows as the default: nothing.
func (d *durationFlag) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

// Set reads a duration.
func (d *durationFlag) Set(text string) error {
	v, err := units.ParseDuration(text)
	if err == nil && v <= 0 {
		err = fmt.Errorf("it must be above 0")
	}
	*d = durationFlag(v)
	return err
}

// Type names what help shows for a value.
func (*durationFlag) Type() string { return "DURATION" }

// countFlag is a whole number not below least.
type countFlag struct {
	value *int
	least int
}

// String returns the value; nothing for the zero that stands for "not given".
func (c *countFlag) String() string {
	if c.value == nil || *c.value == 0 && c.least > 0 {
		return ""
	}
	return fmt.Sprint(*c.value)
}

// Set reads a count.
func (c *countFlag) Set(text string) error {
	var n int
	var rest string
	if k, _ := fmt.Sscanf(text, "%d%s", &n, &rest); k != 1 {
		return fmt.Errorf("write a whole number, like 2")
	}
	if n < c.least || n > 1<<20 {
		return fmt.Errorf("it must be from %d to %d", c.least, 1<<20)
	}
	*c.value = n
	return nil
}

// Type names what help shows for a value.
func (*countFlag) Type() string { return "N" }

// choiceFlag is one of some words.
type choiceFlag struct {
	value   *string
	choices []string
}

// String returns the word.
func (c *choiceFlag) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set takes one of the choices.
func (c *choiceFlag) Set(text string) error {
	if !slices.Contains(c.choices, text) {
		return fmt.Errorf("it must be one of %s", strings.Join(c.choices, ", "))
	}
	*c.value = text
	return nil
}

// Type names what help shows for a value.
func (c *choiceFlag) Type() string { return strings.Join(c.choices, "|") }

// paramFlag makes a parameter of a workload a flag.
type paramFlag struct {
	values workloads.Values
	param  workloads.Param
}

// String is what help shows as the default.
func (p *paramFlag) String() string {
	if p.param.Name == "" { // pflag's zero value
		return ""
	}
	return p.param.Default
}

// Set reads the value. The error names the parameter itself.
func (p *paramFlag) Set(text string) error { return p.values.Set(p.param.Name, text) }

// Type names what help shows for a value.
func (p *paramFlag) Type() string {
	if p.param.Kind == workloads.Bool {
		return "bool"
	}
	return strings.ToUpper(p.param.Kind.String())
}

// addParams makes the parameters of w flags of c. A parameter that is named
// like a flag that c has, or inherits, is a mistake of the program.
func addParams(c *cobra.Command, w *workloads.Workload, taken ...*pflag.FlagSet) workloads.Values {
	v := w.Values()
	for _, p := range w.Params {
		for _, set := range taken {
			if set.Lookup(p.Name) != nil {
				panic(fmt.Sprintf("workload %s has a parameter %q, which is a flag of every workload", w.Name, p.Name))
			}
		}
		f := c.Flags().VarPF(&paramFlag{v, p}, p.Name, "", usage(p))
		f.Annotations = map[string][]string{paramMark: nil}
		if p.Kind == workloads.Bool {
			f.NoOptDefVal = "true"
		}
		if p.Choices != nil {
			// The error is for flags that do not exist.
			_ = c.RegisterFlagCompletionFunc(p.Name, cobra.FixedCompletions(p.Choices, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	return v
}

func usage(p workloads.Param) string {
	if r := p.Range(); r != "" && p.Kind != workloads.Bool {
		return p.Doc + " (" + r + ")"
	}
	return p.Doc
}

// Sources of a flag's value.
const (
	fromFlag = "flag"
	fromEnv  = "environment"
	fromNone = "default"
)

// sourceMark is the annotation that fromEnvironment leaves on a flag.
const sourceMark = "source"

// fromEnvironment fills the flags that were not given from EXECBENCH_…. A
// variable that is empty is as good as none.
func fromEnvironment(c *cobra.Command) error {
	var errs []error
	c.Flags().VisitAll(func(f *pflag.Flag) {
		text := os.Getenv(envName(f.Name))
		if text == "" || f.Changed || f.Name == "help" {
			return
		}
		if err := f.Value.Set(text); err != nil {
			if _, param := f.Value.(*paramFlag); param { // names the parameter and the value itself
				errs = append(errs, bench.Usagef("%w (from %s)", err, envName(f.Name)))
				return
			}
			errs = append(errs, bench.Usagef("cannot use %s=%s: %w", envName(f.Name), text, err))
			return
		}
		if f.Annotations == nil {
			f.Annotations = map[string][]string{}
		}
		f.Annotations[sourceMark] = []string{fromEnv}
	})
	return errors.Join(errs...)
}

func envName(flag string) string {
	return "EXECBENCH_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// sourceOf says who chose a flag's value.
func sourceOf(f *pflag.Flag) string {
	switch {
	case f.Changed:
		return fromFlag
	case f.Annotations[sourceMark] != nil:
		return f.Annotations[sourceMark][0]
	}
	return fromNone
}

// flagError turns what the flag parser says into a sentence of ours. A word
// that is no command or workload explains more than a flag that only it
// would have.
func (a *app) flagError(c *cobra.Command, err error) error {
	if c.HasSubCommands() {
		if word := a.wordAfter(c); word != "" {
			return unknownWord(c, word)
		}
	}
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if name == "all" && c.HasParent() && c.Parent().Name() == "run" {
			return bench.Usagef("--all runs every workload: write %s --all, without %s", c.Parent().CommandPath(), c.Name())
		}
		switch {
		case slices.Contains(subNames(c), name):
			return bench.Usagef("%s has no flag --%s; write %s %s", c.CommandPath(), name, c.CommandPath(), name)
		case name == "format" && c.Flags().Lookup("json") != nil:
			return bench.Usagef("%s has no flag --format; tables are written as text, or with --json", c.CommandPath())
		}
		if unknown.GetSpecifiedShortnames() != "" {
			return bench.Usagef("%s has no flag -%s; flags are written with two hyphens", c.CommandPath(), name)
		}
		var names []string
		c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		c.InheritedFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := workloads.Nearest(name, names); near != "" {
			return bench.Usagef("%s has no flag --%s; did you mean --%s?", c.CommandPath(), name, near)
		}
		return bench.Usagef("%s has no flag --%s; %s --help lists them", c.CommandPath(), name, c.CommandPath())
	case errors.As(err, &invalid):
		if _, param := invalid.GetFlag().Value.(*paramFlag); param {
			err := invalid.Unwrap() // names the parameter and the value itself
			if size := invalid.GetValue(); invalid.GetFlag().Name == "size" && slices.Contains(suite.SizeNames(), size) {
				err = fmt.Errorf("%w (--size %s is for run --all; list --sizes shows what it gives a workload)", err, size)
			}
			return &bench.Usage{Err: err}
		}
		return bench.Usagef("cannot use --%s %s: %w", invalid.GetFlag().Name, invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &missing):
		return bench.Usagef("--%s wants a value: --%s %s", missing.GetSpecifiedName(), missing.GetSpecifiedName(), missing.GetFlag().Value.Type())
	}
	return bench.Usagef("%w", err)
}

// wordAfter returns the first argument after c's own name that is neither a
// flag nor, as far as can be told, a flag's value.
func (a *app) wordAfter(c *cobra.Command) string {
	args := a.args
	for range strings.Fields(c.CommandPath())[1:] {
		if i := slices.IndexFunc(args, func(s string) bool { return !strings.HasPrefix(s, "-") }); i >= 0 {
			args = args[i+1:]
		}
	}
	for i, s := range args {
		if strings.HasPrefix(s, "-") || i > 0 && strings.HasPrefix(args[i-1], "--") && !strings.Contains(args[i-1], "=") {
			continue
		}
		return s
	}
	return ""
}

// noArgs refuses words after a command that takes none.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return bench.Usagef("%s takes no %q: it has flags only", c.CommandPath(), args[0])
	}
	return nil
}

// wants makes a check of the number of words.
func wants(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return bench.Usagef("%s wants %s: %s", c.CommandPath(), what, c.UseLine())
		}
		return nil
	}
}
