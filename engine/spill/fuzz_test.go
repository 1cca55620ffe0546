package spill

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/execbench/execbench/engine/codec"
	"github.com/execbench/execbench/engine/internal/fsys"
	"github.com/execbench/execbench/engine/units"
)

// FuzzRun: a run file of any bytes gives frames whose checksums hold, or an
// error that says it is damaged.
func FuzzRun(f *testing.F) {
	good, _ := AppendFrame(nil, 2, []byte("0123456789abcdef"), codec.None, nil)
	lz4, _ := codec.CompressionByName("lz4")
	packed, _ := AppendFrame(nil, 9, bytes.Repeat([]byte("ab"), 500), lz4, nil)
	f.Add(append(slices.Clone(good), packed...))
	f.Add(good[:20])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newBench(t, 8*units.MiB)
		b.env.Compression = lz4
		file, err := b.disk.TempFile("fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		c := b.env.Memory.Consumer("fuzz", nil)
		defer c.Close()
		env := b.env.complete()
		r, err := openRun(&env, c, &Run{file: file}, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		read := 0
		for {
			_, body, err := r.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if !errors.Is(err, ErrCorrupt) && len(data) < 1<<20 {
					t.Fatalf("%v is no damage", err)
				}
				return
			}
			read += len(body)
		}
		if len(data) > 0 && read == 0 && len(data) > 3*FrameHeader {
			// Only empty frames: each has a header.
			if len(data)%FrameHeader != 0 {
				t.Errorf("%d bytes were read as nothing", len(data))
			}
		}
	})
}

// The place of damage is the frame's that does not decompress, not the next's.
func TestCorruptErrorNamesTheFrame(t *testing.T) {
	b := newBench(t, 8*units.MiB)
	lz4, err := codec.CompressionByName("lz4")
	if err != nil {
		t.Fatal(err)
	}
	zstd, err := codec.CompressionByName("zstd")
	if err != nil {
		t.Fatal(err)
	}
	b.env.Compression = lz4
	good, _ := AppendFrame(nil, 9, bytes.Repeat([]byte("ab"), 500), lz4, nil)
	bad, _ := AppendFrame(nil, 9, bytes.Repeat([]byte("ab"), 500), zstd, nil) // whose checksum holds
	file, err := b.disk.TempFile("named")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(slices.Concat(good, bad, good)); err != nil {
		t.Fatal(err)
	}
	c := b.env.Memory.Consumer("named", nil)
	defer c.Close()
	env := b.env.complete()
	r, err := openRun(&env, c, &Run{file: file}, 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if _, _, err := r.next(); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.next()
	if at, ok := errors.AsType[*CorruptError](err); !ok || at.Offset != int64(len(good)) {
		t.Errorf("%v, want damage at byte %d", err, len(good))
	}
}

// Whichever file operation fails, the error has its cause, and nothing is
// left: neither an open file nor, where closing fails, the file itself.
func TestSORT_008_EveryFailedFileOperationIsReported(t *testing.T) {
	var rows []numbered
	for i := range 40_000 {
		rows = append(rows, numbered{string(rune('a'+i*7%26)) + "x", int64(i)})
	}
	run := func(k int) (fs *fsys.Faulty, err error) {
		fs = fsys.NewFaulty(fsys.OS, fsys.Fault{Ops: fsys.OpMutates | fsys.OpRead | fsys.OpClose, K: k, Glob: "temp_local_*", Short: 10})
		b := newBenchOn(t, 1*units.MiB, fs)
		s := NewSorter(b.env, "sorter", mustCodec[numbered](t), By(mustKey[string](t), func(r numbered) string { return r.Key }))
		defer func() { err = errors.Join(err, s.Close()) }()
		s.Limit(2)
		if err := s.Add(rows); err != nil {
			return fs, err
		}
		n := 0
		err = s.Sorted(func(batch []numbered) error { n += len(batch); return nil })
		if err == nil && n != len(rows) {
			t.Errorf("fault %d: %d rows of %d", k, n, len(rows))
		}
		return fs, err
	}
	fs, err := run(0)
	if err != nil {
		t.Fatal(err)
	}
	if fs.Counted() < 10 {
		t.Fatalf("only %d operations to fail", fs.Counted())
	}
	closes := 0
	for k := 1; k <= fs.Counted(); k++ {
		f, err := run(k)
		if err == nil {
			t.Errorf("fault %d of %d was not reported", k, fs.Counted())
		}
		if f.Struck() == fsys.OpClose {
			closes++
			at, ok := errors.AsType[*os.PathError](err)
			if !ok {
				t.Errorf("fault %d: %v does not name the file that could not be closed", k, err)
			} else if _, err := os.Stat(at.Path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("fault %d: %s is still there: %v", k, at.Path, err)
			}
		}
		if open := f.StillOpen(); len(open) != 0 {
			t.Errorf("fault %d leaves files open: %v", k, open)
		}
	}
	if closes == 0 {
		t.Error("closing a file never failed")
	}
}
