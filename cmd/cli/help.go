package cli

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of commands.
const (
	notes   = "notes"   // text that ends the help
	choices = "choices" // what the words below the command are
)

func init() {
	cobra.AddTemplateFunc("flagTable", flagTable)
	cobra.EnableCommandSorting = false
}

const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}{{.UsageString}}`

const usageTemplate = `Usage:
  {{if .HasParent}}{{.UseLine}}{{else}}{{.CommandPath}} COMMAND [flags]{{end}}
{{if .HasExample}}
Examples:
{{.Example}}
{{end}}{{if .HasAvailableSubCommands}}
{{with index .Annotations "choices"}}{{.}}{{else}}Commands{{end}}:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{with flagTable .LocalNonPersistentFlags "param"}}
Parameters:
{{.}}{{end}}{{with flagTable .LocalFlags ""}}
Flags:
{{.}}{{end}}{{with flagTable .InheritedFlags ""}}
Flags:
{{.}}{{end}}{{with index .Annotations "notes"}}
{{.}}
{{end}}`

// paramMark is the annotation of flags that are parameters of a workload.
const paramMark = "param"

// flagTable lists the flags that are parameters, or those that are not.
func flagTable(all *pflag.FlagSet, mark string) string {
	some := pflag.NewFlagSet("", pflag.ContinueOnError)
	some.SortFlags = false
	all.VisitAll(func(f *pflag.Flag) {
		if _, param := f.Annotations[paramMark]; !f.Hidden && param == (mark != "") && f.Name != "help" {
			some.AddFlag(f)
		}
	})
	return strings.TrimRight(some.FlagUsagesWrapped(100), "\n") + newlineUnlessEmpty(some)
}

func newlineUnlessEmpty(s *pflag.FlagSet) string {
	if s.HasAvailableFlags() {
		return "\n"
	}
	return ""
}

// inOrder makes the flags of c and all below it stand in the order in which
// they were defined.
func inOrder(c *cobra.Command) {
	for _, set := range []*pflag.FlagSet{c.Flags(), c.PersistentFlags(), c.LocalFlags(), c.InheritedFlags(), c.LocalNonPersistentFlags()} {
		set.SortFlags = false
	}
	for _, sub := range c.Commands() {
		inOrder(sub)
	}
}
