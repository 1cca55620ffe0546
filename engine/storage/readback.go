package storage

import (
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/execbench/execbench/engine/internal/invariant"
	"github.com/execbench/execbench/engine/memory"
)

// readBack keeps copies of frames that were read from files: ristretto
// decides which, by frequency, so that a steady part of a set that does not
// fit stays; we count the bytes.
//
// What ristretto does not promise, and how that is met:
//   - a Set may be dropped or rejected later, on its own goroutine: then the
//     copy is unreferenced there (OnExit) and nothing else depends on it;
//   - a second Set of a key may lose against the first: keys are never
//     reused and frames never change, so both are the same;
//   - its total may stand above MaxCost while Sets are queued: a copy is
//     made only if the holder's exact account allows it;
//   - Get, Set and Clear are not to meet Close: mu keeps them apart.
type readBack struct {
	holder *memory.Holder
	limit  int64 // of the holder's account

	mu struct {
		sync.RWMutex // held for writing by clear and close only
		cache        *ristretto.Cache[uint64, *frameCopy]
		closed       bool
	}
}

// frameCopy is a frame in a page that the cache and readers share.
type frameCopy struct {
	holder *memory.Holder
	page   *memory.Page
	size   int   // of the frame, raw
	rows   int   // in it
	next   int64 // where the next frame begins in the file
	refs   atomic.Int32
}

// frameKey names frame i of the file whose serial number is given.
func frameKey(serial uint64, i int) uint64 { return serial<<24 | uint64(i) }

const frameKeyMax = 1 << 24 // frames of one file that can be kept

func newReadBack(m *memory.Manager, limit int64) *readBack {
	b := &readBack{limit: limit}
	b.holder = m.CopyHolder("read-back cache", b.drop)
	return b
}

// get returns a copy, referenced for the caller, or nil.
func (b *readBack) get(key uint64) *frameCopy {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.mu.cache == nil {
		return nil
	}
	f, ok := b.mu.cache.Get(key)
	if !ok || !f.ref() {
		return nil
	}
	return f
}

// alloc returns a copy with room for size bytes, referenced for the caller,
// or nil when the limit or the memory does not allow it.
func (b *readBack) alloc(size int) *frameCopy {
	if b.limit <= 0 || b.holder.Used()+int64(size) > b.limit {
		return nil
	}
	p, err := b.holder.Alloc(size)
	if err != nil {
		return nil
	}
	f := &frameCopy{holder: b.holder, page: p, size: size}
	f.refs.Store(1)
	return f
}

// put offers a copy that the caller has filled and keeps its reference to.
func (b *readBack) put(key uint64, f *frameCopy) {
	b.mu.RLock()
	cache, closed := b.mu.cache, b.mu.closed
	b.mu.RUnlock()
	if closed {
		return
	}
	if cache == nil {
		b.open()
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.mu.cache == nil {
		return
	}
	f.refs.Add(1)
	if !b.mu.cache.Set(key, f, f.page.Size()) {
		f.unref()
	}
}

// open starts the cache; sessions that read nothing back never do.
func (b *readBack) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.cache != nil || b.mu.closed {
		return
	}
	// An eighth of the limit is for copies that are queued, or still read
	// after their eviction.
	cost := max(1, b.limit-b.limit/8)
	cache, err := ristretto.NewCache(&ristretto.Config[uint64, *frameCopy]{
		NumCounters:        min(max(10*cost/(64<<10), 1000), 1_000_000), // ten for each frame of 64 KiB
		MaxCost:            cost,
		BufferItems:        64,
		IgnoreInternalCost: true,
		OnExit:             (*frameCopy).unref,
	})
	if err != nil {
		invariant.Violated("the read-back cache was configured wrongly: %v", err)
	}
	b.mu.cache = cache
}

// forget drops the frames of a file that is gone.
func (b *readBack) forget(serial uint64, count int) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.mu.cache == nil {
		return
	}
	for i := range min(count, frameKeyMax) {
		b.mu.cache.Del(frameKey(serial, i))
	}
}

// drop empties the cache, whatever the need, and returns the bytes that came
// free; copies being read come free later.
func (b *readBack) drop(int64) (freed int64) {
	before := b.holder.Used()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.cache != nil {
		b.mu.cache.Clear()
	}
	return max(0, before-b.holder.Used())
}

// close drops everything and joins the cache's goroutines.
func (b *readBack) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.closed = true
	if b.mu.cache != nil {
		b.mu.cache.Close()
		b.mu.cache = nil
	}
}

// data returns the frame's bytes.
func (f *frameCopy) data() []byte { return f.page.Data[:f.size:f.size] }

// ref adds a reference unless the copy is already freed.
func (f *frameCopy) ref() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// unref drops a reference; the last one frees the page. ristretto also calls
// it with nil, for keys that were deleted and not there.
func (f *frameCopy) unref() {
	if f != nil && f.refs.Add(-1) == 0 {
		f.holder.Free(f.page)
	}
}
