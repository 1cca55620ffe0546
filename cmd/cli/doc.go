// Package cli is the command line of execbench, and of any program that
// brings workloads of its own:
//
//	func main() { os.Exit(cli.Main(squares)) }
//
// There is one file for each command. Commands only turn words into a plan
// and results into text: the work is done by bench and below. Results go to
// standard output; progress, warnings and errors go to standard error.
//
// Every flag can also be given by the environment, as EXECBENCH_ and its name
// in capitals. A flag goes before the environment, the environment before a
// properties file, and that before the default. Exit codes are those of
// package bench.
package cli
