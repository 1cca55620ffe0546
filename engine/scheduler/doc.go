// Package scheduler is the driver's side of the engine: it turns jobs over a
// lineage into stages, stages into task sets, task sets into task attempts on
// worker slots, and what the attempts report into answers.
//
// # Two halves
//
// [Core] decides. It is a state machine: Handle(now, event) returns commands,
// and inside there is no clock, goroutine, lock, I/O or map order, so a
// transcript of events always gives the same transcript of commands.
//
//   - job.go, stage.go, submit.go: jobs, stages cut at shuffle dependencies,
//     reuse, skipping, missing parents, stage attempts
//   - completion.go, recovery.go: what the end of an attempt means for its
//     stage and job; fetch failures, executors that come, fall silent and are
//     lost, rollback
//   - taskset.go, pending.go, offer.go, pool.go: task sets, locality and delay
//     scheduling, launching, retries, FIFO and FAIR order
//   - chain.go: short tasks launched several at once
//   - speculate.go, percentile.go: second attempts of slow tasks
//   - exclude.go: executors where tasks fail
//   - heartbeat.go: executors that give no sign of life
//   - status.go: status messages and the three routes of results
//   - outputs.go, commit.go, barrier.go: map outputs with epochs, who may
//     commit output, global syncs
//   - check.go: every invariant, "all empty when no job lives" included
//
// [Driver] carries out. Whoever brings an event puts it into the mailbox; the
// goroutine that finds nobody stepping drains it, one event at a time, and
// carries out the commands of each (mailbox.go), so that a worker that posts
// its finished status launches its own next task. A RUNNING message decides
// nothing and is left for the next step; a worker whose attempt has ended
// waits a moment for the step of another instead of parking. driver.go holds what
// callers use; results.go the getters of stored results and the timer, which
// are the only goroutines here.
//
// # What a short task costs
//
// How short tasks go through (execbench run tasks, event file and all clocks
// on):
//
//  1. One step launches a chain: an attempt and up to 15 that follow it on its
//     slot, each with a description of its own (chain.go).
//  2. The worker runs them one after another. It decodes, runs, measures and
//     encodes each, and keeps what each reports.
//  3. With the last one it decodes all reports, steps the core through them one
//     by one, and takes the next chain along. The other worker runs its chain
//     meanwhile.
//  4. Nobody else is woken for it. The goroutine of the job looks for results
//     every 10 ms, the timer for attempts that are kept waiting every 20, and
//     the collector lets the heap grow first (bench/proc).
//
// Without chains an empty task took 3.6 to 4.7 µs of wall time on two workers
// of a 2-core virtual machine. One worker alone took 3.5: what two of them lost
// lay in waiting for the other's step, and in the cache lines (the mailbox, the
// core, the set's tables, the event file) that the other had written last,
// which now move once a chain. A worker that waits for the other's step must
// wait longer than such a step takes: parking after 20 µs cost a third of the
// time (2.8 to 3.4 µs). Chains of 32 gained nothing over 16.
//
// Step 4 is what tasks that work pay for. A thread that wakes takes a worker's
// processor for 75 µs on average, and the attempt that runs there takes that
// much longer. Before, other threads of the process ran for 9 % of the time,
// 2600 times a second (perf sched, tasks of 20 µs): 21 collections a second of
// a heap of a few MiB; the timer and the job's goroutine, 1100 times a second.
// And since an attempt that was hit counted as slow, chains were short. Figures
// in turn, 6 runs, as core time a task beside its work (more of them in
// engine/docs/decisions/short-tasks.md):
//
//	tasks            before   now     a bare loop
//	1e5 empty        6.3 µs   4.2 µs
//	1e5 of 5 µs      6.9      4.1     0.6 to 0.9
//	2.5e4 of 20 µs  10.5      7.2     0.9 to 1.9
//	5e3 of 100 µs   15.9     12.3     2 to 8
//
// The bare loop hands numbers out and measures nothing; what it pays is the
// clock that it reads and the machine's other work, which is why the figures
// grow with the length. Of an empty task's own time a tenth each goes into
// encoding events, into taking and giving locks and into making the attempt's
// Context, the rest evenly into stamps, checksums and the core.
//
// # What it does not do
//
// It knows nothing of functions, data or memory: what a task runs is named by
// a task binary that the engine makes (Deps.Binary), and what it reports is
// encoded (package task). It runs no user code but job result handlers, and
// those on the goroutine that submitted the job.
package scheduler
