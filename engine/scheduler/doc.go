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
// Processor time of one attempt on two workers, all told 5.4 µs (engine's
// BenchmarkEmptyTasks on a 2-core virtual machine, without an event file, by
// its CPU profile; 3.2 µs of wall time; measured with the caller's handler
// called for several results at once, which is no longer so):
//
//	1.50  a step: 0.88 in the core, 0.31 in launching and handing on,
//	      the rest in the mailbox and its clock
//	0.55  waiting for the other worker's step
//	0.36  decoding the two status messages and the result
//	0.26  decoding description and task binary
//	0.50  the thread's CPU clock, once (executor, clock_cpu.go)
//	0.45  encoding the result, metrics and terminal message
//	0.27  running it: four closures and the count
//	0.67  allocating 1.1 KB (the attempt's Context, mostly; part of it is
//	      inside the lines above) and collecting it
//
// The rest is the RUNNING message, locks, stamps and the caller's handler.
// Much of it is waiting for cache lines that the other processor wrote last:
// with an event file an attempt takes 3.8 µs of processor on one worker alone,
// and 7.4 on two. So what a step
// touches is kept together and with the worker where possible: an attempt's
// events lie in its own memory, which the worker's next attempt gets; status
// events come from a pool by processor; tables by task hold no pointers.
//
// # What it does not do
//
// It knows nothing of functions, data or memory: what a task runs is named by
// a task binary that the engine makes (Deps.Binary), and what it reports is
// encoded (package task). It runs no user code but job result handlers, and
// those on the goroutine that submitted the job.
package scheduler
