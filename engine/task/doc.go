// Package task is the contract between scheduler and executor: what a task
// is told (Description), what it reports (Status, Result, Failure), what its
// output is (MapStatus) and what it cost (Metrics, Timer, Stamps).
//
// Scheduler and executor never see each other; both speak these types, and
// everything that passes between them is encoded and decoded for real. Wire
// forms are little-endian, length-prefixed and end in a CRC-32C, so damage
// on the way is found and fails the attempt instead of misleading it.
package task
