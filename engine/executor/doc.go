// Package executor runs task attempts on a fixed pool of workers and reports
// how they ended and where their time went.
//
// In Spark an executor is a process; here it is a group of worker slots in
// this one, with a block store, a map-output cache and a folder of task files
// of its own. A session has one or several; Stop ends one as its process's
// death would, as far as goroutines can be ended: by asking. The package owns these nouns: Executor, the pool; worker, a
// goroutine locked to its OS thread for life; Context, one running attempt.
// It knows nothing of stages, retries or jobs: the scheduler decides those,
// and both sides speak package task.
//
// The life of an attempt, with the file that tells more:
//
//  1. Launch queues the encoded description (queue.go).
//  2. A worker takes it, by preference the one that has just finished another
//     attempt and stepped the driver with its status (worker.go).
//  3. It reports RUNNING, decodes description and task binary, fetches files
//     (attempt.go, files.go).
//  4. It runs the body, then the listeners (listeners.go).
//  5. It encodes the value, gives back memory and blocks, collects metrics
//     and accumulators, and routes the result by its size (attempt.go).
//  6. Or it tells what went wrong: one table decides (failure.go).
//  7. The terminal status steps the driver, on this goroutine; back to 2.
//
// The stamps of an attempt are chained (task.Stamps), so its parts add up to
// its time exactly. Thread CPU time costs about half a microsecond a reading,
// so an attempt takes two, around its run; the CPU of decode and encode is
// read apart only where their bytes are large (cpuApart), and is their wall
// time otherwise.
package executor
