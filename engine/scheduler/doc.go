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
//     stage and job; fetch failures, lost executors, rollback
//   - taskset.go, pending.go, offer.go, pool.go: task sets, locality and delay
//     scheduling, launching, retries, FIFO and FAIR order
//   - status.go: status messages and the three routes of results
//   - outputs.go, commit.go, barrier.go: map outputs with epochs, who may
//     commit output, global syncs
//   - check.go: every invariant, "all empty when no job lives" included
//
// [Driver] carries out. Whoever brings an event puts it into the mailbox; the
// goroutine that finds nobody stepping drains it, one event at a time, and
// carries out the commands of each (mailbox.go), so that a worker that posts
// its finished status launches its own next task. driver.go holds what
// callers use; results.go the getters of stored results and the timer, which
// are the only goroutines here.
//
// # What it does not do
//
// It knows nothing of functions, data or memory: what a task runs is named by
// a task binary that the engine makes (Deps.Binary), and what it reports is
// encoded (package task). It runs no user code but job result handlers, and
// those on the goroutine that submitted the job.
package scheduler
