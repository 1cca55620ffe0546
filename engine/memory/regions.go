package memory

// regions is the arithmetic of the two pools. It is pure: the Manager guards
// it, and tests drive it alone.
//
//	total = fixed + execPool + storage pool
//	execUsed ≤ execPool, storageUsed ≤ storage pool, cached ≤ storageUsed
type regions struct {
	total       int64   // managed bytes
	fraction    float64 // of total − fixed: the storage region
	fixed       int64   // reservations
	execPool    int64   // size of the execution pool
	execUsed    int64
	storageUsed int64 // by all holders
	cached      int64 // part of storageUsed that the region protects
}

func newRegions(total int64, fraction float64) regions {
	r := regions{total: total, fraction: fraction}
	r.execPool = total - r.region()
	return r
}

// region returns how many cached bytes execution may not evict.
func (r *regions) region() int64 { return int64(float64(r.total-r.fixed) * r.fraction) }

func (r *regions) storagePool() int64 { return r.total - r.fixed - r.execPool }
func (r *regions) storageFree() int64 { return r.storagePool() - r.storageUsed }
func (r *regions) execFree() int64    { return r.execPool - r.execUsed }

// free returns what nobody has reserved, in either pool.
func (r *regions) free() int64 { return r.total - r.fixed - r.execUsed - r.storageUsed }

// maxPool returns how large the execution pool could become by evicting all
// that execution may evict: the base of an attempt's cap.
func (r *regions) maxPool() int64 { return r.total - r.fixed - min(r.cached, r.region()) }

// overRegion returns how many cached bytes execution may evict.
func (r *regions) overRegion() int64 { return max(0, r.cached-r.region()) }

// growExecution moves free storage bytes to the execution pool until n are
// free there or no more are to be had.
func (r *regions) growExecution(n int64) {
	if short := n - r.execFree(); short > 0 {
		r.execPool += min(short, max(0, r.storageFree()))
	}
}

// growStorage moves free execution bytes to the storage pool until n are
// free there or no more are to be had.
func (r *regions) growStorage(n int64) {
	if short := n - r.storageFree(); short > 0 {
		r.execPool -= min(short, max(0, r.execFree()))
	}
}

// addFixed changes the reservations by n, which free() must cover, taking
// from the storage pool first.
func (r *regions) addFixed(n int64) {
	if fromExec := n - max(0, r.storageFree()); fromExec > 0 {
		r.execPool -= fromExec
	}
	r.fixed += n // the storage pool shrinks or grows by what execPool did not
}

// toStorage moves n used bytes from execution to storage, where the region
// protects them if cached is set.
func (r *regions) toStorage(n int64, cached bool) {
	r.execPool -= n
	r.execUsed -= n
	r.addStorage(n, cached)
}

func (r *regions) addStorage(n int64, cached bool) {
	r.storageUsed += n
	if cached {
		r.cached += n
	}
}

// consistent reports whether the promises above hold.
func (r *regions) consistent() bool {
	return r.execUsed >= 0 && r.cached >= 0 && r.cached <= r.storageUsed && r.fixed >= 0 &&
		r.execUsed <= r.execPool && r.storageUsed <= r.storagePool() &&
		r.fixed+r.execPool+r.storagePool() == r.total
}

// share decides what an attempt that holds held and asks for n gets, with
// active attempts sharing a pool that has free bytes. It waits only when the
// grant would leave it below half a fair share of the pool as it stands.
// Source: spark-semantics §5.2 (integer divisions as there).
func share(n, held, active, pool, maxPool, free int64) (grant int64, wait bool) {
	limit := maxPool / active
	floor := pool / (2 * active)
	grant = min(n, max(0, limit-held), max(0, free))
	return grant, grant < n && held+grant < floor
}
