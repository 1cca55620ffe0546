// Package bench runs workloads: one run is one workload, one configuration
// and one seed, executed a number of times and checked each time.
//
// [Run] carries out a [Plan] in phases that are told apart in every report:
//
//	set up     mask, GOMAXPROCS and memory limit of the process (bench/proc)
//	open       the run folder (bench/folder) and the engine's session
//	data       generated, or found and checked (bench/data)
//	warm-up    executions that no report counts
//	iteration  timed executions, each with its answer verified after it
//	measure    figures that a workload takes jobs of its own for
//	profile    one more execution for each profile that was asked for
//	end        session closed, verdict and manifest written
//
// A wrong answer is a failed run, never a number. Whatever ends a run, its
// folder says what was done until then. What is reported is made from that
// folder alone, by bench/report.
//
// The packages below it: machine (what the process may use, noise, disk),
// proc (set-up and usage of the process), data, folder, report, table. What
// takes several runs: compare, explain, and suite and tune, which give each
// run a process of its own (child).
package bench
