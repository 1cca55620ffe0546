// Execbench runs Spark-shaped work on this machine and shows where the time
// went. "execbench help" says how.
package main

import (
	"os"

	"github.com/execbench/execbench/cmd/cli"
	"github.com/execbench/execbench/workloads/standard"
)

func main() { os.Exit(cli.Main(standard.All()...)) }
