// Package engine runs jobs over partitioned datasets on one machine, in the
// manner of Apache Spark: every step between an action and its answer
// happens (jobs, stages, task sets, task attempts on a fixed pool of
// workers, managed memory, a shuffle that spills, results routed by size,
// barriers, retries) and is told as typed events.
//
// # Use
//
//	s, err := engine.Open(engine.Config{Cores: 2, Memory: 512 * units.MiB})
//	…
//	defer s.Close()
//	lines, err := engine.TextFiles(s, []string{"corpus"}, 8)
//	words := engine.FlatMap(lines, func(dst []string, l string) []string { return append(dst, strings.Fields(l)...) })
//	ones := engine.Map(words, func(w string) engine.Pair[string, int64] { return engine.Pair[string, int64]{w, 1} })
//	counts := engine.ReduceByKey(ones, func(a, b int64) int64 { return a + b }, engine.Partitions(16))
//	rows, err := counts.Collect(ctx) // the only line that runs anything
//
// Transformations are functions and build; actions are methods, take a
// context and run a job. The unit is the batch. Functions given to
// transformations are shared by all tasks and called from several at once.
//
// # The life of a job
//
//  1. An action walks its lineage for what must be learned first: a sort's
//     range bounds come from a sampling job of their own (job.go, sort.go), how
//     to join from the map stage of the smaller side (join_choice.go).
//  2. The job goes to the driver, which cuts the lineage into stages at
//     shuffle dependencies and submits those whose parents are there
//     (package scheduler: a pure core, one decider at a time).
//  3. Each stage attempt gets one task binary: data that names a program,
//     its parameters, an operator of its lineage, and what was learned
//     (stage.go, program.go).
//  4. Each task is launched as an encoded description. A worker decodes it,
//     resolves the binary and runs the operator (package executor, run.go).
//  5. Operators push batches: sources read files (source.go), narrow ones
//     run fused in one pass (narrow.go), wide ones write their input by
//     reducer into pages (wide.go; packages shuffle, spill).
//  6. A map task returns a MapStatus, a result task its value, routed by
//     size: in the message, through the block store, or dropped (package
//     result).
//  7. The driver counts, retries, resubmits, and hands results to the
//     goroutine that called the action.
//  8. Every step is an event (package event); reports are made from them.
//
// # Executors
//
// The workers are one executor, which shares memory, folder and block store
// with the driver, as in Spark's local mode. Config.Executors divides them into
// labelled groups, where Spark has processes (executors.go):
//
//	driver       memory 1/16   tables, results, broadcasts, task binaries
//	executor 0   memory 1/M    workers, blocks, map outputs, stored results, task files
//	executor 1   …             of the rest
//
// What one has others read through its stores, and count as remote; decoded
// broadcasts and the lineage are the process's. Session.LoseExecutor takes an
// executor away with all it had. Nothing takes its place unless
// Session.AddExecutor brings another. The driver gives the executor up at
// once; its memory and files come free when no attempt, its own or another's,
// uses them any more, and its workers are joined then, or by Close.
//
// # Goroutines
//
// A session owns: one locked thread for each worker (executors), the result
// getters and one timer (scheduler), one housekeeping goroutine (sampler.go),
// one dispatcher for each listener queue (event),
// the read-back cache's own two (storage; of each block store), and, while a caller ranges over
// Batches, one that runs its job (stream.go). Close joins them all.
//
// # What it does not do
//
// It does not optimise queries, reorder joins, or know column names; it does
// not touch GOMAXPROCS, the memory limit or signals of its host process; it
// does not run on several machines.
package engine
