package task

// Part names where the time inside an attempt's run goes. Parts exclude each
// other: at any moment exactly one is running, so they add up to the run
// time by construction.
type Part uint8

// The parts inside run. PartCompute is what is left when no other runs.
const (
	PartCompute Part = iota
	PartInputRead
	PartShuffleFetchWait
	PartShuffleWrite
	PartSpill
	PartOutputWrite
	PartCount // number of parts, not a part
)

// metric tells which figure a part's time becomes.
var partMetric = [PartCount]Metric{
	PartCompute:          ComputeTime,
	PartInputRead:        InputReadTime,
	PartShuffleFetchWait: ShuffleFetchWaitTime,
	PartShuffleWrite:     ShuffleWriteTime,
	PartSpill:            SpillTime,
	PartOutputWrite:      OutputWriteTime,
}

// Metric returns the figure that holds the part's time.
func (p Part) Metric() Metric { return partMetric[p] }

// Timer splits an attempt's run time into parts. Switching costs one reading
// of the clock (about 50 ns), so switch per batch, page or file operation,
// never per record. It is used by the attempt's goroutine alone.
//
//	prev := t.Switch(task.PartSpill)
//	… write the run …
//	t.Switch(prev)
type Timer struct {
	now  func() int64 // monotonic nanoseconds
	last int64
	cur  Part
	sum  [PartCount]int64

	watch func(Part) // nil: nobody
}

// Start begins timing at the stamp at, in PartCompute, and forgets what came
// before. now must return nanoseconds on the same monotonic scale as at.
func (t *Timer) Start(now func() int64, at int64) {
	*t = Timer{now: now, last: at}
}

// Watch has f told of every switch until Stop, on the attempt's goroutine, and
// of the part that runs now.
func (t *Timer) Watch(f func(Part)) {
	if t.now == nil {
		return
	}
	t.watch = f
	f(t.cur)
}

// Switch charges the time since the last switch to the running part, makes p
// the running part and returns the one that ran before. On a Timer that was
// never started it does nothing.
func (t *Timer) Switch(p Part) Part {
	prev := t.cur
	if t.now == nil || p == prev {
		return prev
	}
	at := t.now()
	t.sum[prev] += at - t.last
	t.last, t.cur = at, p
	if t.watch != nil {
		t.watch(p)
	}
	return prev
}

// Stop charges the time up to the stamp at to the running part and writes
// every part into its metric. The parts then add up to at minus the start.
func (t *Timer) Stop(at int64, m *Metrics) {
	if t.now == nil {
		return
	}
	t.sum[t.cur] += at - t.last
	t.last, t.now, t.watch = at, nil, nil
	for p, ns := range t.sum {
		m[Part(p).Metric()] += ns
	}
}
