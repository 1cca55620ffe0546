// Package memory owns the managed memory of a session: who holds how much of
// it, who gets the next byte, and who gives bytes back.
//
// Its nouns: the [Manager], one for a session; the [Task], an attempt's
// account; the [Consumer], a named part of an attempt that holds memory and
// may spill; the [Holder], an owner of memory that outlives attempts
// (shuffle blocks, cached blocks, copies); the [Reservation], a fixed amount
// under a name; and the [Page], off-heap bytes that any of them holds. The
// package never reads or writes a file: spilling and evicting are calls to
// those who hold the bytes.
//
// # Regions
//
// What the reservations leave is divided into an execution pool and a
// storage pool that borrow from each other, as in Spark's unified memory
// manager (spark-semantics §5.1):
//
//	managed = (Budget − Reserved) × Fraction
//	managed = reservations + execution pool + storage pool
//	region  = (managed − reservations) × StorageFraction
//
// Storage takes what execution does not use; it never takes what execution
// uses. Execution takes free memory, then asks holders to give up bytes:
// copies first (all of them), then caches (only what is above the region),
// then other holders (all of it). Holders are asked outside every lock of
// this package.
//
// # Shares
//
// Among N attempts that hold memory (spark-semantics §5.2):
//
//	cap   = (managed − reservations − min(cached, region)) / N
//	floor = execution pool / 2N
//
// An attempt never holds more than the cap. It waits only while it would
// hold less than the floor, and only for attempts that are running: every
// release, every end of an attempt and every kill wakes it. While it waits
// it asks those above the cap to spill; they do so in their own goroutines,
// at their next call here, or in [Task.Serve] if they wait elsewhere.
//
// # Pages
//
// Pages are mapped, not allocated: the collector neither sees nor moves
// them. First touches are dear, so freed pages are kept and reused; they are
// given back to the system only when their bytes are wanted for something
// else, so that
//
//	reserved by all owners + free pages ≤ managed
//
// holds at every moment.
package memory
