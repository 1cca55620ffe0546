package source

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"unsafe"

	"github.com/execbench/execbench/engine/task"
)

func TestRecords(t *testing.T) {
	for seed := range uint64(40) {
		rng := newRand(seed)
		width := []int{1, 8, 100, 700}[rng.IntN(4)]
		dir := t.TempDir()
		var want []byte
		for _, name := range []string{"a", "b.gz", "c", "d.zst", "e"} {
			content := make([]byte, rng.IntN(300)*width)
			for i := range content {
				content[i] = byte(rng.Uint32())
			}
			write(t, dir, name, content)
			want = append(want, content...)
		}
		// A compressed file's size on disk need not divide, so no Unit check
		// reaches it; plain files are cut between records.
		splits := cut(t, list(t, dir), CutOptions{Parts: 1 + rng.IntN(12), Unit: width})
		r := small(t)
		var got []byte
		for i := range splits {
			err := r.Records(&splits[i], width, func(block []byte, at int64) error {
				if len(block) == 0 || len(block)%width != 0 || at%int64(width) != 0 {
					t.Fatalf("seed %d: block of %d bytes at %d, width %d", seed, len(block), at, width)
				}
				if uintptr(unsafe.Pointer(&block[0]))%8 != 0 {
					t.Fatalf("seed %d: block is not aligned", seed)
				}
				got = append(got, block...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("seed %d: %d bytes of records, want %d", seed, len(got), len(want))
		}
		if n := r.Metrics[task.InputRecordsRead]; n != int64(len(want)/width) {
			t.Errorf("seed %d: %d records counted, want %d", seed, n, len(want)/width)
		}
	}
}

func TestRecordsThatDoNotDivide(t *testing.T) {
	path := write(t, t.TempDir(), "a.gz", make([]byte, 1030))
	splits := cut(t, list(t, path), CutOptions{Unit: 100})
	err := small(t).Records(&splits[0], 100, func([]byte, int64) error { return nil })
	if w, ok := errors.AsType[*WidthError](err); !ok || w.Path != path || w.Remainder != 30 || w.Size != 1030 {
		t.Errorf("%v, want a *WidthError with remainder 30", err)
	}
	path = write(t, t.TempDir(), "a", make([]byte, 1000))
	splits = cut(t, list(t, path), CutOptions{Unit: 100})
	if err := os.Truncate(path, 950); err != nil {
		t.Fatal(err)
	}
	if err := small(t).Records(&splits[0], 100, func([]byte, int64) error { return nil }); !errors.Is(err, ErrTruncated) {
		t.Errorf("shrunk file: %v, want ErrTruncated", err)
	}
}
