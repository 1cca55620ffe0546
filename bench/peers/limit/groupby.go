package main

import (
	"fmt"
	"math/bits"
)

// hashed spreads keys over the highest bits.
func hashed(key int64) uint64 { return uint64(key) * 0x9e3779b97f4a7c15 }

// group is what is known of a key; n is 0 in a slot that is free.
type group struct {
	key, n, sum int64
	total       float64
}

// groupTable is a table in open addressing, of a power of two of slots.
type groupTable struct {
	slots []group
	shift uint
}

// tableSlots is a power of two with room for n, at most three quarters full.
func tableSlots(n int) int { return 1 << bits.Len(uint(max(n*4/3, 15))) }

func newGroupTable(slots []group) groupTable {
	return groupTable{slots, uint(64 - bits.TrailingZeros(uint(len(slots))))}
}

// add adds rows of a key; hash is its hash, of which the highest bits count.
func (t groupTable) add(hash uint64, key, n, v int64, f float64) {
	mask := uint64(len(t.slots) - 1)
	for i := hash >> t.shift; ; i++ {
		s := &t.slots[i&mask]
		if s.key == key && s.n > 0 {
			s.n += n
			s.sum += v
			s.total += f
			return
		}
		if s.n == 0 {
			*s = group{key, n, v, f}
			return
		}
	}
}

// groupRow is a row on its way to a part of the keys.
type groupRow struct {
	key, v int64
	f      float64
}

// rowsByKey are a table in memory, a slice a column, and what grouping them
// needs, made once.
type rowsByKey struct {
	key, v []int64
	f      []float64
	keys   int
	local  [threads]groupTable // few keys
	moved  []groupRow          // many keys
	parts  uint                // their number, as bits
	groups [threads][]group    // the answer
}

// fewKeys is up to how many a table a thread is best: it then lies in the
// second cache.
const fewKeys = 8000

// groupByArrays groups uniform keys: sum(v), avg(f), by id.
func groupByArrays(args []string) error {
	n, err := numbers(args[:2]...)
	if err != nil {
		return err
	}
	r := &rowsByKey{key: slab[int64](n[0]), v: slab[int64](n[0]), f: slab[float64](n[0]), keys: n[1]}
	both(func(t int) {
		from, to := share(n[0], t)
		dice := random(t + 1)
		for i := from; i < to; i++ {
			r.key[i] = int64(dice.next() % uint64(n[1]))
			x := dice.next()
			r.v[i], r.f[i] = int64(x&255), float64(x>>54)/1024
		}
	})
	query := r.fewGroups
	if r.keys <= fewKeys {
		for t := range threads {
			r.local[t] = newGroupTable(slab[group](tableSlots(r.keys)))
		}
	} else {
		query = r.manyGroups
		r.parts = uint(bits.Len(uint(r.keys / partKeys)))
		r.moved = slab[groupRow](n[0])
	}
	for t := range threads {
		r.groups[t] = slab[group](r.keys)
	}
	timed(query)
	return nil
}

// answer adds the groups up.
func (r *rowsByKey) answer() string {
	count, n, sum, total := 0, int64(0), int64(0), 0.0
	for _, part := range r.groups {
		count += len(part)
		for _, g := range part {
			n += g.n
			sum += g.sum
			total += g.total
		}
	}
	return fmt.Sprint(count, n, sum, total)
}

// fewGroups gives each thread a table of its own and adds them up.
func (r *rowsByKey) fewGroups() string {
	both(func(t int) {
		from, to := share(len(r.key), t)
		table := r.local[t]
		clear(table.slots)
		v, f := r.v[from:to], r.f[from:to]
		for i, key := range r.key[from:to] {
			table.add(hashed(key), key, 1, v[i], f[i])
		}
	})
	total := r.local[0]
	for _, table := range r.local[1:] {
		for _, g := range table.slots {
			if g.n > 0 {
				total.add(hashed(g.key), g.key, g.n, g.sum, g.total)
			}
		}
	}
	r.groups[0], r.groups[1] = r.groups[0][:0], r.groups[1][:0]
	for _, g := range total.slots {
		if g.n > 0 {
			r.groups[0] = append(r.groups[0], g)
		}
	}
	return r.answer()
}

// partKeys is how many keys a part may have: its table, half full, then fills
// half of the second cache and leaves the rest to the rows.
const partKeys = 12000

// manyGroups moves rows to parts by the highest bits of their key's hash, and
// groups part by part in a table that stays in the cache.
func (r *rowsByKey) manyGroups() string {
	var counts [threads][]uint32
	shift := 64 - r.parts
	both(func(t int) {
		from, to := share(len(r.key), t)
		count := make([]uint32, 1<<r.parts)
		for _, key := range r.key[from:to] {
			count[hashed(key)>>shift]++
		}
		counts[t] = count
	})
	starts := scatter(counts)
	both(func(t int) {
		from, to := share(len(r.key), t)
		next, moved := counts[t], r.moved
		v, f := r.v[from:to], r.f[from:to]
		for i, key := range r.key[from:to] {
			p := hashed(key) >> shift
			moved[next[p]] = groupRow{key, v[i], f[i]}
			next[p]++
		}
	})
	both(func(t int) {
		first, last := share(1<<r.parts, t)
		table := newGroupTable(slab[group](tableSlots(r.keys>>r.parts + r.keys>>(r.parts+3))))
		groups := r.groups[t][:0]
		for p := first; p < last; p++ {
			for _, row := range r.moved[starts[p]:starts[p+1]] {
				table.add(hashed(row.key)<<r.parts, row.key, 1, row.v, row.f)
			}
			for i := range table.slots {
				if s := &table.slots[i]; s.n > 0 {
					groups = append(groups, *s)
					s.n = 0
				}
			}
		}
		r.groups[t] = groups
	})
	return r.answer()
}
