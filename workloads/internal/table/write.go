package table

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/execbench/execbench/workloads"
)

// blockRows is how many rows are made and written at a time. It belongs to
// the definition of the data: every block has random numbers of its own.
const blockRows = 16384

// File is a table to be generated: a header line and rows of one width.
type File struct {
	Name   string
	Header string // without its newline
	Rows   int64
	Width  int // bytes of a row, its newline included
	// Put writes row number i to dst, which is Width bytes long, with random
	// numbers from r. It may be called by several goroutines at once.
	Put func(dst []byte, i int64, r *Random)
}

// Bytes returns the size of the file.
func (f *File) Bytes() int64 { return int64(len(f.Header)) + 1 + f.Rows*int64(f.Width) }

// Write makes the files in dir. Every block of rows is made from the seed,
// the number of its file and its own number, and is written at its place, so
// the bytes do not depend on g. held is what the caller holds of g's memory.
func Write(ctx context.Context, g workloads.Gen, dir string, seed uint64, held int64, files ...*File) error {
	total := int64(0)
	for _, f := range files {
		total += f.Bytes()
	}
	meter := g.Meter(total)
	for i, f := range files {
		if err := f.write(ctx, g, meter, filepath.Join(dir, f.Name), Mix(seed*golden+uint64(i)), held); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) write(ctx context.Context, g workloads.Gen, meter *workloads.Meter, path string, seed uint64, held int64) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return fmt.Errorf("cannot generate a table: %w", err)
	}
	defer func() {
		if cerr := out.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("cannot generate a table: %w", cerr)
		}
	}()
	head := f.Header + "\n"
	if _, err := out.WriteAt([]byte(head), 0); err != nil {
		return fmt.Errorf("cannot generate a table: %w", err)
	}
	meter.Add(int64(len(head)))
	block := int64(blockRows * f.Width)
	g.Cores = min(max(1, g.Cores), int(max(1, (g.Budget()-held)/block)))
	bufs := make([][]byte, g.Cores)
	return workloads.Each(ctx, g.Cores, (f.Rows+blockRows-1)/blockRows, func(w int, i int64) error {
		if bufs[w] == nil {
			bufs[w] = make([]byte, min(block, f.Rows*int64(f.Width)))
		}
		first := i * blockRows
		n := int(min(blockRows, f.Rows-first))
		buf := bufs[w][:n*f.Width]
		r := Random{Mix(seed + uint64(i)*golden)}
		for k := range n {
			f.Put(buf[k*f.Width:][:f.Width], first+int64(k), &r)
		}
		if _, err := out.WriteAt(buf, int64(len(head))+i*block); err != nil {
			return fmt.Errorf("cannot generate row %d of %d: %w", first, f.Rows, err)
		}
		meter.Add(int64(len(buf)))
		return nil
	})
}

// Random is SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom
// number generators, 2014).
type Random struct{ state uint64 }

// Next returns 64 random bits.
func (r *Random) Next() uint64 {
	r.state += golden
	return Mix(r.state)
}

// Mix is SplitMix64's finalizer, one to one: every bit of x changes half the
// bits of the result.
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is 2^64 divided by the golden ratio: SplitMix64's step.
const golden = 0x9e3779b97f4a7c15

// Digits returns the decimal digits of the largest of n numbers from 0.
func Digits(n int64) int {
	d := 1
	for n--; n >= 10; n /= 10 {
		d++
	}
	return d
}

// PutDigits writes n in exactly len(dst) digits.
func PutDigits(dst []byte, n uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = '0' + byte(n%10)
		n /= 10
	}
}
