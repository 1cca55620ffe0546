package main

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
)

const (
	recordBytes = 100
	// bucketEntries is about how many entries are sorted at a time: 64 KiB of
	// them and as much to move them to lie in the second cache.
	bucketEntries = 4096
)

// entry is a record's key and number: eight bytes of the key, then the other
// two above the number. Entries in their order are records in theirs, equal
// keys in the order of the input.
type entry struct{ head, tail uint64 }

func (a entry) before(b entry) bool {
	return a.head < b.head || a.head == b.head && a.tail < b.tail
}

// sortRecords sorts a file of records:
//
//  1. Read all of it.
//  2. Take each record's key and number aside, and count keys by their first
//     two bytes.
//  3. Move them to buckets of about bucketEntries with neighbouring first bytes.
//  4. Sort each bucket by two radix passes and one of insertion, and write the
//     records as its entries say. Each thread writes half of the file.
func sortRecords(in, out string) error {
	data, err := readWhole(in)
	if err != nil {
		return err
	}
	n := len(data) / recordBytes
	entries, moved := slab[entry](n), slab[entry](n)
	var heads [threads][]uint32
	both(func(t int) {
		from, to := share(n, t)
		count := make([]uint32, 1<<16)
		for i := from; i < to; i++ {
			key := data[i*recordBytes:][:10]
			e := entry{binary.BigEndian.Uint64(key), uint64(binary.BigEndian.Uint16(key[8:]))<<32 | uint64(i)}
			entries[i] = e
			count[e.head>>48]++
		}
		heads[t] = count
	})
	bucket, buckets := bucketsOf(heads)
	var places [threads][]uint32
	for t := range places {
		places[t] = make([]uint32, buckets)
		for h, n := range heads[t] {
			places[t][bucket[h]] += n
		}
	}
	starts := scatter(places)
	both(func(t int) {
		from, to := share(n, t)
		next := places[t]
		for _, e := range entries[from:to] {
			b := bucket[e.head>>48]
			moved[next[b]] = e
			next[b]++
		}
	})

	f, err := os.Create(out)
	if err != nil {
		return err
	}
	middle := 0
	for middle < buckets && int(starts[middle]) < n/2 {
		middle++
	}
	err = bothTry(func(t int) error {
		first, last := 0, middle
		if t == 1 {
			first, last = middle, buckets
		}
		w := recordWriter{file: f, at: int64(starts[first]) * recordBytes, buffer: pages(step)}
		for b := first; b < last; b++ {
			s := moved[starts[b]:starts[b+1]]
			sortEntries(s, entries[starts[b]:starts[b+1]])
			for _, e := range s {
				i := int(uint32(e.tail))
				if err := w.write(data[i*recordBytes:][:recordBytes]); err != nil {
					return err
				}
			}
		}
		return w.flush()
	})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", out, err)
	}
	return nil
}

// bucketsOf gives neighbouring first bytes to one bucket until it is full.
func bucketsOf(heads [threads][]uint32) (bucket []uint32, buckets int) {
	bucket = make([]uint32, 1<<16)
	held, now := uint32(0), uint32(0)
	for h := range bucket {
		n := heads[0][h] + heads[1][h]
		if held > 0 && held+n > bucketEntries {
			now, held = now+1, 0
		}
		bucket[h] = now
		held += n
	}
	return bucket, int(now) + 1
}

// radixBits are what one pass looks at; two passes tell 4096 entries apart
// but for a few, which insertion puts right.
const radixBits = 11

// sortEntries sorts s, with as many entries to move them to.
func sortEntries(s, other []entry) {
	if len(s) > 64 {
		var counts [2][1 << radixBits]uint32
		all, any := ^uint64(0), uint64(0)
		for i := range s {
			all &= s[i].head
			any |= s[i].head
		}
		// The highest bits that differ, which are not the highest that are there.
		low := max(0, 64-bits.LeadingZeros64(all^any)-2*radixBits)
		const mask = 1<<radixBits - 1
		for i := range s {
			h := s[i].head >> low
			counts[0][h&mask]++
			counts[1][h>>radixBits&mask]++
		}
		from, to := s, other[:len(s)]
		for pass := range counts {
			count := &counts[pass]
			at := uint32(0)
			for d := range count {
				count[d], at = at, at+count[d]
			}
			shift := low + pass*radixBits
			for i := range from {
				d := from[i].head >> shift & mask
				to[count[d]] = from[i]
				count[d]++
			}
			from, to = to, from
		}
	}
	for i := 1; i < len(s); i++ {
		e := s[i]
		j := i
		for ; j > 0 && e.before(s[j-1]); j-- {
			s[j] = s[j-1]
		}
		s[j] = e
	}
}

// recordWriter collects records and writes them from a place in the file on.
type recordWriter struct {
	file   *os.File
	at     int64
	buffer []byte
	held   int
}

func (w *recordWriter) write(record []byte) error {
	if w.held+recordBytes > len(w.buffer) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	// As an array, so that it is moved without a call.
	*(*[recordBytes]byte)(w.buffer[w.held:]) = [recordBytes]byte(record)
	w.held += recordBytes
	return nil
}

func (w *recordWriter) flush() error {
	n, err := w.file.WriteAt(w.buffer[:w.held], w.at)
	w.at += int64(n)
	w.held = 0
	return err
}
