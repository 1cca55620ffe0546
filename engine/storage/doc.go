// Package storage owns the blocks of an executor and the session's folder on
// disk.
//
// Its nouns: the [Disk], one folder for a session with all its files; the
// [File] in it; the [Store] of an executor's blocks; the [Writer] that fills
// a cached partition frame by frame and the [Reader] that reads one. Blocks
// of bytes (results, broadcasts, task binaries) are put and got whole.
//
// # Tiers
//
// A block is in memory pages, in a file, or both. Which of them it may use
// says its level. The memory tier is an exact list in order of access; room
// is made at once, by whoever needs it, on its own goroutine:
//
//   - the oldest blocks go first, but never one that is read or written, nor
//     one of the dataset that the new block is of;
//   - either enough go, or none;
//   - a block whose level has disk is written there first, others vanish.
//
// Execution evicts the same way, without the rule about datasets, as far as
// cached blocks stand above the storage region (package memory).
//
// Frames read from files pass through the read-back cache, a bounded set of
// copies that is dropped whole when anybody needs its memory. A block that
// may be in memory returns there when it is read and there is free room.
//
// What the cache saves is decoding. An iteration of k-means over a compressed
// DISK_ONLY set takes 100 ms with lz4 and no cache, 63 with one that the set
// fits, 86 with one half as large; with zstd 244, 54 and 156 (two cores, medians
// of 8 and of 4 interleaved rounds of BenchmarkReadBack in workloads/kmeans). A
// frame for which there is no room is not copied, so half a cache gives nearly
// half of the gain.
//
// # Locks
//
// Many readers or one writer, by attempt; the first writer of a block wins,
// the others wait and then read. What an attempt leaves locked is released
// at its end ([Store.ReleaseTask]). Removing a block hides it at once and
// frees it when its last reader is done.
//
// Lock order: Store.mu, then those of package memory. No I/O, no call of the
// memory manager that may evict, and no callback happens under Store.mu.
package storage
