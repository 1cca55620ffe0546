// Package proc sets up the process that a benchmark runs in, and reads what
// it used.
//
// [Setup] confines the process to as many processors as it has workers,
// gives the Go scheduler one thread more than that, and turns the memory
// budget into the collector's limit and into a heap below which it does not
// run; Close puts everything back. Only a command line does this: an engine
// session leaves its host process alone. [Usage] is what the kernel says the
// process has used so far.
package proc
