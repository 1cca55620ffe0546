package terasort

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"math/bits"
	"os"
	"strconv"

	"github.com/execbench/execbench/workloads"
)

// rangeBytes is how much of a file is validated at a time, a whole number of
// records.
const rangeBytes = blockRecords * recordSize

// summary is what valsort finds out about a sequence of records. Summaries
// of neighbouring sequences add up to that of both.
type summary struct {
	records        int64
	duplicates     int64 // records whose key equals that of the record before
	unordered      int64 // records whose key is below that of the record before
	firstUnordered int64 // position of the first of those
	sum            u128  // of the CRC-32 (IEEE) of each record
	first, last    Key
}

// summarize looks at one sequence of whole records.
func summarize(data []byte) summary {
	var s summary
	for off := 0; off+recordSize <= len(data); off += recordSize {
		rec := data[off : off+recordSize]
		if s.records == 0 {
			s.first = Key(rec[:keySize])
		} else {
			s.compare(bytes.Compare(data[off-recordSize:off-recordSize+keySize], rec[:keySize]))
		}
		lo, carry := bits.Add64(s.sum.lo, uint64(crc32.ChecksumIEEE(rec)), 0)
		s.sum = u128{s.sum.hi + carry, lo}
		s.records++
	}
	if s.records > 0 {
		s.last = Key(data[(s.records-1)*recordSize:])
	}
	return s
}

// compare notes how the record at position s.records stands to the one
// before it: order is the earlier key compared to the later.
func (s *summary) compare(order int) {
	switch {
	case order == 0:
		s.duplicates++
	case order > 0:
		if s.unordered == 0 {
			s.firstUnordered = s.records
		}
		s.unordered++
	}
}

// join appends the sequence that t describes to the one s describes.
func (s *summary) join(t summary) {
	if t.records == 0 {
		return
	}
	if s.records == 0 {
		*s = t
		return
	}
	s.compare(bytes.Compare(s.last[:], t.first[:]))
	if t.unordered > 0 && s.unordered == 0 {
		s.firstUnordered = s.records + t.firstUnordered
	}
	s.unordered += t.unordered
	s.duplicates += t.duplicates
	s.records += t.records
	s.sum = s.sum.add(t.sum)
	s.last = t.last
}

// checksum writes the sum as gensort and valsort print it.
func (s *summary) checksum() string {
	if s.sum.hi == 0 {
		return strconv.FormatUint(s.sum.lo, 16)
	}
	return fmt.Sprintf("%x%016x", s.sum.hi, s.sum.lo)
}

// validate summarizes files as one sequence, in their order. A file that is
// not a whole number of records is an error that names it.
func validate(ctx context.Context, g workloads.Gen, files []workloads.File) (summary, error) {
	var all summary
	for _, f := range files {
		if err := wholeRecords(f); err != nil {
			return all, err
		}
	}
	ranges := workloads.SplitFiles(files, rangeBytes)
	parts := make([]summary, len(ranges))
	err := workloads.EachRange(ctx, g, ranges, 0, func(_ int, i int64, _ *os.File, data []byte) error {
		parts[i] = summarize(data)
		return nil
	})
	if err != nil {
		return all, err
	}
	for _, p := range parts {
		all.join(p)
	}
	return all, nil
}

func wholeRecords(f workloads.File) error {
	if rest := f.Bytes % recordSize; rest != 0 {
		return fmt.Errorf("cannot read %s as records of %d bytes: its %d bytes leave %d over", f.Path, recordSize, f.Bytes, rest)
	}
	return nil
}
