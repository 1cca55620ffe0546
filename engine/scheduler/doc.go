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
// # What an empty task costs
//
// How short tasks go through (execbench run tasks --tasks 1e6 --metg=false, two
// workers on a 2-core virtual machine, event file and all clocks on):
//
//  1. One step launches a chain: an attempt and up to 15 that follow it on its
//     slot, each with a description of its own (chain.go).
//  2. The worker runs them one after another. It decodes, runs, measures and
//     encodes each, and keeps what each reports.
//  3. With the last one it decodes all reports, steps the core through them one
//     by one, and takes the next chain along. The other worker runs its chain
//     meanwhile.
//
// Without chains such a task took 3.6 to 4.7 µs of wall time and 6.4 to 8.3 of
// processor time, and with them 2.0 to 2.5 and 3.5 to 4.6, measured in turn.
// One worker alone took 3.5 µs before: what two of them lost lay in waiting for
// the other's step, and in the cache lines (the mailbox, the core, the set's
// tables, the event file) that the other had written last, which now move once
// a chain. A worker that waits for the other's step must wait longer than such
// a step takes: parking after 20 µs cost a third of the time (2.8 to 3.4 µs).
// Chains of 32 gained nothing over 16. Tasks that work pay more than empty
// ones: at 10 µs half of the time is work, at 20 µs two thirds, at 100 µs five
// sixths.
// A bare prototype, which hands numbers out in batches and measures nothing,
// takes 1.1 µs.
//
// Where one worker's time went in a profile before chains: a sixth in
// allocating and collecting the attempt's Context, an eighth in reading the
// thread's CPU clock (which runs below 10 µs no longer do), a tenth each in
// locks that nobody contended and in encoding events, the rest evenly in
// stamps, checksums and the core.
//
// # What it does not do
//
// It knows nothing of functions, data or memory: what a task runs is named by
// a task binary that the engine makes (Deps.Binary), and what it reports is
// encoded (package task). It runs no user code but job result handlers, and
// those on the goroutine that submitted the job.
package scheduler
