package terasort

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"

	"github.com/execbench/execbench/workloads"
)

// seedStride is how many records apart two neighbouring seeds begin: more
// than anyone generates, so their data does not overlap.
const seedStride = 1e12

// blockRecords is how many records are generated and written at a time: 1 MB
// or so, which stays in the second-level cache, and a whole number of pages
// (10,240 records are 250 pages of 4 KiB).
const blockRecords = 10240

// records returns how many records the parameters ask for.
func records(v workloads.Values) int64 {
	if n := v.Int("records"); n > 0 {
		return n
	}
	return int64(v.Bytes("size")) / recordSize
}

// firstRecord returns the number of the first record.
func firstRecord(v workloads.Values) u128 {
	hi, lo := bits.Mul64(uint64(v.Int("seed")), seedStride)
	return u128{hi, lo}.add(u128{lo: uint64(v.Int("start"))})
}

func dataBytes(v workloads.Values) int64 { return records(v) * recordSize }

// generate writes one file, records.dat or records.txt. Every block is
// generated from its record number alone and written at its place, so the
// bytes do not depend on who generates what.
func generate(ctx context.Context, g workloads.Gen, v workloads.Values, dir string) (err error) {
	path, put := filepath.Join(dir, "records.dat"), putBinary
	if v.Bool("ascii") {
		path, put = filepath.Join(dir, "records.txt"), putASCII
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("cannot generate records: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("cannot generate records: %w", cerr)
		}
	}()
	total, first := records(v), firstRecord(v)
	meter := g.Meter(total * recordSize)
	workers := g.Workers(blockRecords * recordSize)
	bufs := make([][]byte, workers)
	return workloads.Each(ctx, workers, (total+blockRecords-1)/blockRecords, func(w int, i int64) error {
		if bufs[w] == nil {
			bufs[w] = make([]byte, blockRecords*recordSize)
		}
		from := i * blockRecords
		buf := bufs[w][:min(blockRecords, total-from)*recordSize]
		put(buf, first.add(u128{lo: uint64(from)}))
		if _, err := f.WriteAt(buf, from*recordSize); err != nil {
			return fmt.Errorf("cannot generate record %d of %d: %w", from, total, err)
		}
		meter.Add(int64(len(buf)))
		return nil
	})
}
