package cli

import (
	"github.com/spf13/cobra"

	"github.com/execbench/execbench/bench"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use: "completion bash|zsh|fish|powershell", Short: "Write a completion script for a shell",
		Long:      "Writes a script that completes commands, workloads, flags and their values.",
		Example:   "  source <(execbench completion bash)\n  execbench completion zsh > \"${fpath[1]}/_execbench\"\n  execbench completion fish | source",
		ValidArgs: shells, Args: wants(1, "the name of a shell"),
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return bench.Usagef("there is no completion for %q: there is one for bash, zsh, fish and powershell", args[0])
		},
	}
}
