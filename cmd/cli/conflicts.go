package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/engine/conf"
)

// settleCores decides between --cores and a master that names another number
// of them: the command line goes before the environment, that before a file;
// of equal strength, one of the two has to go.
func (e *engineFlags) settleCores(flags *pflag.FlagSet, layers []conf.Layer) error {
	set, _, err := conf.ParseLayers(layers...)
	if err != nil {
		return &bench.Usage{Err: err}
	}
	f := flags.Lookup("cores")
	by := sourceOf(f)
	if m := set.Master; by == fromNone || m.Cores == 0 || m.Cores == e.cores {
		return nil
	}
	all := set.Resolved()
	source := all[slices.IndexFunc(all, func(e conf.Entry) bool { return e.Key == conf.Prefix+"master" })].Source
	switch {
	case strength(source) == strength(by):
		return bench.Usagef("cannot use %d cores (from %s) and the master %s (from %s) together: give one of them", e.cores, said(f), set.Master, source)
	case strength(source) > strength(by):
		e.cores = 0 // as if it had not been given
		delete(f.Annotations, sourceMark)
	}
	return nil
}

// said names a flag as it was given.
func said(f *pflag.Flag) string {
	if sourceOf(f) == fromEnv {
		return envName(f.Name)
	}
	return "--" + f.Name
}

// strength orders the sources of flags and of configuration layers.
func strength(source string) int {
	switch {
	case source == fromFlag || strings.HasPrefix(source, "--"):
		return 2
	case source == fromEnv || strings.HasPrefix(source, envName("")):
		return 1
	}
	return 0 // a file
}
