package scheduler

import (
	"slices"

	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/plan"
	"github.com/execbench/execbench/engine/task"
)

// outputs is the driver's table of map outputs (Spark's map output tracker).
// It outlives stages and jobs: a later job over the same shuffle finds here
// what it need not run again.
//
// epoch grows whenever an output that somebody may have heard of is gone, and
// when a map stage completes, but not when an output is registered: executors
// drop what they remember when a task arrives with a newer epoch.
type outputs struct {
	epoch    int64
	shuffles map[id.Shuffle]*mapOutputs
	// ids in order, since what happens to all shuffles must happen in order.
	ids []id.Shuffle
}

// mapOutputs are the outputs of one shuffle.
type mapOutputs struct {
	statuses []*task.MapStatus // [map partitions]; nil: missing
	missing  int
	reads    []id.Shuffle // that its map stage reads
	written  bool         // some output was there once
	shared   bool         // statuses was handed out: copy before the next change
	rowSums  []int64      // [map partitions] checksums of the rows last written; nil: none came
	// mismatched are the partitions whose second computation wrote other rows.
	mismatched map[int32]bool
}

func (o *outputs) init() { o.shuffles = map[id.Shuffle]*mapOutputs{} }

// register makes a shuffle known, unless it is.
func (o *outputs) register(s id.Shuffle, maps int, reads ...id.Shuffle) {
	if o.shuffles[s] != nil {
		return
	}
	o.shuffles[s] = &mapOutputs{statuses: make([]*task.MapStatus, maps), missing: maps, reads: reads}
	at, _ := slices.BinarySearch(o.ids, s)
	o.ids = slices.Insert(o.ids, at, s)
}

func (m *mapOutputs) set(part int32, status *task.MapStatus) {
	if m.shared {
		m.statuses, m.shared = slices.Clone(m.statuses), false
	}
	if m.statuses[part] != nil {
		m.missing++
	}
	m.statuses[part] = status
	if status != nil {
		m.missing--
		m.written = true
	}
}

// add registers an output, in place of any before it.
func (o *outputs) add(s id.Shuffle, part int32, status *task.MapStatus) {
	if m := o.shuffles[s]; m != nil {
		m.set(part, status)
	}
}

// mismatch notes the checksum of an output's rows, and reports whether an
// earlier computation of the partition wrote other ones. Outputs without a
// checksum match any.
func (o *outputs) mismatch(s id.Shuffle, part int32, status *task.MapStatus) bool {
	m := o.shuffles[s]
	if m == nil || status.RowSum == 0 {
		return false
	}
	if m.rowSums == nil {
		m.rowSums = make([]int64, len(m.statuses))
	}
	before := m.rowSums[part]
	m.rowSums[part] = status.RowSum
	if before == 0 || before == status.RowSum {
		return false
	}
	if m.mismatched == nil {
		m.mismatched = map[int32]bool{}
	}
	m.mismatched[part] = true
	return true
}

// complete reports whether every output of a shuffle is there.
func (o *outputs) complete(s id.Shuffle) bool {
	m := o.shuffles[s]
	return m != nil && m.missing == 0
}

// written reports whether any output of a shuffle was ever there.
func (o *outputs) written(s id.Shuffle) bool {
	m := o.shuffles[s]
	return m != nil && m.written
}

// missing returns the map partitions without output, ascending.
func (o *outputs) missing(s id.Shuffle) []int32 {
	m := o.shuffles[s]
	parts := make([]int32, 0, m.missing)
	for i, status := range m.statuses {
		if status == nil {
			parts = append(parts, int32(i))
		}
	}
	return parts
}

// removeOne unregisters one output, if it is (still) on the executor.
func (o *outputs) removeOne(s id.Shuffle, part int32, on id.Executor) {
	m := o.shuffles[s]
	if m == nil || part < 0 || int(part) >= len(m.statuses) {
		return
	}
	if status := m.statuses[part]; status != nil && status.Location.Executor == on {
		m.set(part, nil)
		o.epoch++
	}
}

// removeAll unregisters every output of a shuffle.
func (o *outputs) removeAll(s id.Shuffle) {
	m := o.shuffles[s]
	if m == nil {
		return
	}
	for i := range m.statuses {
		m.set(int32(i), nil)
	}
	o.epoch++
}

// removeDerived unregisters every output of the shuffles that were made from
// a shuffle's outputs, directly or not, also those that no job needs now: a
// later one might read them beside what is made anew.
func (o *outputs) removeDerived(s id.Shuffle) {
	made := map[id.Shuffle]bool{s: true}
	for again := true; again; {
		again = false
		for _, n := range o.ids {
			if !made[n] && slices.ContainsFunc(o.shuffles[n].reads, func(r id.Shuffle) bool { return made[r] }) {
				made[n], again = true, true
				o.removeAll(n)
			}
		}
	}
}

// removeExecutor unregisters, for every shuffle, what is on an executor.
func (o *outputs) removeExecutor(on id.Executor) {
	for _, s := range o.ids {
		m := o.shuffles[s]
		for i, status := range m.statuses {
			if status != nil && status.Location.Executor == on {
				m.set(int32(i), nil)
			}
		}
	}
	o.epoch++
}

// unregister forgets a shuffle.
func (o *outputs) unregister(s id.Shuffle) {
	if o.shuffles[s] != nil {
		delete(o.shuffles, s)
		o.ids = slices.DeleteFunc(o.ids, func(i id.Shuffle) bool { return i == s })
	}
}

// snapshot returns the statuses as they stand. They stay as they are: a later
// change works on a copy.
func (o *outputs) snapshot(s id.Shuffle) ([]*task.MapStatus, bool) {
	m := o.shuffles[s]
	if m == nil {
		return nil, false
	}
	m.shared = true
	return m.statuses, true
}

// totals returns about how many bytes each reducer of a shuffle has to read.
func (o *outputs) totals(s id.Shuffle, reducers int) []int64 {
	sums := make([]int64, reducers)
	if m := o.shuffles[s]; m != nil {
		for _, status := range m.statuses {
			if status != nil && status.Reducers() == reducers {
				status.AddTo(sums)
			}
		}
	}
	return sums
}

// Figures of the reduce-side preference (spark-semantics §6.4): a host is
// preferred if it holds this part of a reducer's bytes, and with more maps or
// reducers than this, finding out costs more than it brings.
const (
	preferFraction = 0.2
	preferMax      = 1000
)

// prefer returns, by reducer, the hosts that hold at least fraction of what
// it reads, in the order of their map partitions; nil: no host for any.
func (o *outputs) prefer(d *plan.ShuffleDep, fraction float64) [][]task.Location {
	m := o.shuffles[d.Shuffle]
	if m == nil || len(m.statuses) >= preferMax || d.Reducers >= preferMax {
		return nil
	}
	var hosts []string
	var sums [][]int64 // [host][reducer]
	total := make([]int64, d.Reducers)
	for _, status := range m.statuses {
		if status == nil || status.Reducers() != d.Reducers {
			continue
		}
		h := slices.Index(hosts, status.Location.Host)
		if h < 0 {
			h = len(hosts)
			hosts = append(hosts, status.Location.Host)
			sums = append(sums, make([]int64, d.Reducers))
		}
		status.AddTo(sums[h])
	}
	for _, s := range sums {
		for r, n := range s {
			total[r] += n
		}
	}
	at := make([][]task.Location, d.Reducers)
	for r := range at {
		for h := range hosts {
			if n := sums[h][r]; n > 0 && float64(n) >= fraction*float64(total[r]) {
				at[r] = append(at[r], task.Location{Host: hosts[h]})
			}
		}
	}
	return at
}
