package main

import (
	"bytes"
	"fmt"
	"os"
)

// csvPiece is what is read at a time, small enough to stay in the second
// cache until it is parsed.
const csvPiece = 128 << 10

// lines hands the lines of a file after its header to each thread's f, in
// pieces of whole lines that stay valid during the call; slack bytes behind
// them can be read.
func lines(path string, f func(t int, text []byte)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := int(info.Size())
	return bothTry(func(t int) error {
		from, to := share(size, t)
		buffer := make([]byte, csvPiece+slack)
		// A line belongs to who has its first byte: begin behind the first end
		// of a line, which is the header's for the first thread, and stop
		// behind the first end of a line at or after the half.
		held, begun := 0, false
		for from < size {
			n := min(csvPiece-held, size-from)
			if _, err := file.ReadAt(buffer[held:held+n], int64(from)); err != nil {
				return err
			}
			base := from - held
			from += n
			text := buffer[:held+n]
			if !begun {
				cut := bytes.IndexByte(text, '\n') + 1
				text, base, begun = text[cut:], base+cut, true
			}
			last := from >= size
			if base+len(text) > to {
				if cut := bytes.IndexByte(text[max(0, to-base):], '\n'); cut >= 0 {
					text, last = text[:max(0, to-base)+cut+1], true
				}
			}
			end := bytes.LastIndexByte(text, '\n') + 1
			f(t, text[:end])
			if last {
				return nil
			}
			held = copy(buffer, text[end:])
		}
		return nil
	})
}

// number reads digits from text[at] on, and returns where another byte is.
func number(text []byte, at int) (uint64, int) {
	n := uint64(0)
	for {
		d := uint64(text[at] - '0')
		if d > 9 {
			return n, at
		}
		n, at = n*10+d, at+1
	}
}

// powers are 10^-n as divisors.
var powers = [20]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// groupByCSV groups lines of two whole numbers and one fraction, parsed and
// added to a thread's own table as they are read.
func groupByCSV(args []string) error {
	n, err := numbers(args[1])
	if err != nil {
		return err
	}
	keys := n[0]
	var tables [threads]groupTable
	for t := range tables {
		tables[t] = newGroupTable(slab[group](tableSlots(keys)))
	}
	err = lines(args[0], func(t int, text []byte) {
		table := tables[t]
		for at := 0; at < len(text); at++ {
			var key, v, f uint64
			key, at = number(text, at)
			v, at = number(text, at+1)
			f, at = number(text, at+1)
			digits := 0
			if text[at] == '.' {
				begin := at + 1
				var fraction uint64
				fraction, at = number(text, begin)
				digits = at - begin
				f = f*uint64(powers[digits%len(powers)]) + fraction
			}
			table.add(hashed(int64(key)), int64(key), 1, int64(v), float64(f)/powers[digits%len(powers)])
		}
	})
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", args[0], err)
	}
	// Each thread adds up the keys of one half of the hashes; slots lie in
	// their order, so those are halves of the tables, and what ran over.
	var groups [threads][]group
	both(func(t int) {
		total, other := tables[t], tables[1-t]
		for i := range other.slots {
			if s := &other.slots[i]; s.n > 0 && int(hashed(s.key)>>63) == t {
				total.add(hashed(s.key), s.key, s.n, s.sum, s.total)
			}
		}
		out := slab[group](keys)[:0]
		for _, s := range total.slots {
			if s.n > 0 && int(hashed(s.key)>>63) == t {
				out = append(out, s)
			}
		}
		groups[t] = out
	})
	r := rowsByKey{groups: groups}
	answer(r.answer())
	return nil
}
