package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
	"github.com/execbench/execbench/workloads"
)

const rootHelp = `Runs Spark-shaped work on this machine, as fast as the machine allows, and
shows where every microsecond and every byte of every task went.`

const rootExamples = `  execbench list                                    # which workloads there are
  execbench run terasort --size 1GB                 # generate, sort, verify, show the breakdown
  execbench run terasort --memory 256MiB            # the same within less memory: it spills
  execbench run wordcount --input src --output out  # on files of your own
  execbench run --all --size small                  # every workload, in half a minute
  execbench report results/RUN --tasks              # every task of an earlier run
  execbench compare results/A results/B             # whether B is slower than A, and where
  execbench describe terasort                       # what a workload does and takes
  execbench doctor                                  # what this machine lets you measure`

const rootNotes = `Sizes: 1GB is 10^9 bytes; 1GiB, and Spark's 1g, are 2^30.
Every flag can be given by the environment too: EXECBENCH_MEMORY=1GiB for --memory.
Exit codes: 0 done · 1 gate failed · 2 usage or unreadable input · 3 a benchmark was
wrong or broken · 4 inconclusive under --strict · 5 environments differ · 70 a bug of
execbench · 130 interrupted · 143 terminated.`

// root lays out all commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "execbench", Short: "Run Spark-shaped benchmarks on one machine",
		Long: rootHelp, Example: rootExamples, Annotations: map[string]string{notes: rootNotes},
		SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownWord(c, args[0])
			}
			return c.Help()
		},
		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return fromEnvironment(c) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(a.flagError)
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(usageTemplate)
	root.AddCommand(a.runCommand(), a.listCommand(), a.describeCommand(), a.genCommand(), a.verifyCommand(), a.reportCommand(),
		a.compareCommand(), a.profileCommand(), a.explainCommand(), a.tuneCommand(), a.exportCommand(), a.doctorCommand(), a.cleanCommand(), a.versionCommand(), a.completionCommand())
	root.SetHelpCommand(a.helpCommand())
	inOrder(root)
	return root
}

// workloadCommands gives parent one command for each workload, so that every
// workload's own parameters are flags with help of their own.
func workloadCommands(parent *cobra.Command, make func(*workloads.Workload) *cobra.Command) {
	for _, w := range workloads.All() {
		c := make(w)
		if c == nil {
			continue
		}
		c.Short = w.Summary
		parent.AddCommand(c)
	}
	parent.Annotations = map[string]string{choices: "Workloads"}
	parent.Args = cobra.ArbitraryArgs
	parent.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return bench.Usagef("name a workload: %s %s", c.CommandPath(), strings.Join(subNames(c), "|"))
		}
		return unknownWord(c, args[0])
	}
}

// unknownWord is the error for a word that should be a command or workload.
func unknownWord(c *cobra.Command, word string) error {
	if c.HasParent() {
		if c.Name() == "export" {
			return noFormat(c, word)
		}
		if _, err := workloads.Get(word); err != nil {
			return &bench.Usage{Err: err}
		}
		why := map[string]string{"gen": "reads no input: there is nothing to generate", "verify": "writes no files: there is nothing to verify"}[c.Name()]
		return bench.Usagef("workload %s %s", word, why)
	}
	if near := workloads.Nearest(word, subNames(c)); near != "" {
		return bench.Usagef("there is no command %q; did you mean %q?", word, near)
	}
	return bench.Usagef("there is no command %q: there are %s", word, strings.Join(subNames(c), ", "))
}

func subNames(c *cobra.Command) []string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// helpCommand is "execbench help [COMMAND [WORKLOAD]]".
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND [WORKLOAD]]", Short: "Teach a command",
		Long:    "Says what a command does, by example.",
		Example: "  execbench help run\n  execbench help run terasort",
		RunE: func(c *cobra.Command, args []string) error {
			target, rest, err := c.Root().Find(args)
			if err != nil {
				return bench.Usagef("%v", err)
			}
			if len(rest) > 0 {
				return unknownWord(target, rest[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}
