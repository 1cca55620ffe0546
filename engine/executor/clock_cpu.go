package executor

// lastCPU is the thread's CPU time as it was read last. A reading takes about
// half a microsecond, as much as everything else that an attempt needs to be
// run, so stamps are chained: an attempt reads the clock once, at the end of
// its run, and its run begins where the last reading left off, plus the time
// gone since. That time the worker spent encoding, stepping the driver and
// decoding; if it is longer than cpuChain, or the worker was parked, the clock
// is read anew. So a run's CPU time is wrong by at most cpuChain, and only
// when the thread lost its processor in between.
type lastCPU struct {
	known bool
	cpu   int64 // at the moment when
	when  int64 // on the session's clock
	lag   int64 // from a stamp to the moment that a reading beside it tells of
}

// cpuChain bounds the time that counts as spent on the processor without
// being read: some four times what lies between the runs of empty attempts,
// and twenty readings, so that attempts with more around their run pay at
// most a twentieth.
const cpuChain = 10_000 // ns

// cpuLeast is the shortest run at whose end the clock is read: a reading is a
// twentieth of it. Below it the wall time stands for the CPU time, as it does
// between runs, and is wrong by no more: they differ only where the thread gave
// its processor away, and what does that, a wait for another thread or for the
// disk, or another process in its place, takes about as long by itself.
const cpuLeast = cpuChain

// at returns the CPU time at the stamp now; fresh: do not chain.
func (l *lastCPU) at(now int64, fresh bool) int64 {
	if gone := now - l.when; l.known && !fresh && gone <= cpuChain {
		return l.cpu + gone
	}
	cpu, _ := l.read(now)
	return cpu
}

// read reads the clock just after the stamp now. ok is false where there is
// no such clock.
func (l *lastCPU) read(now int64) (cpu int64, ok bool) {
	cpu, l.known = threadCPU()
	l.cpu, l.when = cpu-l.lag, now
	return l.cpu, l.known
}

// after returns the CPU time at the end, now, of a run that took run and began
// at the CPU time from; read tells that the clock was read for it.
func (l *lastCPU) after(now, from, run int64) (cpu int64, read bool) {
	if run <= cpuLeast {
		return from + run, false
	}
	return l.read(now)
}

// cpuLag returns half of what a reading of the clock takes: the kernel looks
// in the middle of it.
func cpuLag() int64 {
	last, ok := threadCPU()
	if !ok {
		return 0
	}
	least := int64(1e6)
	for range 16 {
		now, _ := threadCPU()
		least, last = min(least, now-last), now
	}
	return least / 2
}
