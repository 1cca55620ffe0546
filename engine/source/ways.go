package source

import (
	"sync"
	"unsafe"

	"github.com/execbench/execbench/engine/internal/fsys"
)

// A way is how a block of output reaches the disk.
type way int

const (
	throughCache way = iota // a copy in the system's file cache, written later
	pastCache               // from the block to the device, on which the writer waits
)

// Ways chooses how the full blocks of output files are written: the way that
// was faster of late. Which that is depends on the machine and the moment. A
// copy into a file cache that has pages at hand runs at the pace of memory,
// and no device keeps up with it. Where the cache has to clear new pages, or
// to ask a hypervisor for them, or waits until old ones are on the disk, a
// device is several times as fast, and takes no processor's time. So both are
// measured: first two blocks each, then the faster one is used, and the other
// is tried again every now and then, so rarely that its trials cost a
// hundredth.
//
// The zero Ways is ready. It is used by several goroutines at once.
type Ways struct {
	always bool // past the cache; nothing is chosen

	mu    sync.Mutex
	seen  [2]int     // blocks
	pace  [2]float64 // nanoseconds a byte of late
	bytes [2]int64
	since int // blocks since the slower way was tried
}

// AlwaysPast returns Ways that lead past the cache, wherever the system can.
func AlwaysPast() *Ways { return &Ways{always: true} }

const (
	// trialShare is the part of the time that may go to trials of the slower
	// way.
	trialShare = 100
	// firstBlocks are measured each way at first. The best of them counts: any
	// may have had to wait for another program.
	firstBlocks = 2
	// outlier is how many times slower than of late a block may count: one that
	// had to wait for another program is not to end the trials.
	outlier = 4
)

// next returns how the next block is to be written.
func (w *Ways) next() way {
	if w.always {
		return pastCache
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, unknown := range [...]way{throughCache, pastCache} {
		if w.seen[unknown] < firstBlocks {
			return unknown
		}
	}
	faster, slower := throughCache, pastCache
	if w.pace[slower] < w.pace[faster] {
		faster, slower = slower, faster
	}
	if w.since++; float64(w.since) <= trialShare*(w.pace[slower]/w.pace[faster]-1) {
		return faster
	}
	w.since = 0
	return slower
}

// took tells how long n bytes took. Half of the pace is the latest block's.
func (w *Ways) took(by way, n int, ns int64) {
	pace := max(1, float64(ns)) / float64(n)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes[by] += int64(n)
	switch w.seen[by]++; {
	case w.seen[by] == 1:
	case w.seen[by] <= firstBlocks:
		pace = min(pace, w.pace[by])
	default:
		pace = (min(pace, outlier*w.pace[by]) + w.pace[by]) / 2
	}
	w.pace[by] = pace
}

// Past returns how many bytes were written past the file cache, and how many
// were written in full blocks at all. It may be called on nil.
func (w *Ways) Past() (past, all int64) {
	if w == nil {
		return 0, 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes[pastCache], w.bytes[pastCache] + w.bytes[throughCache]
}

// directBlock reports whether p may be written past the cache behind the first
// written bytes of a file.
func directBlock(p []byte, written int64) bool {
	const mask = fsys.DirectAlign - 1
	return len(p) >= directLeast && len(p)&mask == 0 && written&mask == 0 && uintptr(unsafe.Pointer(unsafe.SliceData(p)))&mask == 0
}

// directLeast is the smallest block that is worth a wait for the device: below
// it most of the wait is not the transfer's.
const directLeast = 128 << 10
