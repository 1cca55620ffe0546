package main

import (
	"fmt"
	"os"
	"unsafe"
)

// slab returns n zero values of a type without pointers.
func slab[T any](n int) []T {
	var zero T
	b := pages(max(n, 1) * int(unsafe.Sizeof(zero)))
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// viewOf returns bytes as values of a type without pointers.
func viewOf[T any](b []byte) []T {
	var zero T
	n := len(b) / int(unsafe.Sizeof(zero))
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// step is how much one system call reads or writes.
const step = 4 << 20

// slack is how many bytes behind a text can be read, so that nobody has to
// look where it ends.
const slack = 64

// readWhole reads a file into memory, each thread a half; slack zeros follow.
func readWhole(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := pages(int(info.Size()) + slack)[:info.Size()]
	err = bothTry(func(t int) error {
		from, to := share(len(data), t)
		for from < to {
			n, err := f.ReadAt(data[from:min(from+step, to)], int64(from))
			if err != nil {
				return err
			}
			from += n
		}
		return nil
	})
	return data, err
}

// copyFile copies by plain reads and writes, each thread a half.
func copyFile(in, out string) error {
	return throughFile(in, out, step, func([]byte) {})
}

// makeLines copies records, with a space for the CR before their LF.
func makeLines(in, out string) error {
	return throughFile(in, out, step/recordBytes*recordBytes, func(records []byte) {
		for i := recordBytes - 2; i < len(records); i += recordBytes {
			records[i] = ' '
		}
	})
}

// throughFile copies a file, some bytes at a time, through f.
func throughFile(in, out string, some int, f func([]byte)) error {
	source, err := os.Open(in)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	target, err := os.Create(out)
	if err != nil {
		return err
	}
	err = bothTry(func(t int) error {
		from, to := share((int(info.Size())+some-1)/some, t)
		from, to = from*some, min(to*some, int(info.Size()))
		for buffer := pages(some); from < to; {
			part := buffer[:min(some, to-from)]
			if _, err := source.ReadAt(part, int64(from)); err != nil {
				return err
			}
			f(part)
			if _, err := target.WriteAt(part, int64(from)); err != nil {
				return err
			}
			from += len(part)
		}
		return nil
	})
	if cerr := target.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("cannot copy %s to %s: %w", in, out, err)
	}
	return nil
}
