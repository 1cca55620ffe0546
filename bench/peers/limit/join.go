package main

import (
	"errors"
	"fmt"
	"math/bits"
)

// pair is a key with its value.
type pair struct{ key, value int64 }

// tables are a and b in memory, a slice a column; b has each key once.
type tables struct {
	aKey, aValue, bKey, bValue []int64

	aMoved, bMoved []pair
	parts          uint // their number, as bits
	slots          [threads][]pair
	dense          []int32 // by key: the value and one, or 0
}

// free is the key of a free slot; no key is negative.
const free = -1

// joinArrays joins ROWS rows to KEYS, and sums both values over the matches.
// Keys are the numbers below KEYS if they are dense, in any order, and lie far
// apart otherwise. If it is told, it looks dense keys up by position.
func joinArrays(args []string) error {
	n, err := numbers(args[:2]...)
	if err != nil {
		return err
	}
	rows, keys := n[0], n[1]
	dense, told := false, false
	for _, a := range args[2:] {
		dense, told = dense || a == "dense", told || a == "told"
	}
	if told && !dense {
		return errors.New("it can be told only that keys are dense")
	}
	j := &tables{aKey: slab[int64](rows), aValue: slab[int64](rows), bKey: slab[int64](keys), bValue: slab[int64](keys)}
	// A bijection of the numbers below 2^60 makes keys sparse.
	spread := func(i int) int64 {
		if dense {
			return int64(i)
		}
		return int64(uint64(i) * 0x9e3779b97f4a7c15 & (1<<60 - 1))
	}
	dice := random(1)
	for i := range j.bKey {
		j.bKey[i], j.bValue[i] = int64(i), int64(dice.next()&255)
	}
	for i := keys - 1; i > 0; i-- {
		k := dice.next() % uint64(i+1)
		j.bKey[i], j.bKey[k] = j.bKey[k], j.bKey[i]
	}
	both(func(t int) {
		dice := random(t + 2)
		from, to := share(rows, t)
		for i := from; i < to; i++ {
			j.aKey[i], j.aValue[i] = spread(int(dice.next()%uint64(keys))), int64(dice.next()&255)
		}
		from, to = share(keys, t)
		for i := from; i < to; i++ {
			j.bKey[i] = spread(int(j.bKey[i]))
		}
	})
	if told {
		j.dense = slab[int32](keys)
		timed(j.byPosition)
		return nil
	}
	j.parts = uint(bits.Len(uint(keys / joinPartKeys)))
	j.aMoved, j.bMoved = slab[pair](rows), slab[pair](keys)
	for t := range j.slots {
		j.slots[t] = slab[pair](tableSlots(keys>>j.parts + keys>>(j.parts+3)))
	}
	timed(j.byParts)
	return nil
}

// matches are the sums over what matched.
type matches struct{ n, a, b int64 }

func (m matches) plus(o matches) matches { return matches{m.n + o.n, m.a + o.a, m.b + o.b} }

func (m matches) String() string { return fmt.Sprint(m.n, m.a, m.b) }

// byPosition looks keys up by position.
func (j *tables) byPosition() string {
	both(func(t int) {
		from, to := share(len(j.dense), t)
		clear(j.dense[from:to])
	})
	both(func(t int) {
		from, to := share(len(j.bKey), t)
		for i := from; i < to; i++ {
			j.dense[j.bKey[i]] = int32(j.bValue[i]) + 1
		}
	})
	var found [threads]matches
	both(func(t int) {
		from, to := share(len(j.aKey), t)
		var m matches
		value := j.aValue[from:to]
		for i, key := range j.aKey[from:to] {
			if b := j.dense[key]; b > 0 {
				m = matches{m.n + 1, m.a + value[i], m.b + int64(b-1)}
			}
		}
		found[t] = m
	})
	return found[0].plus(found[1]).String()
}

// joinPartKeys is how many keys of b a part may have: their table, half full,
// then fills half of the second cache.
const joinPartKeys = 24000

// byParts moves both sides to parts by the highest bits of the hash, and
// matches part by part through a table that stays in the cache.
func (j *tables) byParts() string {
	a := j.move(j.aKey, j.aValue, j.aMoved)
	b := j.move(j.bKey, j.bValue, j.bMoved)
	var found [threads]matches
	both(func(t int) {
		slots := j.slots[t]
		mask := uint64(len(slots) - 1)
		shift := 64 - uint(bits.TrailingZeros(uint(len(slots))))
		var m matches
		first, last := share(1<<j.parts, t)
		for p := first; p < last; p++ {
			for i := range slots {
				slots[i].key = free
			}
			for _, row := range j.bMoved[b[p]:b[p+1]] {
				i := hashed(row.key) << j.parts >> shift
				for slots[i&mask].key != free {
					i++
				}
				slots[i&mask] = row
			}
			for _, row := range j.aMoved[a[p]:a[p+1]] {
				for i := hashed(row.key) << j.parts >> shift; ; i++ {
					s := &slots[i&mask]
					if s.key == row.key {
						m = matches{m.n + 1, m.a + row.value, m.b + s.value}
						break
					}
					if s.key == free {
						break
					}
				}
			}
		}
		found[t] = m
	})
	return found[0].plus(found[1]).String()
}

// move moves one side's rows to their parts and returns where those begin.
func (j *tables) move(key, value []int64, moved []pair) []uint32 {
	var counts [threads][]uint32
	shift := 64 - j.parts
	both(func(t int) {
		from, to := share(len(key), t)
		count := make([]uint32, 1<<j.parts)
		for _, k := range key[from:to] {
			count[hashed(k)>>shift]++
		}
		counts[t] = count
	})
	starts := scatter(counts)
	both(func(t int) {
		from, to := share(len(key), t)
		next, v := counts[t], value[from:to]
		for i, k := range key[from:to] {
			p := hashed(k) >> shift
			moved[next[p]] = pair{k, v[i]}
			next[p]++
		}
	})
	return starts
}
